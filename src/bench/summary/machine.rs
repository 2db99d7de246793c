//! The machine, and what the benchmark itself takes of it. What cannot be found out is none.

use std::{fs, num::NonZeroUsize, time::Duration};

use serde::{Deserialize, Serialize};

/// Ticks of the times in `/proc`: Linux has shown 100 a second to programs for as long as it has shown any.
const TICKS: u64 = 100;

/// A machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system and architecture.
    pub system: String,
    /// The processor's name.
    pub cpu: Option<String>,
    /// Cores that this process may use.
    pub cores: usize,
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Processes that wanted a core, over the last minute, at the start.
    pub load_before: Option<f64>,
    /// The same at the end.
    pub load_after: Option<f64>,
}

impl Machine {
    /// This machine, now.
    pub(in crate::bench) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        Self {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpu: read("/proc/cpuinfo").and_then(|text| field(&text, "model name")),
            cores: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            memory: read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemTotal")),
            load_before: load(),
            load_after: None,
        }
    }
}

/// The system's load over the last minute.
pub(in crate::bench) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// Time on a core that this process has taken.
pub(in crate::bench) fn own_cpu() -> Option<Duration> {
    scheduled().or_else(ticked)
}

/// By the scheduler, to the nanosecond: of the threads that are there, which those of a runtime are to its end.
fn scheduled() -> Option<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        // A thread may end in between.
        let Ok(text) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
        nanos += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

/// By ticks, in steps of 10 ms.
fn ticked() -> Option<Duration> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS))
}

/// The most memory that this process has had, in bytes.
pub(in crate::bench) fn own_peak_memory() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

fn field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nVmHWM:\t  12 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A CPU @ 2 GHz"));
        assert_eq!(kilobytes(text, "VmHWM"), Some(12 * 1024));
        assert_eq!(field(text, "nope"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_taken_something() {
        assert!(own_cpu().is_some() && ticked().is_some() && own_peak_memory().unwrap() > 1 << 20 && load().is_some());
        assert!(Machine::look().memory.unwrap() > 1 << 20);
    }
}
