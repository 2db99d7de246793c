//! `--timeout`: one limit for all that a command waits for, from its first call on.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Exit, connection::command::ConnectionWords};
use crate::hatchet::{client::Client, wire::format_duration};

/// When a command stops waiting, if it ever does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// From now on.
    pub(super) fn after(limit: Option<Duration>) -> Self {
        Self(limit.map(|limit| (Instant::now() + limit, limit)))
    }

    /// Waits until it is over, and says how long that was.
    pub(super) async fn over(self) -> Duration {
        match self.0 {
            Some((at, limit)) => {
                sleep_until(at).await;
                limit
            }
            None => std::future::pending().await,
        }
    }

    /// What a call comes to, if it does before the deadline.
    pub(super) async fn before<T>(self, call: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            Some((at, _)) => timeout_at(at, call).await.ok(),
            None => Some(call.await),
        }
    }

    /// What a call comes to that must come to something before the deadline. `left_open` is what else cannot be told.
    pub(super) async fn answered<T>(
        self,
        client: &Client,
        words: &ConnectionWords,
        left_open: &str,
        call: impl Future<Output = T>,
    ) -> Result<T, Exit> {
        let answer = self.before(call).await;
        answer.ok_or_else(|| {
            let (address, limit) = (&client.config().host_port, self.limit());
            let doctor = words.command(&["runner", "doctor"]);
            Exit::timed_out(format!(
                "the engine at {address} has not answered within {limit}, {left_open}: `{doctor}` looks for the reason"
            ))
        })
    }

    /// The limit that it was made with, in words.
    pub(super) fn limit(self) -> String {
        self.0.map(|(_, limit)| format_duration(limit)).unwrap_or_default()
    }
}
