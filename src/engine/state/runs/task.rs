//! Tasks of runs: their phases and attempts.

use std::sync::Arc;

use super::{
    history::{HistoryEvent, HistoryEventKind, TaskHistory},
    reorder_buffer::ReorderBuffer,
    run::ChildKey,
};
use crate::{
    engine::{
        persistence::{row::RowKey, tracked::Stored},
        state::{
            attempt::Stage,
            scheduler::{QueueId, QueuePosition},
            time::{ClockReading, MonotonicInstant, TimerKey, Timestamp},
        },
    },
    hatchet::wire::{RunId, RunStatus, WorkerId},
};

/// A task of a run, with its current attempt.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) run: RunId,
    /// Number among all tasks, in the order of creation.
    pub(crate) seq: u64,
    /// Index of the task in the run's version.
    pub(crate) spec: usize,
    pub(crate) phase: Phase,
    /// Number of the current attempt, from 0; `retry_count` in messages.
    pub(crate) attempt: i32,
    /// Failed attempts since the run was created or replayed.
    pub(crate) failures: u32,
    /// Workers lost since the run was created or replayed.
    pub(crate) reassignments: u32,
    /// Sequence number of the task's latest assignment among all assignments; 0 if there was none.
    pub(crate) assignment: u64,
    /// The schedule timeout, backoff or execution timeout, by the phase.
    pub(crate) timer: Option<TimerKey>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Option<Timestamp>,
    /// Sequence number of the task's latest end among all ends, restarts included; 0 if there was none.
    pub(crate) finish_seq: u64,
    /// The queue of a queued task, if it is known to differ from the queue of its declaration.
    pub(crate) queue: Option<QueueId>,
    /// Number of concurrency groups of the task that have admitted its current attempt.
    pub(crate) admitted_groups: usize,
    /// Present once the current attempt has streamed a numbered chunk.
    pub(crate) chunks: Option<Box<ReorderBuffer>>,
    pub(crate) history: TaskHistory,
    /// Keys of the child runs that the task has triggered; removed with the task.
    pub(crate) children: Vec<ChildKey>,
}

/// Estimated memory of a task and its share of the run without their payloads, rounded up, in bytes.
const TASK_BYTES: usize = 1024;

/// The stage of a task's current attempt, with the data of this stage.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Number of blockers; see [`Runs::blockers`](super::Runs::blockers).
    Waiting(usize),
    /// Not in a queue yet: a concurrency group has not admitted the task. Clients see it as queued.
    Unadmitted,
    Queued(QueuePosition),
    BackOff,
    Running(Running),
    /// The output: JSON text, or empty.
    Completed(Arc<str>),
    /// The text that the worker reported.
    Failed(Arc<str>),
    /// `true` if the schedule timeout ended the task.
    Cancelled(bool),
}

/// An attempt on a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) worker: WorkerId,
    /// Sequence number of the assignment, which is the key in
    /// [`Worker::running`](crate::engine::state::Worker::running).
    pub(crate) assignment: u64,
    /// Whether the attempt still occupies its slots.
    pub(crate) holds_slots: bool,
    pub(crate) deadline: MonotonicInstant,
    /// Whether the worker has sent a report about the attempt. Before the first report the assignment may be lost.
    pub(crate) acknowledged: bool,
}

impl Task {
    /// A task before its first attempt.
    pub(crate) fn new(run: RunId, seq: u64, spec: usize) -> Self {
        Self {
            run,
            seq,
            spec,
            phase: Phase::Waiting(0),
            attempt: 0,
            failures: 0,
            reassignments: 0,
            assignment: 0,
            timer: None,
            started: None,
            finished: None,
            finish_seq: 0,
            queue: None,
            admitted_groups: 0,
            chunks: None,
            history: TaskHistory::default(),
            children: Vec::new(),
        }
    }

    /// Whether the task is visible in responses. As in a real engine, it is not while it waits for its parents for the
    /// first time.
    pub(crate) fn is_created(&self) -> bool {
        self.attempt > 0 || !matches!(self.phase, Phase::Waiting(_))
    }

    /// Records an event of the current attempt.
    pub(crate) fn record(&mut self, kind: HistoryEventKind, now: ClockReading) {
        self.history.push(&HistoryEvent { at: now.display, attempt: self.attempt, kind });
    }

    /// Whether the current attempt has been queued. Skipped tasks, and tasks whose parents finished without an output,
    /// end without that.
    pub(crate) fn was_queued(&self) -> bool {
        use HistoryEventKind as Kind;
        match self.phase {
            Phase::Waiting(_) => false,
            Phase::Unadmitted | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) | Phase::Failed(_) => true,
            Phase::Completed(_) => self.history.last() != Some(Kind::Skipped),
            Phase::Cancelled(_) => self.history.numbered().any(|(_, e)| {
                e.attempt == self.attempt && !matches!(e.kind, Kind::Cancelled | Kind::Displaced | Kind::Replayed)
            }),
        }
    }

    /// Whether the execution timeout ended the task.
    pub(crate) fn has_timed_out(&self) -> bool {
        matches!(self.phase, Phase::Failed(_)) && matches!(self.history.last(), Some(HistoryEventKind::TimedOut(_)))
    }

    /// The worker of the latest assignment, if its event is retained or the attempt runs.
    pub(crate) fn latest_worker(&self) -> Option<WorkerId> {
        if let Phase::Running(running) = &self.phase { Some(running.worker) } else { self.history.latest_worker() }
    }

    /// Returns the attempt on a worker, if the task is running.
    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.phase {
            Phase::Running(running) => Some(running),
            Phase::Waiting(_) | Phase::Unadmitted | Phase::Queued(_) | Phase::BackOff => None,
            Phase::Completed(_) | Phase::Failed(_) | Phase::Cancelled(_) => None,
        }
    }
}

impl Phase {
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::Waiting(_) => Stage::Waiting,
            Self::Unadmitted | Self::Queued(_) => Stage::Queued,
            Self::BackOff => Stage::BackOff,
            Self::Running(_) => Stage::Running,
            Self::Completed(_) => Stage::Completed,
            Self::Failed(_) => Stage::Failed,
            Self::Cancelled(_) => Stage::Cancelled,
        }
    }

    /// The status in responses.
    pub(crate) fn status(&self) -> RunStatus {
        match self {
            Self::Waiting(_) | Self::Unadmitted | Self::Queued(_) | Self::BackOff => RunStatus::Queued,
            Self::Running(_) => RunStatus::Running,
            Self::Completed(_) => RunStatus::Completed,
            Self::Failed(_) => RunStatus::Failed,
            Self::Cancelled(_) => RunStatus::Cancelled,
        }
    }

    /// The status over REST, which reports a schedule timeout as a failure, unlike gRPC.
    pub(crate) fn rest_status(&self) -> RunStatus {
        if matches!(self, Self::Cancelled(true)) { RunStatus::Failed } else { self.status() }
    }

    /// Estimated memory of a task in this phase in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Completed(text) | Self::Failed(text) => TASK_BYTES + text.len(),
            Self::Waiting(_) | Self::Unadmitted | Self::Queued(_) | Self::BackOff => TASK_BYTES,
            Self::Running(_) | Self::Cancelled(_) => TASK_BYTES,
        }
    }

    /// The output of a completed task.
    pub(crate) fn output(&self) -> Option<&Arc<str>> {
        match self {
            Self::Completed(output) => Some(output),
            Self::Waiting(_) | Self::Unadmitted | Self::Queued(_) | Self::BackOff | Self::Running(_) => None,
            Self::Failed(_) | Self::Cancelled(_) => None,
        }
    }

    /// The error of a task that has finished without an output; empty for a cancelled task.
    pub(crate) fn error(&self) -> Option<&str> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Cancelled(_) => Some(""),
            Self::Waiting(_) | Self::Unadmitted | Self::Queued(_) | Self::BackOff => None,
            Self::Running(_) | Self::Completed(_) => None,
        }
    }
}

impl Stored<RunId> for Task {
    fn row_key(&self, _: &RunId) -> RowKey {
        RowKey::Number(self.seq)
    }

    fn bytes(&self) -> usize {
        self.phase.bytes()
    }
}
