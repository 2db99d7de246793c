//! The signals that ask a process to end.

use std::{io, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    io::AsyncReadExt as _,
    time::{Instant, sleep_until},
};

/// Signals no further apart are one: a supervisor such as GNU `timeout` sends one to the process and another to its
/// group. A person is slower.
const ONE_SIGNAL: Duration = Duration::from_millis(50);

/// SIGINT, SIGTERM and SIGHUP, from their first use on no longer deadly by themselves. A SIGHUP that was ignored from
/// the start, as under `nohup`, stays ignored.
pub(super) struct Signals {
    received: Received,
    stdin: Option<tokio::io::Stdin>,
    /// What comes until then is the echo of the signal before.
    echo_until: Option<Instant>,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { received: Received::listen()?, stdin: None, echo_until: None })
    }

    /// Takes the end of stdin for one more signal.
    pub(super) fn and_stdin(&mut self) {
        self.stdin = Some(tokio::io::stdin());
    }

    /// Waits for the next one. May be dropped and called again.
    pub(super) async fn next(&mut self) {
        if let Some(until) = self.echo_until {
            tokio::select! {
                () = sleep_until(until) => {}
                () = end_of(&mut self.stdin) => return,
            }
            // By the time they are looked at, not by the time they are noticed: a busy machine notices late.
            while self.received.next().now_or_never().is_some() {}
            self.echo_until = None;
        }
        tokio::select! {
            () = self.received.next() => self.echo_until = Some(Instant::now() + ONE_SIGNAL),
            () = end_of(&mut self.stdin) => {}
        }
    }
}

/// From now on a write over a limit on the size of files (`ulimit -f`) fails with an error that says so, as on a full
/// disk. Unless it is listened for, SIGXFSZ ends the process there, and all that runs with it.
#[cfg(unix)]
pub(super) fn outlive_size_limits() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    /// On Linux, macOS and the BSDs; MIPS counts differently.
    const SIGXFSZ: i32 = 25;
    if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        return Ok(());
    }
    // To have listened once is enough; the error comes with the write.
    signal(SignalKind::from_raw(SIGXFSZ)).map(drop)
}

/// There is no such signal.
#[cfg(not(unix))]
pub(super) fn outlive_size_limits() -> io::Result<()> {
    Ok(())
}

/// Reads to the end, which comes once.
async fn end_of(stdin: &mut Option<tokio::io::Stdin>) {
    let Some(open) = stdin else { return std::future::pending().await };
    let mut passed_over = [0_u8; 256];
    while open.read(&mut passed_over).await.is_ok_and(|read| read > 0) {}
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

/// Whether the process was started with a signal ignored, before anything listens for it. Where the system does not
/// tell it, what it does by itself is left as it is: a listener would end what `nohup` is to keep.
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
