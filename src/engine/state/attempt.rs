//! The one table of what can happen to an attempt: a pure function, and the only place where it is decided.
//!
//! ```text
//!                  NotTaken, Cancelled
//!        ┌───────────────────────────────────────► CANCELLED ◄──┐
//!        │                                             ▲        │
//!     QUEUED ──Assigned──► RUNNING ──Cancelled─────────┘        │ Cancelled
//!      ▲ ▲ ▲                │ │ │ └─Completed──► COMPLETED      │
//!      │ │ └─WorkerLost─────┘ │ │                               │
//!      │ │  (attempt + 1)     │ └─Failed, TimedOut (budget ──► FAILED
//!      │ │                    │   used up), WorkerLost          │
//!      │ └─Failed, TimedOut───┤   (ten times)                   │
//!      │   (attempt + 1)      └─the same, with back-off──► BACK-OFF
//!      │                                                   │
//!      └──────────────────────BackOffOver──────────────────┘
//!
//!   WAITING ──Released──► QUEUED        WAITING ──ParentLost, Cancelled──► CANCELLED
//!   WAITING ──Skipped───► COMPLETED     (for its parents; an on-failure task for all others)
//!
//!   COMPLETED, FAILED, CANCELLED ──Replayed──► WAITING (attempt + 1, budgets new)
//! ```
//!
//! What is not in the picture changes nothing: a terminal event for an attempt that is not running any more, or for
//! another attempt, is answered and ignored.

use std::{sync::Arc, time::Duration};

/// Where an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Waits for other tasks of its run. Every task begins so; one that needs no other is released at once.
    Waiting,
    /// Waits for a worker.
    Queued,
    /// Waits between two attempts.
    BackOff,
    /// Assigned to a worker, whether or not the worker has said so.
    Running,
    /// Ended with an output.
    Completed,
    /// Ended with an error and no retry left.
    Failed,
    /// Ended by wish, or because no worker took it in time.
    Cancelled,
}

impl Stage {
    /// Whether nothing but a replay changes it any more.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Waiting | Self::Queued | Self::BackOff | Self::Running => false,
        }
    }
}

/// What happens to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptEvent {
    /// All that it waited for has happened.
    Released,
    /// A parent has ended without an output.
    ParentLost,
    /// It is an on-failure task, and nothing has failed.
    Skipped,
    /// The scheduler found a worker.
    Assigned,
    /// The worker reports an output (JSON text, or empty).
    Completed(Arc<str>),
    /// The worker reports an error.
    Failed {
        /// The error as the worker wrote it.
        error: Arc<str>,
        /// Whether the task's remaining retries may be used.
        may_retry: bool,
    },
    /// The execution timeout is over.
    TimedOut,
    /// The schedule timeout is over.
    NotTaken,
    /// The back-off is over.
    BackOffOver,
    /// The worker has been silent too long.
    WorkerLost,
    /// Someone wants it cancelled.
    Cancelled,
    /// Someone wants it run again.
    Replayed,
}

/// What has been used up so far, and what there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Application failures since the run was made or replayed.
    pub(crate) failures: u32,
    /// Retries that the task declares.
    pub(crate) retries: u32,
    /// Workers lost since the run was made or replayed.
    pub(crate) reassignments: u32,
    /// Workers that may be lost.
    pub(crate) max_reassignments: u32,
    /// The task's back-off.
    pub(crate) backoff: Option<BackOff>,
}

/// Seconds to wait before retry n: `factor` to the n, at most `max`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BackOff {
    /// Base of the power.
    pub(crate) factor: f64,
    /// Upper bound.
    pub(crate) max: Duration,
}

impl BackOff {
    pub(crate) fn before(self, retry: u32) -> Duration {
        let seconds = self.factor.powf(f64::from(retry)).min(self.max.as_secs_f64());
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max)
    }
}

/// What follows from an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: the event comes too early, too late or twice.
    Stay,
    /// Takes its slots and starts.
    Run,
    /// A new attempt, at the cost of one retry.
    Retry(Duration),
    /// A new attempt, at the cost of one reassignment.
    Reassign,
    /// Back into the queue with the same attempt.
    Enqueue,
    /// A new attempt with new budgets, when its parents have completed.
    Restart,
    /// Final, completed.
    Complete,
    /// Final, failed.
    Fail,
    /// Final, cancelled.
    Cancel,
}

/// Decides. Every stage names every event.
pub(crate) fn next(stage: Stage, event: &AttemptEvent, budget: &Budget) -> Step {
    use AttemptEvent as E;
    match stage {
        Stage::Waiting => match event {
            E::Released => Step::Enqueue,
            E::Skipped => Step::Complete,
            E::ParentLost | E::Cancelled => Step::Cancel,
            E::Assigned | E::Completed(_) | E::Failed { .. } | E::TimedOut | E::NotTaken => Step::Stay,
            E::BackOffOver | E::WorkerLost | E::Replayed => Step::Stay,
        },
        Stage::Queued => match event {
            E::Assigned => Step::Run,
            E::NotTaken | E::Cancelled => Step::Cancel,
            E::Completed(_) | E::Failed { .. } | E::TimedOut | E::BackOffOver | E::WorkerLost => Step::Stay,
            E::Released | E::ParentLost | E::Skipped | E::Replayed => Step::Stay,
        },
        Stage::BackOff => match event {
            E::BackOffOver => Step::Enqueue,
            E::Cancelled => Step::Cancel,
            E::Assigned | E::Completed(_) | E::Failed { .. } | E::TimedOut | E::NotTaken | E::WorkerLost => Step::Stay,
            E::Released | E::ParentLost | E::Skipped | E::Replayed => Step::Stay,
        },
        Stage::Running => match event {
            E::Completed(_) => Step::Complete,
            E::Failed { may_retry: false, .. } => Step::Fail,
            E::Failed { may_retry: true, .. } | E::TimedOut => {
                if budget.failures < budget.retries {
                    Step::Retry(budget.backoff.map_or(Duration::ZERO, |b| b.before(budget.failures + 1)))
                } else {
                    Step::Fail
                }
            }
            E::WorkerLost if budget.reassignments < budget.max_reassignments => Step::Reassign,
            E::WorkerLost => Step::Fail,
            E::Cancelled => Step::Cancel,
            E::Assigned | E::NotTaken | E::BackOffOver | E::Replayed => Step::Stay,
            E::Released | E::ParentLost | E::Skipped => Step::Stay,
        },
        Stage::Completed | Stage::Failed | Stage::Cancelled => match event {
            E::Replayed => Step::Restart,
            E::Assigned | E::Completed(_) | E::Failed { .. } | E::TimedOut | E::NotTaken | E::BackOffOver => Step::Stay,
            E::WorkerLost | E::Cancelled | E::Released | E::ParentLost | E::Skipped => Step::Stay,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Step::*;

    const STAGES: [Stage; 7] = [
        Stage::Waiting,
        Stage::Queued,
        Stage::BackOff,
        Stage::Running,
        Stage::Completed,
        Stage::Failed,
        Stage::Cancelled,
    ];

    fn events() -> [AttemptEvent; 13] {
        let failed = |may_retry| AttemptEvent::Failed { error: "e".into(), may_retry };
        [
            AttemptEvent::Assigned,
            AttemptEvent::Completed("{}".into()),
            failed(true),
            failed(false),
            AttemptEvent::TimedOut,
            AttemptEvent::NotTaken,
            AttemptEvent::BackOffOver,
            AttemptEvent::WorkerLost,
            AttemptEvent::Cancelled,
            AttemptEvent::Replayed,
            AttemptEvent::Released,
            AttemptEvent::ParentLost,
            AttemptEvent::Skipped,
        ]
    }

    fn table(budget: Budget) -> Vec<[Step; 13]> {
        STAGES.iter().map(|stage| events().map(|event| next(*stage, &event, &budget))).collect()
    }

    #[test]
    fn every_stage_and_event_with_budget_left() {
        let soon = Retry(Duration::ZERO);
        let left = Budget { failures: 0, retries: 1, reassignments: 0, max_reassignments: 1, backoff: None };
        let last = [Stay, Stay, Stay, Stay, Stay, Stay, Stay, Stay, Stay, Restart, Stay, Stay, Stay];
        let waiting = [Stay, Stay, Stay, Stay, Stay, Stay, Stay, Stay, Cancel, Stay, Enqueue, Cancel, Complete];
        assert_eq!(
            table(left),
            [
                // Assigned Completed Failed fatal TimedOut NotTaken BackOffOver WorkerLost Cancelled Replayed Released
                // ParentLost Skipped
                waiting,
                [Run, Stay, Stay, Stay, Stay, Cancel, Stay, Stay, Cancel, Stay, Stay, Stay, Stay],
                [Stay, Stay, Stay, Stay, Stay, Stay, Enqueue, Stay, Cancel, Stay, Stay, Stay, Stay],
                [Stay, Complete, soon, Fail, soon, Stay, Stay, Reassign, Cancel, Stay, Stay, Stay, Stay],
                last,
                last,
                last,
            ]
        );
    }

    #[test]
    fn every_stage_and_event_with_budget_used_up() {
        let used = Budget { failures: 1, retries: 1, reassignments: 1, max_reassignments: 1, backoff: None };
        let last = [Stay, Stay, Stay, Stay, Stay, Stay, Stay, Stay, Stay, Restart, Stay, Stay, Stay];
        let waiting = [Stay, Stay, Stay, Stay, Stay, Stay, Stay, Stay, Cancel, Stay, Enqueue, Cancel, Complete];
        assert_eq!(
            table(used),
            [
                waiting,
                [Run, Stay, Stay, Stay, Stay, Cancel, Stay, Stay, Cancel, Stay, Stay, Stay, Stay],
                [Stay, Stay, Stay, Stay, Stay, Stay, Enqueue, Stay, Cancel, Stay, Stay, Stay, Stay],
                [Stay, Complete, Fail, Fail, Fail, Stay, Stay, Fail, Cancel, Stay, Stay, Stay, Stay],
                last,
                last,
                last,
            ]
        );
    }

    #[test]
    fn back_off_grows_to_its_bound() {
        let backoff = BackOff { factor: 2.0, max: Duration::from_secs(5) };
        assert_eq!([1, 2, 3, 4000].map(|n| backoff.before(n).as_secs()), [2, 4, 5, 5]);
    }
}
