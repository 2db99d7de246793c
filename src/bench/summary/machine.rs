//! The machine of a benchmark, and the resources that the benchmark itself uses.
//!
//! The values are read from `/proc`. Unavailable values are `None`.

use std::{fs, num::NonZeroUsize, time::Duration};

use serde::{Deserialize, Serialize};

/// Clock ticks per second in `/proc`. Linux reports 100 to programs on every architecture.
const TICKS_PER_SECOND: u64 = 100;

/// Description of the machine that ran a benchmark.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system and architecture.
    pub system: String,
    /// Name of the processor.
    pub cpu: Option<String>,
    /// Number of cores that this process may use.
    pub cores: usize,
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Load average of the last minute, at the start.
    pub load_before: Option<f64>,
    /// Load average of the last minute, at the end.
    pub load_after: Option<f64>,
}

impl Machine {
    /// Describes this machine.
    pub(in crate::bench) fn current() -> Self {
        let read = |path: &str| fs::read_to_string(path).ok();
        Self {
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpu: read("/proc/cpuinfo").and_then(|text| field(&text, "model name")),
            cores: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            memory: read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemTotal")),
            load_before: load_average(),
            load_after: None,
        }
    }
}

/// The load average of the last minute.
pub(in crate::bench) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// The CPU time that this process has used.
pub(in crate::bench) fn cpu_time() -> Option<Duration> {
    scheduler_time().or_else(tick_time)
}

/// The CPU time that the scheduler has counted. It includes only threads that still exist; the threads of an async
/// runtime exist as long as the runtime.
fn scheduler_time() -> Option<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        // The thread may have ended since the folder was read.
        let Ok(text) = fs::read_to_string(thread.ok()?.path().join("schedstat")) else { continue };
        nanos += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

/// The CPU time in clock ticks, with a resolution of 10 ms.
fn tick_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The process name in parentheses may contain spaces and parentheses.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

/// The peak resident memory of this process, in bytes.
pub(super) fn peak_memory() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// The value of a `name: value` line.
fn field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// The bytes of a field in kB.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    field(text, name)?.strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_parsed_by_name() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\nVmHWM:\t  12 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("A CPU @ 2 GHz"));
        assert_eq!(kilobytes(text, "VmHWM"), Some(12 * 1024));
        assert_eq!(field(text, "nope"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn process_values_are_available_on_linux() {
        assert!(cpu_time().is_some() && tick_time().is_some() && load_average().is_some());
        assert!(peak_memory().unwrap() > 1 << 20 && Machine::current().memory.unwrap() > 1 << 20);
    }
}
