//! The engine's core: a deterministic state machine without input or output.
//!
//! Every method of [`State`] is an event or a query. An event takes the [`ClockReading`] at which it occurs, changes
//! the state and leaves [`Effect`]s for the driver. Nothing here reads a clock, draws a random number (the driver
//! passes a generator of ids), waits or locks, so a test can replay any history in virtual time.
//!
//! A run has tasks, and a task has a current attempt. In a workflow of one task, the run and the task have the same id.
//!
//! | part | owns |
//! |---|---|
//! | [`attempt`] | the transitions of an attempt: a pure function, with its diagram |
//! | [`workflows`] | definitions, their versions, pauses |
//! | [`runs`] | runs, tasks, child runs, history, retention |
//! | [`conditions`] | conditions that start, skip or cancel a task |
//! | [`predicate`] | CEL expressions of conditions and filters |
//! | [`scheduler`] | queues, worker pools, turns |
//! | [`workers`] | workers, streams, leases |
//! | [`triggers`] | events and their filters, schedules, crons |
//! | [`expression`] | expressions of limits, over the data of a run |
//! | [`limits`] | the limits of a run, as its workflow's expressions evaluate for it |
//! | [`concurrency`] | concurrency groups |
//! | [`rate_limits`] | rate limits and the queues that wait for units |
//! | [`placement`] | the choice of a worker: sticky workflows and labels |
//! | [`idempotency`] | expressions, and the claimed keys |
//! | [`logs`] | log lines |
//! | [`slots`] | units of capacity that workers offer and attempts occupy |
//! | [`effect`] | effects, which the driver carries out after an event |
//! | [`time`] | clock readings and timers |
//! | [`machine`] | [`State`], which wires these together |
//! | [`metadata`] | additional metadata of runs |
//! | `operations` | events that involve several parts |
//! | `query` | read-only queries |
//! | `snapshot` | conversion of the state to rows and back |
//!
//! The parts do not depend on `machine`, and `machine` does not depend on `operations`.

pub(crate) mod attempt;
pub(crate) mod concurrency;
pub(crate) mod conditions;
pub(crate) mod effect;
pub(crate) mod expression;
pub(crate) mod idempotency;
pub(crate) mod limits;
pub(crate) mod logs;
pub(crate) mod machine;
pub(crate) mod metadata;
mod operations;
pub(crate) mod placement;
pub(crate) mod predicate;
mod query;
pub(crate) mod rate_limits;
pub(crate) mod runs;
pub(crate) mod scheduler;
pub(crate) mod slots;
mod snapshot;
#[cfg(test)]
mod tests;
pub(crate) mod time;
pub(crate) mod triggers;
pub(crate) mod workers;
pub(crate) mod workflows;

#[cfg(any(feature = "durable", test))]
pub(crate) use self::snapshot::{Restore, Validate, ValidateFilter};
pub(crate) use self::{
    effect::{Effect, TaskEvent},
    logs::LogLine,
    machine::{Capacity, State},
    operations::{AttemptReport, Desired, FilterError, TriggerError, TriggerItem, Triggered, claim_for},
    predicate::FilterRule,
    runs::{HistoryEvent, HistoryEventKind, Origin, Parent, Phase, Run, RunFilter, Task},
    time::{ClockReading, MonotonicInstant, NextDeadline, Timestamp},
    triggers::{Cron, CronError, Event, EventFilter, PushedEvent, RunTemplate, ScheduledRun},
    workers::{Registration, StreamId, Worker, WorkerError, WorkerStatus},
    workflows::{Pause, PauseBehavior, Version},
};
