//! Decides when NOT_FOUND for a run is an error.
//!
//! An engine may return NOT_FOUND for a run that exists: a busy real engine did so for 1 s after the trigger. So
//! NOT_FOUND is tolerated for a grace period, and becomes an error afterwards:
//!
//! | run | grace period | error |
//! |---|---|---|
//! | seen before, through this reference or a clone | [`TRIGGERED_GRACE`] | [`ErrorKind::RunLost`] |
//! | triggered by this client | [`TRIGGERED_GRACE`] | [`ErrorKind::NotFound`]: the workflow is not registered |
//! | given by its id | [`GIVEN_GRACE`] | [`ErrorKind::NotFound`]: the id is wrong |

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::hatchet::{
    transport::{ClientError, ErrorKind},
    wire::{RunId, readable_duration},
};

/// Grace period of a new run: ten times the longest delay that was measured on a real engine under load.
const TRIGGERED_GRACE: Duration = Duration::from_secs(10);
/// Grace period of a run that was given by its id: twice the delay that was measured on a real engine. Shorter than
/// [`TRIGGERED_GRACE`], because the user waits for the error of a wrong id.
const GIVEN_GRACE: Duration = Duration::from_secs(2);

/// Evidence that a run exists. Clones share the record that the engine has returned the run.
#[derive(Debug, Clone)]
pub(in crate::hatchet::client) struct RunEvidence {
    triggered: bool,
    seen: Arc<AtomicBool>,
}

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
    pub(in crate::hatchet::client) fn mark_seen(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// Whether the engine has ever returned the run.
    pub(in crate::hatchet::client) fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    fn grace(&self) -> Duration {
        if self.triggered || self.was_seen() { TRIGGERED_GRACE } else { GIVEN_GRACE }
    }

    /// Returns the error of a run that the engine has not found for `unknown_for`, or `None` within the grace period.
    pub(in crate::hatchet::client) fn not_found_error(&self, run: RunId, unknown_for: Duration) -> Option<ClientError> {
        (unknown_for >= self.grace()).then(|| self.error(run))
    }

    fn error(&self, run: RunId) -> ClientError {
        if self.was_seen() {
            return ClientError::new(
                ErrorKind::RunLost,
                format!(
                    "the engine no longer knows run {run}, which it knew before: it was restarted without its data, or \
                     has deleted the run. Trigger a new run if its work is still needed"
                ),
            );
        }
        let remedy = if self.triggered {
            "Start a worker that registers its workflow"
        } else {
            "Check the id, and whether the run belongs to this engine"
        };
        let grace = readable_duration(self.grace());
        let message = format!("run {run} is not known to the engine, after retries for {grace}. {remedy}");
        ClientError::new(ErrorKind::NotFound, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_follows_grace_period() {
        let (given, triggered, seen) = (RunEvidence::given(), RunEvidence::triggered(), RunEvidence::given());
        seen.clone().mark_seen();
        for (evidence, grace, kind, text) in [
            (given, GIVEN_GRACE, ErrorKind::NotFound, "after retries for 2s. Check the id"),
            (triggered, TRIGGERED_GRACE, ErrorKind::NotFound, "Start a worker that registers its workflow"),
            (seen, TRIGGERED_GRACE, ErrorKind::RunLost, "which it knew before"),
        ] {
            let run = RunId::random();
            assert!(evidence.not_found_error(run, grace - Duration::from_millis(1)).is_none());
            let error = evidence.not_found_error(run, grace).unwrap();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
