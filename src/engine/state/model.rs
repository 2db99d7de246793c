//! The things the state is made of.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    ClockReading, MonotonicInstant, Timestamp,
    attempt::{BackOff, Stage},
    runs::chunks::Chunks,
    runs::history::Trail,
    scheduler::pool::CrewId,
    scheduler::queues::{LaneId, Place},
    timers::AlarmKey,
};
use crate::{
    engine::{cron::CronRule, state::triggers::idempotency::Expression},
    hatchet::wire::{RunId, RunStatus, WorkerId, proto, proto::v1},
};

/// Units of each slot type that one attempt takes, in the order of their names.
pub(crate) type Needs = Arc<[(Arc<str>, i64)]>;

/// A declaration, checked at the door.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) tasks: Vec<TaskDefinition>,
    pub(crate) default_priority: i32,
    pub(crate) idempotency: Option<Idempotency>,
    /// Keys of events that start a run; `*` stands for any text.
    pub(crate) events: Vec<String>,
    /// When runs start by themselves, and with which input.
    pub(crate) crons: Vec<CronRule>,
    pub(crate) cron_input: Arc<str>,
    /// The declaration as it came: the same content is the same version.
    pub(crate) content: v1::CreateWorkflowVersionRequest,
}

/// One task of a declaration.
#[derive(Debug, Clone)]
pub(crate) struct TaskDefinition {
    pub(crate) name: String,
    pub(crate) action: String,
    pub(crate) needs: Vec<(String, i64)>,
    /// The execution timeout and the text it was declared with, which its error repeats.
    pub(crate) timeout: (Duration, String),
    pub(crate) schedule_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) backoff: Option<BackOff>,
    /// Which of the definition's tasks must have completed before.
    pub(crate) parents: Vec<usize>,
    /// Runs when all others have ended and one has failed. At most one, the last.
    pub(crate) on_failure: bool,
}

/// When a second trigger is a repetition of the first.
#[derive(Debug)]
pub(crate) struct Idempotency {
    pub(crate) expression: Expression,
    pub(crate) lease: Lease,
}

/// How long an idempotency key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) ttl: Duration,
    /// Also freed when the run ends.
    pub(crate) until_end: bool,
}

/// A workflow by its name, with its newest version.
#[derive(Debug)]
pub(crate) struct Workflow {
    pub(crate) id: Uuid,
    pub(crate) created: Timestamp,
    pub(crate) version: Arc<Version>,
}

/// A version of a workflow. Runs keep the one they were made with.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) id: Uuid,
    pub(crate) workflow_id: Uuid,
    pub(crate) workflow: Arc<str>,
    pub(crate) order: i64,
    pub(crate) created: Timestamp,
    pub(crate) tasks: Vec<TaskSpec>,
    pub(crate) default_priority: i32,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) events: Vec<Arc<str>>,
    pub(crate) content: v1::CreateWorkflowVersionRequest,
}

impl Version {
    /// Which of the tasks is for failures.
    pub(crate) fn on_failure(&self) -> Option<usize> {
        self.tasks.len().checked_sub(1).filter(|last| self.tasks[*last].on_failure)
    }
}

/// A task of a version.
#[derive(Debug)]
pub(crate) struct TaskSpec {
    /// `task_id` and `job_id` on the wire.
    pub(crate) id: Uuid,
    pub(crate) name: Arc<str>,
    pub(crate) action: Arc<str>,
    pub(crate) lane: LaneId,
    pub(crate) needs: Needs,
    pub(crate) timeout: (Duration, String),
    pub(crate) schedule_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) backoff: Option<BackOff>,
    pub(crate) parents: Vec<usize>,
    /// Whose parent it is.
    pub(crate) children: Vec<usize>,
    pub(crate) on_failure: bool,
}

/// A run of a workflow.
#[derive(Debug)]
pub(crate) struct Run {
    /// Counts up over all runs: the order of their making.
    pub(crate) seq: u64,
    pub(crate) version: Arc<Version>,
    /// A JSON object, byte for byte as it came, or `null`.
    pub(crate) input: Arc<str>,
    /// A JSON object.
    pub(crate) metadata: Arc<str>,
    pub(crate) priority: i32,
    pub(crate) parent: Option<Parent>,
    pub(crate) origin: Origin,
    pub(crate) created: Timestamp,
    /// In the order of the version's tasks. A workflow of one task has one id for both.
    pub(crate) tasks: Vec<RunId>,
    /// How many of them have not ended.
    pub(crate) open: usize,
    pub(crate) finished: Option<End>,
    /// The idempotency key it holds until its end.
    pub(crate) claim: Option<Arc<str>>,
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// As it is shown.
    pub(crate) at: Timestamp,
    /// Grows from end to end, whatever the wall clock says.
    pub(crate) number: u64,
    /// When it is too old to be kept.
    pub(crate) until: MonotonicInstant,
}

/// What a run came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A call; a child's parent stands beside it.
    Call,
    Event {
        id: Uuid,
        key: Arc<str>,
    },
    Schedule(Uuid),
    Cron,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call => f.write_str("a call"),
            Self::Event { id, key } => write!(f, "event {id} (`{key}`)"),
            Self::Schedule(id) => write!(f, "schedule {id}"),
            Self::Cron => f.write_str("its cron"),
        }
    }
}

/// Who triggered a child run.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) task: RunId,
    pub(crate) index: Option<i32>,
    pub(crate) key: Option<Arc<str>>,
}

/// What makes two children of one parent the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ChildKey {
    Key(Arc<str>),
    Index(i32),
}

/// A task of a run, with its current attempt.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) run: RunId,
    /// Counts up over all tasks.
    pub(crate) seq: u64,
    /// Which of the version's tasks it is.
    pub(crate) spec: usize,
    pub(crate) phase: Phase,
    /// The attempt's number, `retry_count` on the wire.
    pub(crate) attempt: i32,
    pub(crate) failures: u32,
    pub(crate) reassignments: u32,
    /// The how-manieth assignment of all its last one was; zero before the first.
    pub(crate) assigned: u64,
    pub(crate) alarm: Option<AlarmKey>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) finished: Option<Timestamp>,
    /// The how-manieth end of all its last one was, over restarts too; zero before the first.
    pub(crate) end: u64,
    /// Only for one that has streamed.
    pub(crate) chunks: Option<Box<Chunks>>,
    pub(crate) history: Trail,
    /// What it triggered: forgotten with it.
    pub(crate) children: Vec<ChildKey>,
}

/// What a task and its part of a run take beside their payloads, rounded up.
const TASK_BYTES: usize = 1024;

/// Where a task stands, with what belongs to that stage alone.
#[derive(Debug)]
pub(crate) enum Phase {
    /// For so many tasks of its run: parents that have not completed, or for an on-failure task all that have not
    /// ended.
    Waiting(usize),
    Queued(Place),
    BackOff,
    Running(Running),
    Completed(Arc<str>),
    Failed(Arc<str>),
    /// `true` if no worker took it in time.
    Cancelled(bool),
}

/// An attempt on a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) worker: WorkerId,
    /// Its place in the worker's list.
    pub(crate) seq: u64,
    /// Whether it still takes its slots.
    pub(crate) holds: bool,
    pub(crate) deadline: MonotonicInstant,
    /// Whether the worker has said anything of it: until then it may never have got it.
    pub(crate) heard: bool,
}

impl Task {
    /// Whether anyone may know of it: a task that waits for others for the first time is not there yet.
    pub(crate) fn is_made(&self) -> bool {
        self.attempt > 0 || !matches!(self.phase, Phase::Waiting(_))
    }
}

impl Phase {
    pub(crate) fn stage(&self) -> Stage {
        match self {
            Self::Waiting(_) => Stage::Waiting,
            Self::Queued(_) => Stage::Queued,
            Self::BackOff => Stage::BackOff,
            Self::Running(_) => Stage::Running,
            Self::Completed(_) => Stage::Completed,
            Self::Failed(_) => Stage::Failed,
            Self::Cancelled(_) => Stage::Cancelled,
        }
    }

    /// About the memory that a task in this phase takes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Completed(text) | Self::Failed(text) => TASK_BYTES + text.len(),
            Self::Waiting(_) | Self::Queued(_) | Self::BackOff | Self::Running(_) | Self::Cancelled(_) => TASK_BYTES,
        }
    }

    pub(crate) fn status(&self) -> RunStatus {
        match self {
            Self::Waiting(_) | Self::Queued(_) | Self::BackOff => RunStatus::Queued,
            Self::Running(_) => RunStatus::Running,
            Self::Completed(_) => RunStatus::Completed,
            Self::Failed(_) => RunStatus::Failed,
            Self::Cancelled(_) => RunStatus::Cancelled,
        }
    }
}

/// A line that a task wrote.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    pub(crate) task: RunId,
    pub(crate) at: Timestamp,
    pub(crate) message: String,
    pub(crate) level: &'static str,
    /// A JSON object, or empty.
    pub(crate) metadata: String,
    pub(crate) attempt: i32,
}

/// One open assignment stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamId(pub(crate) u64);

/// A registered worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) actions: Vec<Arc<str>>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) labels: BTreeMap<String, proto::WorkerLabels>,
    pub(crate) runtime: Option<proto::RuntimeInfo>,
    pub(crate) registered: Timestamp,
    pub(crate) heartbeat: Option<Timestamp>,
    /// The heartbeat, or else the registration: when it was last known to live.
    pub(crate) sign: MonotonicInstant,
    /// From when its silence counts: the last sign of life, or the end of a gap in which the engine itself stood still.
    pub(crate) lease: MonotonicInstant,
    /// Open streams, the newest last: it gets the work.
    pub(crate) streams: Vec<StreamId>,
    /// Open streams that stand for heartbeats (the first generation of Listen).
    pub(crate) beating: Vec<StreamId>,
    pub(crate) listened: Option<Timestamp>,
    pub(crate) paused: bool,
    /// It said goodbye and has opened no stream since.
    pub(crate) gone: bool,
    /// It lives in the engine's process, and ends with it.
    pub(crate) inside: bool,
    /// What it runs, in the order of assignment.
    pub(crate) running: BTreeMap<u64, RunId>,
    pub(crate) alarm: Option<AlarmKey>,
    /// Those who serve the same actions.
    pub(crate) crew: CrewId,
    /// What its crew has been told about it: free units, in the order of the slots, and `last`.
    pub(crate) offered: Option<(Vec<i64>, u64)>,
    /// Its last assignment: of two equally free workers the one that waited longer is next.
    pub(crate) last: u64,
}

/// One slot type of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) kind: Arc<str>,
    pub(crate) limit: i64,
    pub(crate) used: i64,
}

impl Slot {
    pub(crate) fn free(&self) -> i64 {
        self.limit - self.used
    }
}

impl Worker {
    /// It has given a sign of life.
    pub(crate) fn lives(&mut self, now: ClockReading) {
        self.heartbeat = Some(now.display);
        self.sign = now.monotonic;
        self.lease = now.monotonic;
    }

    /// Free units beyond what is needed, of the scarcest type; `None` if it does not fit.
    pub(crate) fn room(&self, needs: &Needs) -> Option<i64> {
        let mut least = i64::MAX;
        for (kind, units) in needs.iter() {
            let left = self.slots.iter().find(|s| s.kind == *kind)?.free() - units;
            if left < 0 {
                return None;
            }
            least = least.min(left);
        }
        Some(least)
    }

    pub(crate) fn take(&mut self, needs: &Needs, sign: i64) {
        for (kind, units) in needs.iter() {
            if let Some(slot) = self.slots.iter_mut().find(|s| s.kind == *kind) {
                slot.used += sign * units;
            }
        }
    }

    pub(crate) fn serves(&self, action: &Arc<str>) -> bool {
        self.actions.binary_search(action).is_ok()
    }
}
