//! The signals that ask a process to end.

use std::io;

use tokio::io::AsyncReadExt as _;

/// SIGINT and SIGTERM, from their first use on no longer deadly by themselves.
pub(super) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    stdin: Option<tokio::io::Stdin>,
}

impl Signals {
    #[cfg(unix)]
    pub(super) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            stdin: None,
        })
    }

    #[cfg(not(unix))]
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { stdin: None })
    }

    /// Takes the end of stdin for one more signal.
    pub(super) fn and_stdin(&mut self) {
        self.stdin = Some(tokio::io::stdin());
    }

    /// Waits for the next one. May be dropped and called again.
    pub(super) async fn next(&mut self) {
        #[cfg(unix)]
        let signal = async {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        };
        #[cfg(not(unix))]
        let signal = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = signal => {}
            () = end_of(&mut self.stdin) => {}
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
