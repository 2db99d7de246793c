//! Figures of worker processes.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use super::table::{Figure, Target, median, row};

pub(crate) const WORKER_BINARY: &str = env!("CARGO_BIN_EXE_worker");

/// Part of the first line of the banner, which the worker prints when it is registered.
const BANNER: &str = "worker, listening";
/// Timeout of a start: 30 s. A working worker needs far less.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Delay before a process is measured: 2 s, after which its lazy initialization is complete.
pub(crate) const IDLE_DELAY: Duration = Duration::from_secs(2);

/// A process that is killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// Reads stderr, so that the process never blocks on it.
    _stderr: tokio_util::task::AbortOnDropHandle<()>,
}

impl Process {
    /// Starts a command in a folder and waits for its banner. Also returns the duration.
    pub(crate) async fn start(command: &mut Command, folder: &Path) -> Result<(Self, Duration)> {
        let started = Instant::now();
        let mut child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stderr = child.stderr.take().context("no stderr")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut output = Vec::new();
        loop {
            match timeout(START_TIMEOUT, lines.next_line()).await?? {
                Some(line) if line.contains(BANNER) => break,
                Some(line) => output.push(line),
                None => anyhow::bail!("the worker exited before its banner:\n{}", output.join("\n")),
            }
        }
        let elapsed = started.elapsed();
        let reading = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok((Self { child, _stderr: tokio_util::task::AbortOnDropHandle::new(reading) }, elapsed))
    }

    /// Resident memory in MiB. `None` if the system does not report it.
    pub(crate) fn resident(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches("kB").trim().parse::<f64>().ok()? / 1024.0)
    }

    /// CPU time so far, user and system, in seconds. `None` if the system does not report it.
    pub(crate) fn cpu(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()?)).ok()?;
        // The second field is the name, which may contain spaces; the 14th and 15th are the times.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        // Linux reports hundredths of a second to programs on every architecture.
        Some(ticks / 100.0)
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child.kill().await?;
        Ok(())
    }
}

/// Returns the command of the worker binary with its engine, without settings from the environment.
pub(crate) fn embedded_worker() -> Command {
    let mut command = Command::new(WORKER_BINARY);
    command.arg("--embedded");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HATCHET_") {
            command.env_remove(name);
        }
    }
    command
}

/// Measures the time from the start of the process to the banner, each time in a new folder.
pub(crate) async fn start_to_registered() -> Result<Figure> {
    let mut millis = Vec::new();
    for _ in 0..9 {
        let folder = tempfile::tempdir()?;
        let (process, elapsed) = Process::start(&mut embedded_worker(), folder.path()).await?;
        process.stop().await?;
        millis.push(elapsed.as_secs_f64() * 1e3);
    }
    Ok(Figure {
        number: 5,
        name: "start to registered, embedded",
        measured: format!("{:.1} ms", median(&millis)),
        limit: String::new(),
        value: median(&millis),
        target: Target::AtMost(100.0, " ms"),
        notes: vec![format!("starts: {} ms", row(&millis))],
    })
}

/// Measures the memory of an idle worker with its engine.
pub(crate) async fn idle_memory_embedded() -> Result<Figure> {
    let resident = idle_memory(&mut embedded_worker(), None).await?;
    Ok(Figure {
        number: 6,
        name: "idle worker with engine, resident",
        measured: format!("{resident:.1} MiB"),
        limit: String::new(),
        value: resident,
        target: Target::AtMost(20.0, " MiB"),
        notes: Vec::new(),
    })
}

/// Measures the median of the resident memory of three idle processes, each in its own folder unless a folder is given.
/// NaN if the system does not report it.
pub(crate) async fn idle_memory(command: &mut Command, folder: Option<&Path>) -> Result<f64> {
    let mut resident = Vec::new();
    for _ in 0..3 {
        let own = tempfile::tempdir()?;
        let (process, _) = Process::start(command, folder.unwrap_or(own.path())).await?;
        sleep(IDLE_DELAY).await;
        resident.extend(process.resident());
        process.stop().await?;
    }
    Ok(median(&resident))
}
