//! The status changes of one run.

use std::time::Duration;

use tokio::{sync::watch, time::sleep_until};

use super::{
    RunOutcome,
    watcher::{Outage, Progress, closed},
};
use crate::hatchet::{client::RunRef, transport::ClientError, wire::RunStatus};

/// An outage shorter than this is not reported.
const SHORTEST_OUTAGE: Duration = Duration::from_secs(2);

/// Something that a follower of a run is told.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RunUpdate {
    /// The run has this status now. A status that lasts for less than a poll interval may be skipped.
    Status(RunStatus),
    /// The engine has not answered for 2 s, for this reason. The wait goes on, as [`RunRef::outcome`] does.
    EngineSilent(ClientError),
    /// The engine answers again after [`RunUpdate::EngineSilent`].
    EngineAnswers,
    /// The run has finished. The last update.
    Finished(RunOutcome),
}

/// The status changes of one run, up to its outcome. Made by [`RunRef::updates`].
///
/// The status is asked for after 20 ms, then ever less often: each second, and each 5 s once the run has been running
/// for 10 s. The end of the run is noticed as fast as by [`RunRef::outcome`].
#[must_use = "updates are delivered by `next`"]
pub struct RunUpdates {
    run: RunRef,
    state: State,
    /// The last status that was returned.
    status: Option<RunStatus>,
    /// [`RunUpdate::EngineSilent`] was returned last.
    silent: bool,
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
    /// Follows the run: each status that it has, then how it ended.
    pub fn updates(&self) -> RunUpdates {
        RunUpdates { run: self.clone().untyped(), state: State::New, status: None, silent: false }
    }
}

impl RunUpdates {
    /// The next update; `None` after [`RunUpdate::Finished`] or an error. Cancel safe.
    ///
    /// # Errors
    ///
    /// Those of [`RunRef::outcome`].
    pub async fn next(&mut self) -> Option<Result<RunUpdate, ClientError>> {
        if let State::New = self.state {
            let watcher = self.run.client().watcher();
            let outage = watcher.outage();
            let progress = watcher.follow(self.run.id(), self.run.recognition().clone()).await;
            self.state = State::Watching { progress, outage };
        }
        loop {
            let State::Watching { progress, outage } = &mut self.state else { return None };
            let now = progress.borrow_and_update().clone();
            if let Some(result) = now.result {
                self.state = State::Finished;
                return Some(result.map(RunUpdate::Finished));
            }
            let out_of_service = outage.borrow_and_update().clone();
            if self.silent && out_of_service.is_none() {
                self.silent = false;
                return Some(Ok(RunUpdate::EngineAnswers));
            }
            if now.status != self.status
                && let Some(status) = now.status
            {
                self.status = now.status;
                return Some(Ok(RunUpdate::Status(status)));
            }
            let report = out_of_service.filter(|_| !self.silent);
            let report_at = report.as_ref().map(|outage| outage.since + SHORTEST_OUTAGE);
            tokio::select! {
                changed = progress.changed() => {
                    if changed.is_err() && progress.borrow().result.is_none() {
                        self.state = State::Finished;
                        return Some(Err(closed(self.run.id())));
                    }
                }
                // Its sender lives as long as that of the progress.
                Ok(()) = outage.changed() => {}
                Some(error) = async {
                    sleep_until(report_at?).await;
                    report.map(|outage| outage.error)
                } => {
                    self.silent = true;
                    return Some(Ok(RunUpdate::EngineSilent(error)));
                }
            }
        }
    }
}
