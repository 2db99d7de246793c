//! The state machine of an attempt: one pure function, and the only place where its transitions are decided.
//!
//! ```text
//!                  ScheduleTimedOut, Cancelled
//!        ┌───────────────────────────────────────► CANCELLED ◄──┐
//!        │                                             ▲        │
//!     QUEUED ──Assigned──► RUNNING ──Cancelled─────────┘        │ Cancelled
//!      ▲ ▲ ▲                │ │ │ └─Completed──► COMPLETED      │
//!      │ │ └─WorkerLost─────┘ │ │                               │
//!      │ │  (attempt + 1)     │ └─Failed or TimedOut without ──► FAILED
//!      │ │                    │   retries left, WorkerLost      │
//!      │ └─Failed, TimedOut───┤   (eleventh time)               │
//!      │   (attempt + 1)      └─the same, with back-off──► BACK-OFF
//!      │                                                   │
//!      └──────────────────────BackOffElapsed───────────────┘
//!
//!   WAITING ──Released──► QUEUED        WAITING ──ParentLost, Cancelled──► CANCELLED
//!   WAITING ──Skipped───► COMPLETED     (for parents; an on-failure task for all other tasks)
//!
//!   COMPLETED, FAILED, CANCELLED ──Replayed──► WAITING (attempt + 1, budgets reset)
//! ```
//!
//! An event that the diagram does not show for a stage is ignored: a worker's report about an attempt that has ended is
//! acknowledged and changes nothing. Failures and lost workers have separate budgets, as losing a worker is not the
//! task's fault.

use std::{sync::Arc, time::Duration};

/// The stage of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Waits for other tasks of its run. Every task begins here; one without parents is released at once.
    Waiting,
    /// Waits for a worker.
    Queued,
    /// Waits between two attempts.
    BackOff,
    /// Assigned to a worker, whether or not the worker has acknowledged it.
    Running,
    /// Ended with an output.
    Completed,
    /// Ended with an error and no retry left.
    Failed,
    /// Ended by a cancellation or by the schedule timeout.
    Cancelled,
}

impl Stage {
    /// Whether only a replay leaves the stage.
    pub(crate) fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Waiting | Self::Queued | Self::BackOff | Self::Running => false,
        }
    }
}

/// An event of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptEvent {
    /// The task has no blockers left.
    Released,
    /// A parent has ended without an output.
    ParentLost,
    /// The task is an on-failure task, and no task failed.
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
    /// The execution timeout passed.
    TimedOut,
    /// The schedule timeout passed.
    ScheduleTimedOut,
    /// The back-off passed.
    BackOffElapsed,
    /// The worker's lease expired.
    WorkerLost,
    /// A cancellation was requested.
    Cancelled,
    /// A replay was requested.
    Replayed,
}

/// How much of an attempt's budgets is used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Failed attempts since the run was created or replayed.
    pub(crate) failures: u32,
    /// Retries that the task declares.
    pub(crate) retries: u32,
    /// Workers lost since the run was created or replayed.
    pub(crate) reassignments: u32,
    /// Workers that may be lost before the task fails.
    pub(crate) max_reassignments: u32,
    /// Delay before a retry.
    pub(crate) backoff: Option<BackOff>,
}

/// Delay before retry n: `factor` to the power of n, in seconds, at most `max`.
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

/// The consequence of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transition {
    /// No change: the event is too early, too late or repeated.
    Ignore,
    /// Occupies its slots and starts.
    Run,
    /// Another attempt after a delay; uses one retry.
    Retry(Duration),
    /// Another attempt; uses one reassignment.
    Reassign,
    /// Queued with the same attempt.
    Enqueue,
    /// Another attempt with full budgets, once its parents have completed.
    Restart,
    /// Final, completed.
    Complete,
    /// Final, failed.
    Fail,
    /// Final, cancelled.
    Cancel,
}

/// Decides the consequence of an event. Every stage lists every event, so that a new one cannot be forgotten.
pub(crate) fn transition(stage: Stage, event: &AttemptEvent, budget: &Budget) -> Transition {
    use AttemptEvent as E;
    match stage {
        Stage::Waiting => match event {
            E::Released => Transition::Enqueue,
            E::Skipped => Transition::Complete,
            E::ParentLost | E::Cancelled => Transition::Cancel,
            E::Assigned | E::Completed(_) | E::Failed { .. } | E::TimedOut | E::ScheduleTimedOut => Transition::Ignore,
            E::BackOffElapsed | E::WorkerLost | E::Replayed => Transition::Ignore,
        },
        Stage::Queued => match event {
            E::Assigned => Transition::Run,
            E::ScheduleTimedOut | E::Cancelled => Transition::Cancel,
            E::Completed(_) | E::Failed { .. } | E::TimedOut | E::BackOffElapsed | E::WorkerLost => Transition::Ignore,
            E::Released | E::ParentLost | E::Skipped | E::Replayed => Transition::Ignore,
        },
        Stage::BackOff => match event {
            E::BackOffElapsed => Transition::Enqueue,
            E::Cancelled => Transition::Cancel,
            E::Assigned | E::Completed(_) | E::Failed { .. } | E::TimedOut | E::ScheduleTimedOut | E::WorkerLost => {
                Transition::Ignore
            }
            E::Released | E::ParentLost | E::Skipped | E::Replayed => Transition::Ignore,
        },
        Stage::Running => match event {
            E::Completed(_) => Transition::Complete,
            E::Failed { may_retry: false, .. } => Transition::Fail,
            E::Failed { may_retry: true, .. } | E::TimedOut => {
                if budget.failures < budget.retries {
                    Transition::Retry(budget.backoff.map_or(Duration::ZERO, |b| b.before(budget.failures + 1)))
                } else {
                    Transition::Fail
                }
            }
            E::WorkerLost if budget.reassignments < budget.max_reassignments => Transition::Reassign,
            E::WorkerLost => Transition::Fail,
            E::Cancelled => Transition::Cancel,
            E::Assigned | E::ScheduleTimedOut | E::BackOffElapsed | E::Replayed => Transition::Ignore,
            E::Released | E::ParentLost | E::Skipped => Transition::Ignore,
        },
        Stage::Completed | Stage::Failed | Stage::Cancelled => match event {
            E::Replayed => Transition::Restart,
            E::Assigned
            | E::Completed(_)
            | E::Failed { .. }
            | E::TimedOut
            | E::ScheduleTimedOut
            | E::BackOffElapsed => Transition::Ignore,
            E::WorkerLost | E::Cancelled | E::Released | E::ParentLost | E::Skipped => Transition::Ignore,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transition::*;

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
            AttemptEvent::ScheduleTimedOut,
            AttemptEvent::BackOffElapsed,
            AttemptEvent::WorkerLost,
            AttemptEvent::Cancelled,
            AttemptEvent::Replayed,
            AttemptEvent::Released,
            AttemptEvent::ParentLost,
            AttemptEvent::Skipped,
        ]
    }

    fn table(budget: Budget) -> Vec<[Transition; 13]> {
        STAGES.iter().map(|stage| events().map(|event| transition(*stage, &event, &budget))).collect()
    }

    #[test]
    fn transitions_with_budget_left() {
        let soon = Retry(Duration::ZERO);
        let left = Budget { failures: 0, retries: 1, reassignments: 0, max_reassignments: 1, backoff: None };
        let last =
            [Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Restart, Ignore, Ignore, Ignore];
        let waiting =
            [Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Cancel, Ignore, Enqueue, Cancel, Complete];
        assert_eq!(
            table(left),
            [
                // Assigned Completed Failed fatal TimedOut ScheduleTimedOut BackOffElapsed WorkerLost Cancelled Replayed Released
                // ParentLost Skipped
                waiting,
                [Run, Ignore, Ignore, Ignore, Ignore, Cancel, Ignore, Ignore, Cancel, Ignore, Ignore, Ignore, Ignore],
                [
                    Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Enqueue, Ignore, Cancel, Ignore, Ignore, Ignore,
                    Ignore
                ],
                [Ignore, Complete, soon, Fail, soon, Ignore, Ignore, Reassign, Cancel, Ignore, Ignore, Ignore, Ignore],
                last,
                last,
                last,
            ]
        );
    }

    #[test]
    fn transitions_with_budget_used_up() {
        let used = Budget { failures: 1, retries: 1, reassignments: 1, max_reassignments: 1, backoff: None };
        let last =
            [Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Restart, Ignore, Ignore, Ignore];
        let waiting =
            [Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Cancel, Ignore, Enqueue, Cancel, Complete];
        assert_eq!(
            table(used),
            [
                waiting,
                [Run, Ignore, Ignore, Ignore, Ignore, Cancel, Ignore, Ignore, Cancel, Ignore, Ignore, Ignore, Ignore],
                [
                    Ignore, Ignore, Ignore, Ignore, Ignore, Ignore, Enqueue, Ignore, Cancel, Ignore, Ignore, Ignore,
                    Ignore
                ],
                [Ignore, Complete, Fail, Fail, Fail, Ignore, Ignore, Fail, Cancel, Ignore, Ignore, Ignore, Ignore],
                last,
                last,
                last,
            ]
        );
    }

    #[test]
    fn back_off_grows_to_its_maximum() {
        let backoff = BackOff { factor: 2.0, max: Duration::from_secs(5) };
        assert_eq!([1, 2, 3, 4000].map(|n| backoff.before(n).as_secs()), [2, 4, 5, 5]);
    }
}
