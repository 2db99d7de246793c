//! The state machine of an attempt: one pure function, [`transition`], and the only place that decides transitions.
//!
//! ```text
//!            Released           Assigned            Completed
//!  WAITING ───────────► QUEUED ──────────► RUNNING ───────────► COMPLETED
//!                        ▲  ▲              │  │  │
//!         BackOffElapsed │  │  WorkerLost  │  │  │ Failed, TimedOut, WorkerLost
//!                        │  └──────────────┘  │  └──────────────────────────────► FAILED
//!                        │   Failed, TimedOut │    (budget used up)
//!                      BACKOFF ◄──────────────┘
//!
//!  WAITING ──Skipped──► COMPLETED           QUEUED ──ScheduleTimedOut──► CANCELLED
//!  WAITING ──ParentLost, ConditionCancelled──► CANCELLED
//!  WAITING ──Rejected──► FAILED             every stage that is not final ──Cancelled, Displaced──► CANCELLED
//!  COMPLETED, FAILED, CANCELLED ──Replayed──► WAITING
//! ```
//!
//! - `WorkerLost`, `Failed` and `TimedOut` start the next attempt while their budget lasts. A retry without a delay
//!   skips BACKOFF.
//! - Failed attempts and lost workers have separate budgets, as losing a worker is not the task's fault. `Replayed`
//!   starts the next attempt with full budgets.
//! - An event without an arrow from the current stage is ignored: a worker's report about an attempt that has finished
//!   is acknowledged and changes nothing.

use std::{sync::Arc, time::Duration};

/// Decides the consequence of an event.
///
/// The match lists every event, so that the compiler requires a decision for each new event.
pub(crate) fn transition(stage: Stage, event: &AttemptEvent, budget: &Budget) -> Transition {
    let only_from = |source: Stage, transition| if stage == source { transition } else { Transition::Ignore };
    match event {
        AttemptEvent::Released => only_from(Stage::Waiting, Transition::Enqueue),
        AttemptEvent::Rejected(_) => only_from(Stage::Waiting, Transition::Fail),
        AttemptEvent::Skipped => only_from(Stage::Waiting, Transition::Skip),
        AttemptEvent::ParentLost | AttemptEvent::ConditionCancelled => {
            only_from(Stage::Waiting, Transition::Cancel(CancelCause::Requested))
        }
        AttemptEvent::Assigned => only_from(Stage::Queued, Transition::Run),
        AttemptEvent::ScheduleTimedOut => only_from(Stage::Queued, Transition::Cancel(CancelCause::ScheduleTimedOut)),
        AttemptEvent::BackOffElapsed => only_from(Stage::BackOff, Transition::Enqueue),
        AttemptEvent::Completed(_) => only_from(Stage::Running, Transition::Complete),
        AttemptEvent::Failed { may_retry: false, .. } => only_from(Stage::Running, Transition::Fail),
        AttemptEvent::Failed { may_retry: true, retry_after, .. } => {
            only_from(Stage::Running, budget.retry_or_fail(*retry_after))
        }
        AttemptEvent::TimedOut => only_from(Stage::Running, budget.retry_or_fail(None)),
        AttemptEvent::WorkerLost => only_from(Stage::Running, budget.reassign_or_fail()),
        AttemptEvent::Cancelled | AttemptEvent::Displaced if stage.is_final() => Transition::Ignore,
        AttemptEvent::Cancelled => Transition::Cancel(CancelCause::Requested),
        AttemptEvent::Displaced => Transition::Cancel(CancelCause::Displaced),
        AttemptEvent::Replayed if stage.is_final() => Transition::Restart,
        AttemptEvent::Replayed => Transition::Ignore,
    }
}

/// The stage of an attempt, from which events lead to other stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Blocked by other tasks of its run or by its conditions. The initial stage; a task without both is released
    /// immediately.
    Waiting,
    /// Waiting for a worker, or for admission by the limits of the run.
    Queued,
    /// Waiting between two attempts.
    BackOff,
    /// Assigned to a worker, whether or not the worker has acknowledged it.
    Running,
    /// Ended with an output.
    Completed,
    /// Ended with an error and no retry left.
    Failed,
    /// Ended by a cancellation, by its conditions, by a parent without an output or by the schedule timeout.
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

/// An event that can change the stage of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptEvent {
    /// The task has no blockers left.
    Released,
    /// The task has no blockers left, but an expression of its limits failed with this error.
    Rejected(Arc<str>),
    /// The task does not run: it is an on-failure task and no task failed, or its conditions or its parents skip it.
    Skipped,
    /// A parent has finished without an output.
    ParentLost,
    /// The conditions of the task cancel it.
    ConditionCancelled,
    /// The scheduler found a worker.
    Assigned,
    /// The schedule timeout has elapsed.
    ScheduleTimedOut,
    /// The delay before a retry has elapsed.
    BackOffElapsed,
    /// The worker reported an output (JSON text, or empty).
    Completed(Arc<str>),
    /// The worker reported an error.
    Failed {
        /// The error as the worker wrote it.
        error: Arc<str>,
        /// Whether the task's remaining retries may be used.
        may_retry: bool,
        /// Delay before the retry, instead of the task's back-off.
        retry_after: Option<Duration>,
    },
    /// The execution timeout has elapsed.
    TimedOut,
    /// The worker's lease has expired, or the assignment could not be delivered.
    WorkerLost,
    /// A cancellation was requested.
    Cancelled,
    /// The strategy of its concurrency group cancels the task.
    Displaced,
    /// A replay was requested.
    Replayed,
}

/// The consequence of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transition {
    /// No change: the event is too early, too late or repeated.
    Ignore,
    /// Occupies its slots and starts.
    Run,
    /// Starts the next attempt after a delay; uses one retry.
    Retry(Duration),
    /// Starts the next attempt; uses one reassignment.
    Reassign,
    /// Queues the current attempt.
    Enqueue,
    /// Starts the next attempt with full budgets, once the parents have completed.
    Restart,
    /// Ends as completed, with the output of the event.
    Complete,
    /// Ends as completed, with the output of a skipped task.
    Skip,
    Fail,
    /// Ends as cancelled.
    Cancel(CancelCause),
}

/// The cause of a cancellation, as the history of the task shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CancelCause {
    /// A request, the conditions of the task, or a parent without an output.
    Requested,
    /// The strategy of its concurrency group.
    Displaced,
    ScheduleTimedOut,
}

/// The budgets of a task and their use since the run was created or replayed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// Failed attempts.
    pub(crate) failures: u32,
    /// Retries that the task declares.
    pub(crate) retries: u32,
    /// Lost workers.
    pub(crate) reassignments: u32,
    /// Number of workers that may be lost before the task fails.
    pub(crate) max_reassignments: u32,
    /// Delay before a retry.
    pub(crate) backoff: Option<BackOff>,
}

impl Budget {
    fn retry_or_fail(&self, retry_after: Option<Duration>) -> Transition {
        if self.failures >= self.retries {
            return Transition::Fail;
        }
        let backoff = || self.backoff.map_or(Duration::ZERO, |backoff| backoff.before(self.failures + 1));
        Transition::Retry(retry_after.unwrap_or_else(backoff))
    }

    fn reassign_or_fail(&self) -> Transition {
        if self.reassignments < self.max_reassignments { Transition::Reassign } else { Transition::Fail }
    }
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
    /// The delay before a retry; the first retry is number 1.
    pub(crate) fn before(self, retry: u32) -> Duration {
        let seconds = self.factor.powf(f64::from(retry)).min(self.max.as_secs_f64());
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Transition::*;

    /// The transition of every event by stage, with budget left: waiting, queued, backoff, running, final.
    fn table() -> [(AttemptEvent, [Transition; 5]); 16] {
        let failed = |may_retry| AttemptEvent::Failed { error: "e".into(), may_retry, retry_after: None };
        let (retry, cancel) = (Retry(Duration::ZERO), Cancel(CancelCause::Requested));
        let (displace, expire) = (Cancel(CancelCause::Displaced), Cancel(CancelCause::ScheduleTimedOut));
        [
            (AttemptEvent::Released, [Enqueue, Ignore, Ignore, Ignore, Ignore]),
            (AttemptEvent::Rejected("e".into()), [Fail, Ignore, Ignore, Ignore, Ignore]),
            (AttemptEvent::Skipped, [Skip, Ignore, Ignore, Ignore, Ignore]),
            (AttemptEvent::ParentLost, [cancel, Ignore, Ignore, Ignore, Ignore]),
            (AttemptEvent::ConditionCancelled, [cancel, Ignore, Ignore, Ignore, Ignore]),
            (AttemptEvent::Assigned, [Ignore, Run, Ignore, Ignore, Ignore]),
            (AttemptEvent::ScheduleTimedOut, [Ignore, expire, Ignore, Ignore, Ignore]),
            (AttemptEvent::BackOffElapsed, [Ignore, Ignore, Enqueue, Ignore, Ignore]),
            (AttemptEvent::Completed("{}".into()), [Ignore, Ignore, Ignore, Complete, Ignore]),
            (failed(true), [Ignore, Ignore, Ignore, retry, Ignore]),
            (failed(false), [Ignore, Ignore, Ignore, Fail, Ignore]),
            (AttemptEvent::TimedOut, [Ignore, Ignore, Ignore, retry, Ignore]),
            (AttemptEvent::WorkerLost, [Ignore, Ignore, Ignore, Reassign, Ignore]),
            (AttemptEvent::Cancelled, [cancel, cancel, cancel, cancel, Ignore]),
            (AttemptEvent::Displaced, [displace, displace, displace, displace, Ignore]),
            (AttemptEvent::Replayed, [Ignore, Ignore, Ignore, Ignore, Restart]),
        ]
    }

    const COLUMNS: [&[Stage]; 5] = [
        &[Stage::Waiting],
        &[Stage::Queued],
        &[Stage::BackOff],
        &[Stage::Running],
        &[Stage::Completed, Stage::Failed, Stage::Cancelled],
    ];

    #[test]
    fn transitions_follow_table_for_every_stage_event_and_budget() {
        for (retries, max_reassignments) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let budget = Budget { failures: 0, retries, reassignments: 0, max_reassignments, backoff: None };
            for (event, row) in table() {
                for (stages, with_budget) in COLUMNS.iter().zip(row) {
                    let expected = match with_budget {
                        Retry(_) if retries == 0 => Fail,
                        Reassign if max_reassignments == 0 => Fail,
                        other => other,
                    };
                    for stage in *stages {
                        assert_eq!(transition(*stage, &event, &budget), expected, "{stage:?} {event:?} {budget:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn retry_is_delayed_by_next_backoff() {
        let backoff = Some(BackOff { factor: 2.0, max: Duration::from_secs(60) });
        let budget = Budget { failures: 2, retries: 3, reassignments: 0, max_reassignments: 0, backoff };
        let delay = Retry(Duration::from_secs(8));
        assert_eq!(transition(Stage::Running, &AttemptEvent::TimedOut, &budget), delay);
        let used_up = Budget { failures: 3, ..budget };
        assert_eq!(transition(Stage::Running, &AttemptEvent::TimedOut, &used_up), Fail);
        let after = Some(Duration::from_millis(1500));
        let chosen = AttemptEvent::Failed { error: "e".into(), may_retry: true, retry_after: after };
        assert_eq!(transition(Stage::Running, &chosen, &budget), Retry(Duration::from_millis(1500)));
        assert_eq!(transition(Stage::Running, &chosen, &used_up), Fail, "a chosen delay uses a retry");
    }

    #[test]
    fn backoff_grows_to_its_maximum() {
        let backoff = BackOff { factor: 2.0, max: Duration::from_secs(5) };
        assert_eq!([1, 2, 3, 4000].map(|n| backoff.before(n).as_secs()), [2, 4, 5, 5]);
    }
}
