//! Signals that end a process: SIGINT, SIGTERM and SIGHUP.

use std::{io, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    io::AsyncReadExt as _,
    time::{Instant, sleep_until},
};

use super::Exit;
use crate::hatchet::system::OsError;

/// Signals within 50 ms count as a single signal: a supervisor such as GNU `timeout` signals the process and then its
/// process group. A person is slower.
const SAME_SIGNAL: Duration = Duration::from_millis(50);

/// A listener for SIGINT, SIGTERM and SIGHUP.
///
/// From [`Signals::listen`] on, they no longer end the process. A SIGHUP that was ignored at the start, as under
/// `nohup`, stays ignored.
pub(super) struct Signals {
    received: Received,
    stdin: Option<tokio::io::Stdin>,
    /// Signals until this time are repetitions of the last signal.
    repeats_until: Option<Instant>,
}

impl Signals {
    /// Starts listening.
    pub(super) fn listen() -> Result<Self, Exit> {
        let received = Received::listen().map_err(listen_failed)?;
        Ok(Self { received, stdin: None, repeats_until: None })
    }

    /// Treats the end of stdin as a signal, too.
    pub(super) fn include_stdin_end(&mut self) {
        self.stdin = Some(tokio::io::stdin());
    }

    /// Waits for the next signal. Cancel-safe.
    pub(super) async fn next(&mut self) {
        if let Some(until) = self.repeats_until {
            tokio::select! {
                () = sleep_until(until) => {}
                () = end_of(&mut self.stdin) => return,
            }
            // Discards signals that have arrived by now: on a busy machine, repeats are delivered late.
            while self.received.next().now_or_never().is_some() {}
            self.repeats_until = None;
        }
        tokio::select! {
            () = self.received.next() => self.repeats_until = Some(Instant::now() + SAME_SIGNAL),
            () = end_of(&mut self.stdin) => {}
        }
    }
}

/// The exit for a failure to listen for signals.
pub(super) fn listen_failed(error: io::Error) -> Exit {
    Exit::usage(format!("listening for signals failed: {}", OsError(&error)))
}

/// Makes a write beyond a file size limit (`ulimit -f`) fail with an error, as on a full disk. By default, SIGXFSZ ends
/// the process.
#[cfg(unix)]
pub(super) fn ignore_file_size_signal() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    /// The number on Linux, macOS and the BSDs, except on MIPS.
    const SIGXFSZ: i32 = 25;
    if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        return Ok(());
    }
    // tokio's handler stays installed after the stream is dropped.
    signal(SignalKind::from_raw(SIGXFSZ)).map(drop)
}

/// Does nothing: only Unix has this signal.
#[cfg(not(unix))]
pub(super) fn ignore_file_size_signal() -> io::Result<()> {
    Ok(())
}

/// Waits for the end of stdin. Returns once; later calls never return.
async fn end_of(stdin: &mut Option<tokio::io::Stdin>) {
    let Some(open) = stdin else { return std::future::pending().await };
    let mut discarded = [0_u8; 256];
    while open.read(&mut discarded).await.is_ok_and(|read| read > 0) {}
    *stdin = None;
}

#[cfg(unix)]
struct Received {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Received {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = SignalKind::hangup();
        Ok(Self {
            hangup: (!is_ignored(hangup)).then(|| signal(hangup)).transpose()?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            Some(_) = async { self.hangup.as_mut()?.recv().await } => {}
        }
    }
}

/// Whether the process was started with a signal ignored. Must be called before anything listens for it. `true` if this
/// cannot be read, since a handler would break `nohup`.
#[cfg(unix)]
fn is_ignored(signal: tokio::signal::unix::SignalKind) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return true };
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let Some(mask) = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) else { return true };
    mask >> (signal.as_raw_value() - 1) & 1 == 1
}

#[cfg(not(unix))]
struct Received;

#[cfg(not(unix))]
impl Received {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
