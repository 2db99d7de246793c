//! Making a state of what was kept.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};

use uuid::Uuid;

use crate::engine::persistence::records::{
    ChildHead, ClaimHead, CronHead, EventHead, Id, LineHead, RunHead, ScheduleHead, StageHead, TaskHead, VersionHead,
    WorkerHead, id, read,
};
use crate::engine::state::{
    Claim, ClockReading, Cron, Event, Ids, RunTemplate, State, Timestamp,
    attempt::AttemptEvent,
    logs::LEVELS,
    model::{
        ChildKey, Definition, End, Lease, LogLine, Origin, Parent, Phase, Run, Running, Slot, Task, Version, Worker,
        Workflow,
    },
    runs::chunks::Chunks,
    runs::history::Trail,
    timers::Alarm,
};
use crate::{
    engine::{
        cron::CronRule,
        options::{Retention, Timings},
        persistence::row::{Damaged, Found, Table},
    },
    hatchet::wire::{RunId, WorkerId, proto::v1},
};

/// Reads a declaration again.
pub(crate) type Declare = Box<dyn FnMut(v1::CreateWorkflowVersionRequest) -> Result<Definition, String> + Send>;

/// A state that is being put together, table by table in the order of [`Table::ALL`].
pub(crate) struct Loading {
    state: State,
    now: ClockReading,
    declare: Declare,
    /// All runs, in the order of their making; they are filed when their tasks are known, which come in the same
    /// order.
    runs: Vec<(RunId, Run)>,
    /// The one that the next task is likely of.
    at: usize,
    /// What each of them takes.
    sizes: Vec<usize>,
    waiting: Vec<RunId>,
    queued: Vec<(u64, RunId)>,
    /// What ran on workers that have not outlived the last engine, in the order of assignment.
    lost: BTreeMap<u64, RunId>,
    /// Schedules that have started their run, which are dropped: see [`ScheduleHead::run`].
    triggered: Vec<Uuid>,
    /// Texts that many runs have in common.
    shared: Arc<str>,
}

impl Loading {
    pub(crate) fn new(timings: Timings, keep: Retention, ids: Ids, declare: Declare, now: ClockReading) -> Self {
        Self {
            state: State::new(timings, keep, ids),
            now,
            declare,
            runs: Vec::new(),
            at: 0,
            sizes: Vec::new(),
            waiting: Vec::new(),
            queued: Vec::new(),
            lost: BTreeMap::new(),
            triggered: Vec::new(),
            shared: "{}".into(),
        }
    }

    /// Takes one row.
    pub(crate) fn put(&mut self, table: Table, row: Found<'_>) -> Result<(), Damaged> {
        match table {
            Table::Versions => self.version(row.number, read(row.head)?),
            Table::Runs => self.run(row, read(row.head)?),
            Table::Tasks => self.task(row, read(row.head)?),
            Table::Children => self.child(read(row.head)?),
            Table::Claims => self.claim(row.key, &read(row.head)?),
            Table::Workers => self.worker(read(row.head)?),
            Table::Lines => self.line(row, &read(row.head)?),
            Table::Events => self.event(row, read(row.head)?),
            Table::Schedules => self.schedule(row, &read(row.head)?),
            Table::Crons => self.cron(row, read(row.head)?),
        }
    }

    fn version(&mut self, number: u64, head: VersionHead) -> Result<(), Damaged> {
        let order = i64::try_from(number).map_err(|_| Damaged("its number is too large".into()))?;
        let content = head.content.ok_or_else(|| Damaged("the declaration is missing".into()))?;
        let definition = (self.declare)(content).map_err(Damaged)?;
        if definition.tasks.len() != head.tasks.len() {
            return Err(Damaged(format!("{} tasks have {} ids", definition.tasks.len(), head.tasks.len())));
        }
        let (version_id, workflow_id) = (id(head.id, "the id")?, id(head.workflow, "the workflow's id")?);
        let mut ids = std::iter::once(version_id).chain(head.tasks.iter().map(|task| task.uuid()));
        let mut ids = || ids.next().unwrap_or_default();
        let state = &mut self.state;
        let version = Version::of(definition, workflow_id, order, Timestamp(head.created), &mut state.queue, &mut ids);
        let version = Arc::new(version);
        state.declared = state.declared.max(order);
        state.versions.restore(order, version.clone());
        state.workflow_names.insert(workflow_id, version.workflow.clone());
        // They come in their order: the last of a workflow is its newest.
        let flow = Workflow { id: workflow_id, created: Timestamp(head.workflow_created), version: version.clone() };
        let before = state.workflows.insert(version.workflow.clone(), flow);
        let before = before.map(|flow| flow.version.events.clone()).unwrap_or_default();
        state.events.declare(&version.workflow, &before, &version.events);
        Ok(())
    }

    fn run(&mut self, row: Found<'_>, head: RunHead) -> Result<(), Damaged> {
        let run_id: RunId = id(head.id, "the id")?;
        let version = self.state.versions.get(&head.version).cloned();
        let version = version.ok_or_else(|| Damaged(format!("there is no version {}", head.version)))?;
        let tasks = if head.tasks.is_empty() { vec![run_id] } else { ids(&head.tasks) };
        if tasks.len() != version.tasks.len() {
            return Err(Damaged(format!("it has {} tasks and its version {}", tasks.len(), version.tasks.len())));
        }
        let origin = match (head.event, head.event_key, head.schedule) {
            (Some(id), Some(key), _) => Origin::Event { id: id.uuid(), key: key.into() },
            (_, _, Some(id)) => Origin::Schedule(id.uuid()),
            _ if head.cron => Origin::Cron,
            _ => Origin::Call,
        };
        let parent = head.parent.map(|parent| {
            Ok(Parent { task: id(parent.task, "the parent")?, index: parent.index, key: parent.key.map(Arc::from) })
        });
        let run = Run {
            seq: row.number,
            version,
            input: self.text(row.texts[0], "the input")?,
            metadata: self.text(row.texts[1], "the metadata")?,
            priority: head.priority,
            parent: parent.transpose()?,
            origin,
            created: Timestamp(head.created),
            open: tasks.len(),
            tasks,
            finished: None,
            claim: head.claim.map(Arc::from),
        };
        self.state.made = self.state.made.max(row.number);
        self.sizes.push(run.input.len() + run.metadata.len());
        self.runs.push((run_id, run));
        Ok(())
    }

    /// A text; one like many others is not kept twice.
    fn text(&self, text: Option<&str>, what: &str) -> Result<Arc<str>, Damaged> {
        let text = text.ok_or_else(|| Damaged(format!("{what} is missing")))?;
        Ok(if *text == *self.shared { self.shared.clone() } else { text.into() })
    }

    fn task(&mut self, row: Found<'_>, head: TaskHead) -> Result<(), Damaged> {
        let task_id: RunId = id(head.id, "the id")?;
        let run_id = head.run.map_or(task_id, |run| run.uuid().into());
        if self.state.tasks.is_empty() {
            self.state.tasks.reserve(self.runs.len());
        }
        let later = self.runs.get(self.at..).unwrap_or_default().iter().position(|(id, _)| *id == run_id);
        self.at += later.ok_or_else(|| Damaged(format!("there is no run {run_id} for it")))?;
        let run = &mut self.runs[self.at].1;
        let at = usize::try_from(head.spec).unwrap_or(usize::MAX);
        let spec = run.version.tasks.get(at).ok_or_else(|| Damaged(format!("there is no task {at} in its version")))?;
        let until = Timestamp(head.until);
        let now = self.now;
        // It was kept by the wall clock, the only one that goes on between two starts, and that may have been set back.
        let mut alarm =
            |most: Duration| self.state.clock.set(now.plus(until.since(now.wall).min(most)), Alarm::Task(task_id));
        let text = |what: &str| row.texts[0].map(Arc::from).ok_or_else(|| Damaged(format!("{what} is missing")));
        let mut task = Task {
            run: run_id,
            seq: row.number,
            spec: at,
            phase: Phase::Waiting(0),
            attempt: head.attempt,
            failures: head.failures,
            reassignments: head.reassignments,
            assigned: head.assigned,
            alarm: None,
            started: head.started.map(Timestamp),
            finished: head.finished.map(Timestamp),
            end: head.end,
            chunks: None,
            history: head.history.map(Trail::of).unwrap_or_default(),
            children: Vec::new(),
        };
        task.phase = match StageHead::try_from(head.stage) {
            Ok(StageHead::Waiting) => {
                self.waiting.push(task_id);
                Phase::Waiting(0)
            }
            Ok(StageHead::Queued) => {
                task.alarm = Some(alarm(spec.schedule_timeout));
                self.queued.push((head.place, task_id));
                Phase::Queued((Reverse(run.priority), head.place))
            }
            Ok(StageHead::BackOff) => {
                task.alarm = Some(alarm(spec.backoff.map_or(Duration::ZERO, |backoff| backoff.before(head.failures))));
                Phase::BackOff
            }
            Ok(StageHead::Running) => {
                // More than was declared if it asked for more. By the shown clock, which stands still while the wall
                // clock is set back: the two may lie so far apart that what it asked for is lost, but never what was
                // declared.
                let allowed = until.since(task.started.unwrap_or(until)).max(spec.timeout.0);
                let key = alarm(allowed);
                task.alarm = Some(key);
                task.chunks = Some(Box::new(Chunks::resumed()));
                let worker_id: WorkerId = id(head.worker, "the worker")?;
                let seq = head.assigned;
                match self.state.workers.passing(&worker_id) {
                    Some(worker) => {
                        if head.holds {
                            worker.take(&spec.needs, 1);
                        }
                        worker.running.insert(seq, task_id);
                        worker.last = worker.last.max(seq);
                    }
                    None => drop(self.lost.insert(seq, task_id)),
                }
                Phase::Running(Running {
                    worker: worker_id,
                    seq,
                    holds: head.holds,
                    deadline: key.0,
                    heard: head.heard,
                })
            }
            Ok(StageHead::Completed) => Phase::Completed(text("the output")?),
            Ok(StageHead::Failed) => Phase::Failed(text("the error")?),
            Ok(StageHead::Cancelled) => Phase::Cancelled(false),
            Ok(StageHead::Untaken) => Phase::Cancelled(true),
            Ok(StageHead::Unknown) | Err(_) => return Err(Damaged(format!("stage {} is not known", head.stage))),
        };
        self.sizes[self.at] += task.phase.size();
        self.state.queue.has_served(spec.lane, head.assigned);
        if task.phase.stage().is_final() {
            run.open = run.open.saturating_sub(1);
            let at = task.finished.unwrap_or_default();
            // Only the wall clock has gone on since.
            let until = now.plus(self.state.keep.age.saturating_sub(now.display.since(at)));
            let end = End { at, number: task.end, until };
            // Of the last one to end; whether the run has is seen when all of its tasks are known.
            let is_later = |before: &End| (before.number, before.at) > (end.number, end.at);
            run.finished = Some(run.finished.filter(is_later).unwrap_or(end));
        }
        self.state.ends = self.state.ends.max(task.end);
        self.state.assignments = self.state.assignments.max(head.assigned);
        self.state.tasks_made = self.state.tasks_made.max(row.number);
        self.state.tasks.restore(task_id, task);
        Ok(())
    }

    fn child(&mut self, head: ChildHead) -> Result<(), Damaged> {
        let parent: RunId = id(head.parent, "the parent")?;
        let key = head.key.map_or(ChildKey::Index(head.index), |key| ChildKey::Key(key.into()));
        let task = self.state.tasks.passing(&parent).ok_or_else(|| Damaged(format!("there is no task {parent}")))?;
        task.children.push(key.clone());
        self.state.children.restore((parent, key), id(head.run, "the run")?);
        Ok(())
    }

    fn claim(&mut self, key: &[u8], head: &ClaimHead) -> Result<(), Damaged> {
        let key: Arc<str> = std::str::from_utf8(key).map_err(|e| Damaged(e.to_string()))?.into();
        let lease = Lease { ttl: Duration::from_millis(head.ttl), until_end: head.until_end };
        let left = Timestamp(head.until).since(self.now.wall).min(lease.ttl);
        let alarm = self.state.clock.set(self.now.plus(left), Alarm::Claim(key.clone()));
        self.state.claims.restore(key, Claim { run: id(head.run, "the run")?, lease, alarm });
        Ok(())
    }

    /// A worker of another process keeps what it runs: it has as long to come back as if it had just been heard. One
    /// that lived with the last engine has died with it.
    fn worker(&mut self, head: WorkerHead) -> Result<(), Damaged> {
        let worker_id: WorkerId = id(head.id, "the id")?;
        let actions: Vec<Arc<str>> = head.actions.into_iter().map(Arc::from).collect();
        let slots = head.slots.into_iter().map(|slot| Slot { kind: slot.kind.into(), limit: slot.limit, used: 0 });
        let worker = Worker {
            name: head.name,
            slots: slots.collect(),
            labels: head.labels,
            runtime: head.runtime,
            registered: Timestamp(head.registered),
            heartbeat: Some(self.now.display),
            sign: self.now.monotonic,
            lease: self.now.monotonic,
            streams: Vec::new(),
            beating: Vec::new(),
            listened: head.listened.map(Timestamp),
            paused: head.paused,
            gone: head.gone,
            inside: head.inside,
            running: BTreeMap::new(),
            alarm: None,
            crew: self.state.queue.join(&actions),
            actions,
            offered: None,
            last: 0,
        };
        self.state.start_watch(self.now);
        self.state.workers.restore(worker_id, worker);
        self.state.arm_worker(worker_id);
        Ok(())
    }

    fn line(&mut self, row: Found<'_>, head: &LineHead) -> Result<(), Damaged> {
        let text = |at: usize| row.texts[at].map(str::to_owned).unwrap_or_default();
        let level = LEVELS.iter().find(|level| **level == head.level);
        let level = level.ok_or_else(|| Damaged(format!("level `{}` is not known", head.level)))?;
        let line = LogLine {
            task: id(head.task, "the task")?,
            at: Timestamp(head.at),
            message: text(0),
            level,
            metadata: text(1),
            attempt: head.attempt,
        };
        self.state.logs.restore(row.number, line);
        Ok(())
    }

    fn event(&mut self, row: Found<'_>, head: EventHead) -> Result<(), Damaged> {
        let event = Event {
            id: id(head.id, "the id")?,
            key: head.key.into(),
            input: self.text(row.texts[0], "the payload")?,
            metadata: self.text(row.texts[1], "the metadata")?,
            scope: head.scope,
            at: Timestamp(head.at),
            runs: ids(&head.runs),
        };
        self.state.events.restore(row.number, event);
        Ok(())
    }

    fn template(&self, row: Found<'_>, workflow: &str, priority: Option<i32>) -> Result<RunTemplate, Damaged> {
        let input = self.text(row.texts[0], "the input")?;
        Ok(RunTemplate {
            workflow: workflow.into(),
            input,
            metadata: self.text(row.texts[1], "the metadata")?,
            priority,
        })
    }

    fn schedule(&mut self, row: Found<'_>, head: &ScheduleHead) -> Result<(), Damaged> {
        let template = self.template(row, &head.workflow, head.priority)?;
        let id = id(head.id, "the id")?;
        self.state.restore_schedule(id, template, Timestamp(head.at), Timestamp(head.created));
        self.triggered.extend(head.run.map(|_| id));
        Ok(())
    }

    fn cron(&mut self, row: Found<'_>, head: CronHead) -> Result<(), Damaged> {
        let template = self.template(row, &head.workflow, head.priority)?;
        let rule = CronRule::restored(head.rule);
        let cron = Cron::kept(template, rule, head.name, head.declared, head.enabled, Timestamp(head.created));
        self.state.restore_cron(id(head.id, "the id")?, cron, self.now);
        Ok(())
    }

    /// Puts the runs where they belong, now that their tasks are known.
    fn file_runs(&mut self) {
        let runs = std::mem::take(&mut self.runs);
        self.state.by_age = runs.iter().map(|(id, run)| (run.seq, *id)).collect();
        self.state.runs.reserve(runs.len());
        let mut ended = Vec::with_capacity(runs.len());
        for ((id, mut run), size) in runs.into_iter().zip(&self.sizes) {
            run.finished = run.finished.filter(|_| run.open == 0);
            if let Some(End { number, at, .. }) = run.finished {
                // By the last two where an earlier version has not kept the first.
                ended.push((number, at, run.seq, id));
                self.state.finished_bytes += size;
            }
            self.state.runs.restore(id, run);
        }
        ended.sort_unstable();
        self.state.runs_ended = ended.len() as u64;
        // Numbered anew, so that each has its own; those to come are larger, here and in the file.
        self.state.ends = self.state.ends.max(ended.len() as u64);
        for (number, (.., id)) in (1..).zip(ended) {
            if let Some(end) = self.state.runs.passing(&id).and_then(|run| run.finished.as_mut()) {
                end.number = number;
            }
            self.state.finished.insert(number, id);
        }
    }

    /// The state, which notes its changes from here on. What is due by now is left to the next tick.
    pub(crate) fn finish(mut self) -> Result<State, Damaged> {
        self.file_runs();
        let Self { mut state, now, waiting, queued, mut lost, triggered, .. } = self;
        state.queue.resume(state.assignments);
        for id in waiting {
            state.await_again(id)?;
        }
        for (place, id) in queued {
            state.queue_again(id, place)?;
        }
        state.note_changes();
        for id in triggered {
            state.unschedule(id);
        }
        let inside: Vec<WorkerId> =
            state.workers.iter().filter(|(_, worker)| worker.inside).map(|(id, _)| *id).collect();
        for id in &inside {
            lost.extend(state.workers.get(id).into_iter().flat_map(|worker| worker.running.clone()));
        }
        for task in lost.into_values() {
            state.step(task, &AttemptEvent::WorkerLost, now);
        }
        inside.into_iter().for_each(|id| state.forget_worker(id));
        state.drop_old_versions();
        state.forget(now);
        // Nobody listens yet.
        state.effects.clear();
        Ok(state)
    }
}

impl State {
    /// A task waits for what it waited for.
    fn await_again(&mut self, id: RunId) -> Result<(), Damaged> {
        let missing = || Damaged(format!("task {id} has no run"));
        let (run, at) = self.tasks.get(&id).map(|task| (task.run, task.spec)).ok_or_else(missing)?;
        let run = self.runs.get(&run).ok_or_else(missing)?;
        let wait = self.waits_for(&run.version, &run.tasks, at);
        if let Some(task) = self.tasks.passing(&id) {
            task.phase = Phase::Waiting(wait);
        }
        Ok(())
    }

    /// A task has its place in the queue again.
    fn queue_again(&mut self, id: RunId, place: u64) -> Result<(), Damaged> {
        let missing = || Damaged(format!("task {id} has no run"));
        let lane = self.spec(id).ok_or_else(missing)?.lane;
        let Some(Phase::Queued(priority)) = self.tasks.get(&id).map(|task| &task.phase) else { return Err(missing()) };
        let at = (priority.0, place);
        self.queue.put_back(lane, at, id);
        Ok(())
    }

    /// Forgets versions that have been replaced and that no run has.
    fn drop_old_versions(&mut self) {
        let unused = |version: &Arc<Version>| Arc::strong_count(version) == 1;
        let old: Vec<i64> =
            self.versions.iter().filter(|(_, version)| unused(version)).map(|(order, _)| *order).collect();
        for order in old {
            self.versions.remove(&order);
        }
    }
}

fn ids(all: &[Id]) -> Vec<RunId> {
    all.iter().map(|id| id.uuid().into()).collect()
}
