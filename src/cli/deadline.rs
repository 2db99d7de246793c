//! `--timeout`: one limit for all that a command waits for, from its first call on.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep_until, timeout_at};

use super::Exit;
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

    /// What a call comes to that must come to something before the deadline.
    pub(super) async fn answered<T>(
        self,
        client: &Client,
        left_open: &str,
        call: impl Future<Output = T>,
    ) -> Result<T, Exit> {
        let answer = self.before(call).await;
        answer.ok_or_else(|| self.unanswered(&client.config().host_port, left_open))
    }

    /// The limit that it was made with, in words.
    pub(super) fn limit(self) -> String {
        self.0.map(|(_, limit)| format_duration(limit)).unwrap_or_default()
    }

    /// Why a command ends whose call was not answered before. `left_open` is what cannot be told.
    fn unanswered(self, address: &str, left_open: &str) -> Exit {
        let limit = self.limit();
        Exit::timed_out(format!(
            "the engine at {address} has not answered within {limit}, {left_open}: `runner doctor` looks for the reason"
        ))
    }
}
