//! Decides when NOT_FOUND for a run is an error.
//!
//! An engine may return NOT_FOUND for a run that exists:
//!
//! - A busy real engine does so for up to 1 s after the trigger.
//! - A real engine finds a workflow run by gRPC only once it has a task. A run whose first tasks all wait for
//!   conditions has none, possibly for days. The REST API lists it.
//!
//! So NOT_FOUND is tolerated for a grace period. After [`LIST_AFTER`], the list of the REST API is read as well: a run
//! that is listed exists, and its wait continues. Otherwise NOT_FOUND becomes an error:
//!
//! | run | grace period | grace period if the list cannot be read | error |
//! |---|---|---|---|
//! | found before, through this reference or a clone | [`TRIGGERED_GRACE`] | the same | [`ErrorKind::RunLost`] |
//! | only listed before | [`TRIGGERED_GRACE`] | [`LISTED_GRACE`] | [`ErrorKind::RunLost`] |
//! | triggered by this client | [`TRIGGERED_GRACE`] | [`UNLISTED_GRACE`] | [`ErrorKind::NotFound`]: the workflow is not registered |
//! | given by its id | [`GIVEN_GRACE`] | the same | [`ErrorKind::NotFound`]: the id is wrong |
//!
//! Settings without the address of the REST API count as a list without the run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use crate::hatchet::{
    transport::{ClientError, ErrorKind},
    wire::{RunId, readable_duration},
};

/// Grace period of a new run: ten times the longest delay that was measured on a real engine under load.
const TRIGGERED_GRACE: Duration = Duration::from_secs(10);
/// Grace period of a new run while the list cannot be read: a restart of a REST server.
const UNLISTED_GRACE: Duration = Duration::from_secs(30);
/// Grace period of a run that was given by its id: twice the delay that was measured on a real engine. Shorter than
/// [`TRIGGERED_GRACE`], because the user waits for the error of a wrong id.
const GIVEN_GRACE: Duration = Duration::from_secs(2);
/// Grace period of a run that was listed while the list cannot be read: the time after which a silent engine ends a
/// wait.
const LISTED_GRACE: Duration = Duration::from_secs(300);
/// Time after the first NOT_FOUND at which the list is read.
pub(in crate::hatchet::client) const LIST_AFTER: Duration = GIVEN_GRACE;

/// The result of reading the list of the REST API, for a run that gRPC does not find and that the list does not
/// contain.
#[derive(Debug, Clone, Copy)]
pub(in crate::hatchet::client) enum List<'a> {
    /// The run is not listed, or there is no list.
    Missing,
    /// The list cannot be read.
    Failed(&'a ClientError),
}

/// Evidence that a run exists. Clones share the record of the responses of the engine.
#[derive(Debug, Clone)]
pub(in crate::hatchet::client) struct RunEvidence {
    triggered: bool,
    /// [`UNSEEN`], [`LISTED`] or [`FOUND`].
    seen: Arc<AtomicU8>,
}

const UNSEEN: u8 = 0;
const LISTED: u8 = 1;
const FOUND: u8 = 2;

impl RunEvidence {
    /// A run that this client has just triggered.
    pub(in crate::hatchet::client) fn triggered() -> Self {
        Self { triggered: true, seen: Arc::default() }
    }

    /// A run whose id was given by the caller.
    pub(in crate::hatchet::client) fn given() -> Self {
        Self { triggered: false, seen: Arc::default() }
    }

    /// Records that the engine has returned the run.
    pub(in crate::hatchet::client) fn mark_found(&self) {
        self.seen.store(FOUND, Ordering::Relaxed);
    }

    /// Records that the run is in the list of the REST API.
    pub(in crate::hatchet::client) fn mark_listed(&self) {
        self.seen.fetch_max(LISTED, Ordering::Relaxed);
    }

    /// Whether the engine has ever returned or listed the run.
    pub(in crate::hatchet::client) fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed) != UNSEEN
    }

    fn grace(&self, list: List<'_>) -> Duration {
        match (self.seen.load(Ordering::Relaxed), list) {
            (UNSEEN, _) if !self.triggered => GIVEN_GRACE,
            (UNSEEN, List::Failed(_)) => UNLISTED_GRACE,
            (LISTED, List::Failed(_)) => LISTED_GRACE,
            _ => TRIGGERED_GRACE,
        }
    }

    /// Returns the error of a run that the engine has not found for `unknown_for`, or `None` within the grace period.
    pub(in crate::hatchet::client) fn not_found_error(
        &self,
        run: RunId,
        unknown_for: Duration,
        list: List<'_>,
    ) -> Option<ClientError> {
        (unknown_for >= self.grace(list)).then(|| self.error(run, list))
    }

    fn error(&self, run: RunId, list: List<'_>) -> ClientError {
        let unlisted = match list {
            List::Missing => String::new(),
            List::Failed(error) => format!(". The list of runs cannot be read either: {error}"),
        };
        if self.was_seen() {
            return ClientError::new(
                ErrorKind::RunLost,
                format!(
                    "the engine no longer knows run {run}, which it knew before: it was restarted without its data, or \
                     has deleted the run. Trigger a new run if its work is still needed{unlisted}"
                ),
            );
        }
        let remedy = if self.triggered {
            "Start a worker that registers its workflow"
        } else {
            "Check the id, and whether the run belongs to this engine"
        };
        let grace = readable_duration(self.grace(list));
        let message = format!("run {run} is not known to the engine, after retries for {grace}. {remedy}{unlisted}");
        ClientError::new(ErrorKind::NotFound, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_follows_grace_period() {
        let failure = ClientError::new(ErrorKind::Unreachable, "no REST");
        let (missing, failed) = (List::Missing, List::Failed(&failure));
        let (found, listed) = (RunEvidence::given(), RunEvidence::given());
        found.clone().mark_found();
        found.mark_listed();
        listed.mark_listed();
        let (not_found, lost) = (ErrorKind::NotFound, ErrorKind::RunLost);
        for (evidence, list, grace, kind, text) in [
            (RunEvidence::given(), missing, GIVEN_GRACE, not_found, "after retries for 2s. Check the id"),
            (RunEvidence::given(), failed, GIVEN_GRACE, not_found, "cannot be read either: no REST"),
            (
                RunEvidence::triggered(),
                missing,
                TRIGGERED_GRACE,
                not_found,
                "Start a worker that registers its workflow",
            ),
            (RunEvidence::triggered(), failed, UNLISTED_GRACE, not_found, "cannot be read either: no REST"),
            (found.clone(), missing, TRIGGERED_GRACE, lost, "which it knew before"),
            (found, failed, TRIGGERED_GRACE, lost, "which it knew before"),
            (listed.clone(), missing, TRIGGERED_GRACE, lost, "which it knew before"),
            (listed, failed, LISTED_GRACE, lost, "which it knew before"),
        ] {
            let run = RunId::random();
            assert!(evidence.not_found_error(run, grace - Duration::from_millis(1), list).is_none());
            let error = evidence.not_found_error(run, grace, list).unwrap();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
