//! The engine's core: one deterministic state machine, with no input or output of its own.
//!
//! Every method is an event: it takes the moment it happens at, changes the state and leaves [`Effect`]s for the
//! driver. Nothing here reads a clock, draws a random number (ids come from the generator it is given), waits or
//! locks, so a test can replay any history in virtual time. What an attempt may do is decided in one table,
//! [`attempt::next`], which has the picture; the files here carry the decision out, one verb each.
//!
//! A run has tasks, a task has a current attempt; run and task are two things although a workflow of one task gives
//! both the same id. A task that may not be queued yet waits, for now only for its parents: conditions and concurrency
//! groups have their place there.

pub(crate) mod attempt;
mod logs;
pub(crate) mod model;
mod operations;
mod runs;
mod scheduler;
mod snapshot;
#[cfg(test)]
mod tests;
mod time;
mod timers;
pub(in crate::engine) mod triggers;
mod workflows;

pub(crate) use operations::control::RunFilter;
pub(crate) use operations::transition::AttemptReport;
pub(crate) use operations::trigger::{ClaimRequest, ParentRef, TriggerError, TriggerItem, Triggered};
pub(crate) use operations::workers::{Registration, WorkerError, WorkerStatus};
pub(crate) use runs::history::{HistoryEvent, HistoryEventKind};
#[cfg(any(feature = "durable", test))]
pub(crate) use snapshot::load::Loading;
pub(crate) use time::{ClockReading, MonotonicInstant, Timestamp};
pub(crate) use timers::Next;
pub(crate) use triggers::events::{Event, PushedEvent};
pub(crate) use triggers::schedules::{Cron, CronError, RunTemplate, ScheduledRun};

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use uuid::Uuid;

use self::{
    model::{ChildKey, Run, StreamId, Task, Version, Worker, Workflow},
    scheduler::queues::Queue,
    timers::{Alarm, AlarmKey, Date, Deadlines},
};
use super::options::{Retention, Timings};
use super::persistence::tracked::Kept;
use crate::hatchet::wire::{RunId, RunStatus, WorkerId};

/// Where new ids come from.
pub(crate) type Ids = Box<dyn FnMut() -> Uuid + Send>;

/// What the driver has to do after an event, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send an attempt to a worker.
    Start { stream: StreamId, task: RunId, attempt: i32 },
    /// Tell a worker to stop an attempt.
    Stop { stream: StreamId, task: RunId, attempt: i32 },
    /// Tell those who watch a run.
    Step { task: RunId, run: RunId, attempt: i32, what: TaskEvent },
    /// The run has come to its end: tell those who wait for it.
    RunFinished { run: RunId, status: RunStatus },
}

/// What watchers of a run hear about its tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskEvent {
    /// The task was made; as with a real engine this is called STARTED on the wire.
    Created,
    /// Something the task streams.
    Chunk { text: Arc<str>, index: Option<i64> },
    /// An attempt ended with an output.
    Completed(Arc<str>),
    /// An attempt ended with an error, whether or not another follows.
    Failed(Arc<str>),
    /// The task was cancelled.
    Cancelled,
}

/// An idempotency key that is taken.
#[derive(Debug)]
struct Claim {
    run: RunId,
    lease: model::Lease,
    alarm: AlarmKey,
}

/// What a bound on what the engine holds is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capacity {
    /// Runs, and what makes them: events, schedules, crons.
    Runs,
    /// Workers and their workflows, which take the load away: there is room for them when there is none for it.
    Workers,
}

/// Bytes beyond the bound that are for workers and their workflows.
const WORKER_RESERVE: usize = 64 << 20;

/// All that the engine knows.
pub(crate) struct State {
    ids: Ids,
    timings: Timings,
    keep: Retention,
    /// Bytes of finished runs.
    finished_bytes: usize,
    workflows: BTreeMap<Arc<str>, Workflow>,
    workflow_names: HashMap<Uuid, Arc<str>>,
    /// All versions that are the newest or have runs, by their order.
    versions: Kept<BTreeMap<i64, Arc<Version>>>,
    declared: i64,
    runs: Kept<HashMap<RunId, Run>>,
    tasks: Kept<HashMap<RunId, Task>>,
    /// Runs in the order of their making.
    by_age: BTreeMap<u64, RunId>,
    made: u64,
    tasks_made: u64,
    /// Finished runs in the order of their ends.
    finished: BTreeMap<u64, RunId>,
    /// Ends of tasks.
    ends: u64,
    /// Ends of runs: since the start, and one for each that was kept from before.
    runs_ended: u64,
    children: Kept<HashMap<(RunId, ChildKey), RunId>>,
    claims: Kept<HashMap<Arc<str>, Claim>>,
    workers: Kept<BTreeMap<WorkerId, Worker>>,
    /// Tasks that have ended and whose run has not seen it yet.
    ended: VecDeque<RunId>,
    /// Workers that have room again.
    freed: Vec<WorkerId>,
    /// Lanes that have just become busy.
    unplaced: Vec<scheduler::queues::LaneId>,
    streams: HashMap<StreamId, WorkerId>,
    opened: u64,
    assignments: u64,
    queue: Queue,
    clock: Deadlines<MonotonicInstant, Alarm>,
    calendar: Deadlines<Timestamp, Date>,
    /// The wall clock at the last tick, or the latest that a cron has been armed at since.
    looked: Timestamp,
    /// When the engine looks at its own clock next, while it has workers.
    watch: MonotonicInstant,
    logs: logs::Logs,
    events: triggers::events::Events,
    schedules: Kept<BTreeMap<Uuid, ScheduledRun>>,
    crons: Kept<BTreeMap<Uuid, Cron>>,
    effects: VecDeque<Effect>,
}

impl State {
    /// An empty engine.
    pub(crate) fn new(timings: Timings, keep: Retention, ids: Ids) -> Self {
        Self {
            ids,
            timings,
            keep,
            finished_bytes: 0,
            workflows: BTreeMap::new(),
            workflow_names: HashMap::new(),
            versions: Kept::default(),
            declared: 0,
            runs: Kept::default(),
            tasks: Kept::default(),
            by_age: BTreeMap::new(),
            made: 0,
            tasks_made: 0,
            finished: BTreeMap::new(),
            ends: 0,
            runs_ended: 0,
            children: Kept::default(),
            claims: Kept::default(),
            workers: Kept::default(),
            ended: VecDeque::new(),
            freed: Vec::new(),
            unplaced: Vec::new(),
            streams: HashMap::new(),
            opened: 0,
            assignments: 0,
            queue: Queue::default(),
            clock: Deadlines::default(),
            calendar: Deadlines::default(),
            looked: Timestamp::default(),
            watch: MonotonicInstant::default(),
            logs: logs::Logs::default(),
            events: triggers::events::Events::default(),
            schedules: Kept::default(),
            crons: Kept::default(),
            effects: VecDeque::new(),
        }
    }

    /// The next thing to do, in the order in which things came to be.
    pub(crate) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Bytes that the engine holds, as [`Retention::max_bytes`] bounds them.
    pub(crate) fn held_bytes(&self) -> usize {
        self.runs.bytes()
            + self.tasks.bytes()
            + self.children.bytes()
            + self.claims.bytes()
            + self.versions.bytes()
            + self.workers.bytes()
            + self.schedules.bytes()
            + self.crons.bytes()
    }

    /// Whether something new may be added, by [`Retention::max_bytes`].
    pub(crate) fn has_room(&self, room: Capacity) -> bool {
        let reserve = match room {
            Capacity::Runs => 0,
            Capacity::Workers => WORKER_RESERVE,
        };
        self.held_bytes() < self.keep.max_bytes.saturating_add(reserve)
    }

    /// The engine's waits, which declarations fall back on.
    pub(crate) fn timings(&self) -> &Timings {
        &self.timings
    }

    fn new_id(&mut self) -> Uuid {
        (self.ids)()
    }
}
