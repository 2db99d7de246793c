//! The status changes of one run.

use std::{fmt, time::Duration};

use tokio::{sync::watch, time::sleep_until};

use super::RunRef;
use crate::hatchet::{
    client::{
        RunOutcome,
        watcher::{Outage, Progress, closed},
    },
    transport::ClientError,
    wire::RunStatus,
};

/// A shorter outage is not reported.
const MIN_OUTAGE: Duration = Duration::from_secs(2);

/// A change in the state of a followed run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RunUpdate {
    /// The run's current status. A status that lasts for less than a poll interval may be skipped.
    Status(RunStatus),
    /// The engine has not responded for 2 s, with the latest error. The wait continues like [`RunRef::outcome`].
    EngineSilent(ClientError),
    /// The engine responds again after [`RunUpdate::EngineSilent`].
    EngineResponds,
    /// The run has finished. The last update.
    Finished(RunOutcome),
}

/// The status changes of one run, up to its outcome. Returned by [`RunRef::updates`].
///
/// The status is polled after 20 ms, then at growing intervals of up to 1 s, and of up to 5 s once the run has been
/// running for 10 s. The end of the run is noticed as fast as by [`RunRef::outcome`].
#[must_use = "updates are delivered by `next`"]
pub struct RunUpdates {
    run: RunRef,
    state: State,
    /// The last status that was returned.
    status: Option<RunStatus>,
    /// An outage was reported that has not ended.
    outage_reported: bool,
}

enum State {
    /// Not watched yet.
    New,
    Watching {
        progress: watch::Receiver<Progress>,
        outage: watch::Receiver<Option<Outage>>,
    },
    Finished,
}

impl<O> RunRef<O> {
    /// Follows the run: returns each status, then the outcome.
    ///
    /// ```no_run
    /// # use hatchet_quickstart::{prelude::*, hatchet::client::RunUpdate};
    /// # async fn example(run: RunRef) -> Result<(), ClientError> {
    /// let mut updates = run.updates();
    /// while let Some(update) = updates.next().await {
    ///     match update? {
    ///         RunUpdate::Status(status) => println!("{status}"),
    ///         RunUpdate::Finished(outcome) => println!("finished: {}", outcome.status),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn updates(&self) -> RunUpdates {
        RunUpdates { run: self.clone().untyped(), state: State::New, status: None, outage_reported: false }
    }
}

impl RunUpdates {
    /// Returns the next update; `None` after [`RunUpdate::Finished`] or an error. Cancel safe.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RunRef::outcome`].
    pub async fn next(&mut self) -> Option<Result<RunUpdate, ClientError>> {
        if let State::New = self.state {
            let watcher = self.run.client().watcher();
            let outage = watcher.outage();
            let progress = watcher.follow(self.run.id(), self.run.evidence().clone()).await;
            self.state = State::Watching { progress, outage };
        }
        loop {
            let State::Watching { progress, outage } = &mut self.state else { return None };
            let Progress { status, result } = progress.borrow_and_update().clone();
            if let Some(result) = result {
                self.state = State::Finished;
                return Some(result.map(RunUpdate::Finished));
            }
            let current_outage = outage.borrow_and_update().clone();
            if self.outage_reported && current_outage.is_none() {
                self.outage_reported = false;
                return Some(Ok(RunUpdate::EngineResponds));
            }
            if let Some(status) = status.filter(|status| self.status != Some(*status)) {
                self.status = Some(status);
                return Some(Ok(RunUpdate::Status(status)));
            }
            let report = current_outage.filter(|_| !self.outage_reported);
            let report_at = report.as_ref().map(|outage| outage.since + MIN_OUTAGE);
            tokio::select! {
                changed = progress.changed() => {
                    if changed.is_err() && progress.borrow().result.is_none() {
                        self.state = State::Finished;
                        return Some(Err(closed(self.run.id())));
                    }
                }
                // The watcher owns the senders of both channels.
                Ok(()) = outage.changed() => {}
                Some(error) = async {
                    sleep_until(report_at?).await;
                    report.map(|outage| outage.error)
                } => {
                    self.outage_reported = true;
                    return Some(Ok(RunUpdate::EngineSilent(error)));
                }
            }
        }
    }
}

impl fmt::Debug for RunUpdates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunUpdates").field("run", &self.run).field("status", &self.status).finish_non_exhaustive()
    }
}
