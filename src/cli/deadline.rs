//! `--timeout`: the time limit of a command, counted from its first call.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Exit, connection::CommandRenderer};
use crate::hatchet::{client::Client, wire::readable_duration};

/// The time at which a command stops waiting. Without a limit, a command waits until the run has finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// A deadline after `limit`, counted from now.
    pub(super) fn after(limit: Option<Duration>) -> Self {
        Self(limit.map(|limit| (Instant::now() + limit, limit)))
    }

    /// The time of the deadline. `None` without a limit.
    pub(super) fn instant(self) -> Option<Instant> {
        self.0.map(|(instant, _)| instant)
    }

    /// Waits for the deadline. Returns the limit.
    pub(super) async fn passed(self) -> Duration {
        match self.0 {
            Some((instant, limit)) => {
                sleep_until(instant).await;
                limit
            }
            None => std::future::pending().await,
        }
    }

    /// Awaits a call. `None` if the deadline passes first; a call after it is not started.
    pub(super) async fn before<T>(self, call: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            // The timer is late by up to 1 ms, in which a fast call would succeed.
            Some((instant, _)) if instant <= Instant::now() => None,
            Some((instant, _)) => timeout_at(instant, call).await.ok(),
            None => Some(call.await),
        }
    }

    /// Awaits a call. Fails if the deadline passes first. `consequence` is the end of the error's first sentence, such
    /// as `and no run was submitted`. The error ends with the latest failure of a call, since the client may have
    /// retried until then.
    pub(super) async fn require<T>(
        self,
        client: &Client,
        commands: &CommandRenderer,
        consequence: &str,
        call: impl Future<Output = T>,
    ) -> Result<T, Exit> {
        self.before(call).await.ok_or_else(|| {
            let address = &client.config().host_port;
            if self.0.is_some_and(|(_, limit)| limit.is_zero()) {
                let message = format!("--timeout 0 leaves no time for a call to the engine at {address}, {consequence}");
                return Exit::timed_out(format!("{message}. Set a longer --timeout"));
            }
            let (limit, failure) = (self.limit(), self.last_failure(client));
            let doctor = commands.render(&["runner", "doctor"]);
            Exit::timed_out(format!(
                "the engine at {address} has not responded within {limit}, {consequence}{failure}. Run `{doctor}` to find \
                 the reason"
            ))
        })
    }

    /// The latest failed call since the start, as the end of an error message. Empty if no call has failed.
    pub(super) fn last_failure(self, client: &Client) -> String {
        let start = self.0.and_then(|(instant, limit)| instant.checked_sub(limit));
        let failure = start.and_then(|start| client.connection().failure_since(start));
        failure.map(|error| format!(". The last error: {error}")).unwrap_or_default()
    }

    /// Returns the limit as text; empty without a limit.
    pub(super) fn limit(self) -> String {
        self.0.map(|(_, limit)| readable_duration(limit)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn call_after_the_deadline_is_not_started() {
        let deadline = Deadline::after(Some(Duration::ZERO));
        assert_eq!(deadline.before(async { panic!("started") }).await, None::<()>);
    }
}
