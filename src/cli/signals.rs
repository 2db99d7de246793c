//! The signals that ask a process to end.

use std::{io, time::Duration};

use tokio::{io::AsyncReadExt as _, time::Instant};

/// Signals no further apart are one: a supervisor such as GNU `timeout` sends one to the process and another to its
/// group. A person is slower.
const ONE_SIGNAL: Duration = Duration::from_millis(50);

/// SIGINT and SIGTERM, from their first use on no longer deadly by themselves.
pub(super) struct Signals {
    received: Received,
    stdin: Option<tokio::io::Stdin>,
    echo: Echo,
}

/// Tells a signal from the echo of the one before.
#[derive(Default)]
struct Echo(Option<Instant>);

impl Echo {
    /// Whether a signal that came now is one of its own.
    fn is_new(&mut self) -> bool {
        let now = Instant::now();
        let new = self.0.is_none_or(|before| now.duration_since(before) > ONE_SIGNAL);
        if new {
            self.0 = Some(now);
        }
        new
    }
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { received: Received::listen()?, stdin: None, echo: Echo::default() })
    }

    /// Takes the end of stdin for one more signal.
    pub(super) fn and_stdin(&mut self) {
        self.stdin = Some(tokio::io::stdin());
    }

    /// Waits for the next one. May be dropped and called again.
    pub(super) async fn next(&mut self) {
        loop {
            tokio::select! {
                () = self.received.next() => if self.echo.is_new() { return },
                () = end_of(&mut self.stdin) => return,
            }
        }
    }
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
}

#[cfg(unix)]
impl Received {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_echo_is_no_second_signal() {
        let mut echo = Echo::default();
        assert!(echo.is_new());
        assert!(!echo.is_new(), "at the same moment");
        advance(ONE_SIGNAL).await;
        assert!(!echo.is_new());
        advance(Duration::from_millis(1)).await;
        assert!(echo.is_new(), "a second one");
    }
}
