//! Checks the invariants after each of many random operations, and the turns against a model.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use super::conditions::{event, parent, sleep};
use super::*;
use crate::{
    engine::state::{
        Phase,
        conditions::{ConditionAction, ConditionStage, Conditions, Decision, ParentEnd, WaitKind},
        placement::Sticky,
        rate_limits::Window,
        slots,
    },
    hatchet::wire::is_skipped,
};

#[derive(Debug, Clone)]
enum Op {
    Trigger {
        workflow: usize,
        priority: i32,
        /// The key of its concurrency groups.
        key: u8,
    },
    Complete(usize),
    Fail(usize, bool),
    Stale(usize),
    Cancel(usize),
    CancelTask(usize),
    ReplayTask(usize),
    Replay(usize),
    Release(usize),
    Chunk(usize, i64),
    Register {
        slots: i64,
        cpu: i64,
    },
    Open(usize, bool),
    Close(usize),
    Heartbeat(usize),
    Pause(usize, bool),
    Unsubscribe(usize),
    Advance(u64),
    /// Pushes an event for which tasks wait.
    Event(usize),
    /// Persists the changes without a restart.
    Persist,
    Restart,
}

fn op() -> impl Strategy<Value = Op> {
    let at = 0usize..64;
    prop_oneof![
        6 => (0usize..WORKFLOWS.len(), 1i32..=3, 0u8..3)
            .prop_map(|(workflow, priority, key)| Op::Trigger { workflow, priority, key }),
        6 => at.clone().prop_map(Op::Complete),
        3 => (at.clone(), any::<bool>()).prop_map(|(at, may)| Op::Fail(at, may)),
        1 => at.clone().prop_map(Op::Stale),
        1 => at.clone().prop_map(Op::Cancel),
        1 => at.clone().prop_map(Op::CancelTask),
        1 => at.clone().prop_map(Op::ReplayTask),
        1 => at.clone().prop_map(Op::Replay),
        1 => at.clone().prop_map(Op::Release),
        1 => (at.clone(), 0i64..4).prop_map(|(at, index)| Op::Chunk(at, index)),
        1 => (0i64..4, 0i64..3).prop_map(|(slots, cpu)| Op::Register { slots, cpu }),
        2 => (at.clone(), prop::bool::weighted(0.2)).prop_map(|(at, is_heartbeat)| Op::Open(at, is_heartbeat)),
        1 => at.clone().prop_map(Op::Close),
        6 => at.clone().prop_map(Op::Heartbeat),
        1 => (at.clone(), any::<bool>()).prop_map(|(at, paused)| Op::Pause(at, paused)),
        1 => at.clone().prop_map(Op::Unsubscribe),
        2 => (0usize..4).prop_map(Op::Event),
        1 => Just(Op::Persist),
        1 => Just(Op::Restart),
        3 => prop_oneof![0u64..500, 500u64..6000, 20_000u64..400_000].prop_map(Op::Advance),
    ]
}

#[cfg(not(feature = "cel"))]
const WORKFLOWS: [&str; 7] = ["plain", "retried", "cpu", "dag", "limited", "sticky", "conditions"];

/// The last four have concurrency groups.
#[cfg(feature = "cel")]
const WORKFLOWS: [&str; 11] =
    ["plain", "retried", "cpu", "dag", "limited", "sticky", "conditions", "grouped", "replaced", "kept", "pair"];

/// The keys of pushed events.
const EVENTS: [&str; 4] = ["go", "skip", "cancel", "either"];

/// a ─► b (event and sleep, or skip, or cancel) ─► c (either a parent or an event), a ─► d (skipped) ─► e, and f, which
/// waits for an event and is skipped by a sleep.
fn conditional_tasks() -> Vec<TaskDefinition> {
    use ConditionAction::{Cancel, Skip, Wait};
    let waits =
        vec![event(Wait, 0, "go", ""), sleep(Wait, 1, 15), event(Skip, 2, "skip", ""), event(Cancel, 3, "cancel", "")];
    let either = vec![event(Wait, 0, "either", ""), sleep(Wait, 1, 3)];
    let rescue = TaskDefinition { on_failure: true, ..World::task("rescue", &[]) };
    vec![
        World::task("a", &[]),
        conditions::task("b", &[0], Vec::new(), waits),
        conditions::task("c", &[0, 1], vec![parent(Wait, 0, 1, "")], either),
        conditions::task("d", &[0], vec![parent(Skip, 0, 0, "")], Vec::new()),
        World::task("e", &[3]),
        conditions::task("f", &[], Vec::new(), vec![event(Wait, 0, "go", ""), sleep(Skip, 1, 20)]),
        rescue,
    ]
}

struct Random {
    world: World,
    store: restart::MemoryStore,
    runs: Vec<RunId>,
    workers: Vec<WorkerId>,
    streams: Vec<StreamId>,
    ends: HashMap<RunId, (RunStatus, Vec<(Stage, i32)>)>,
    /// Model of the turns: the number of each workflow's latest assignment.
    turns: HashMap<usize, u64>,
    assignments: u64,
    /// Times of the assignments of rate-limited tasks.
    limited: Vec<u64>,
}

/// A queued task.
#[derive(Debug, Clone, PartialEq, Eq)]
struct QueuedTask {
    workflow: usize,
    requirements: SlotRequirements,
    priority: i32,
    /// Number among all tasks ever queued.
    position: u64,
}

impl QueuedTask {
    /// Whether this task fits on every worker on which the other task fits.
    fn requires_at_most(&self, other: &Self) -> bool {
        self.requirements
            .iter()
            .all(|(kind, units)| other.requirements.iter().any(|(of, more)| of == kind && units <= more))
    }
}

/// Declares workflows with concurrency groups of each strategy: on a task, in a chain, and on a workflow of two tasks.
#[cfg(feature = "cel")]
fn declare_grouped(world: &mut World) {
    use crate::engine::state::concurrency::LimitStrategy as By;
    use concurrency::rule;
    world.declare("grouped", |t| {
        t.retries = 1;
        t.concurrency = vec![rule("input.k", 2, By::GroupRoundRobin), rule("'all'", 3, By::GroupRoundRobin)];
    });
    world.declare("replaced", |t| {
        (t.retries, t.backoff) = (1, backoff(2.0, 60));
        t.concurrency = vec![rule("input.k", 1, By::CancelInProgress), rule("'all'", 2, By::CancelNewest)];
    });
    world.declare("kept", |t| {
        t.concurrency =
            vec![rule("input.k", 1, By::CancelQueuedExceptNewest), rule("'all'", 2, By::CancelQueuedExceptOldest)];
    });
    let rescue = TaskDefinition { on_failure: true, ..World::task("rescue", &[]) };
    let grouped = TaskDefinition {
        concurrency: vec![rule("'all'", 2, By::GroupRoundRobin)],
        retries: 1,
        ..World::task("b", &[0])
    };
    let tasks = vec![World::task("a", &[]), grouped, World::task("c", &[]), rescue];
    world.declare_all("pair", tasks, |d| {
        d.concurrency = vec![rule("input.k", 1, By::GroupRoundRobin), rule("'all'", 2, By::CancelInProgress)];
    });
}

impl Random {
    fn new() -> Self {
        let mut world = World::new();
        world.state.track_changes();
        world.declare("plain", |t| t.timeout = Duration::from_secs(7));
        world.declare("retried", |t| {
            t.retries = 2;
            t.backoff = backoff(2.0, 60);
            t.schedule_timeout = Duration::from_secs(20);
        });
        world.declare("cpu", |t| t.requirements = requirements(&[("cpu", 2), ("default", 1)]));
        let rescue = TaskDefinition { on_failure: true, ..World::task("rescue", &[]) };
        let retried = TaskDefinition { retries: 1, ..World::task("b", &[0]) };
        let cpu = TaskDefinition { requirements: requirements(&[("cpu", 1)]), ..World::task("c", &[0]) };
        let tasks = vec![World::task("a", &[]), retried, cpu, World::task("d", &[1, 2]), World::task("e", &[]), rescue];
        world.declare_all("dag", tasks, |_| ());
        world.declare_all("conditions", conditional_tasks(), |_| ());
        world.put_rate_limit("rate", 5, Window::Minute);
        world.declare("limited", |t| t.rate_limits = vec![rate_limits::fixed("rate", 2)]);
        let tasks = vec![World::task("a", &[]), World::task("b", &[0])];
        world.declare_all("sticky", tasks, |d| d.sticky = Some(Sticky::Soft));
        #[cfg(feature = "cel")]
        declare_grouped(&mut world);
        Self {
            turns: HashMap::new(),
            assignments: 0,
            limited: Vec::new(),
            world,
            store: restart::MemoryStore::default(),
            runs: Vec::new(),
            workers: Vec::new(),
            streams: Vec::new(),
            ends: HashMap::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        let pick = |list: &Vec<RunId>, at: usize| list.get(at % list.len().max(1)).copied();
        let worker = |at: usize| self.workers.get(at % self.workers.len().max(1)).copied();
        let world = &mut self.world;
        match *op {
            Op::Trigger { workflow, priority, key } => {
                let run = world.trigger_with(WORKFLOWS[workflow], |item| {
                    item.template.priority = Some(priority);
                    item.template.input = format!(r#"{{"k":"{key}"}}"#).into();
                });
                self.runs.push(run);
            }
            Op::Complete(at) | Op::Fail(at, _) | Op::Stale(at) => {
                // Running tasks only: `stage_table` covers the other stages.
                let all = self.runs.iter().flat_map(|run| world.state.run(*run).unwrap().1.tasks.clone());
                let running: Vec<RunId> = all.filter(|task| world.status(*task).0 == RunStatus::Running).collect();
                let Some(run) = pick(&running, at) else { return };
                let attempt = world.status(run).1;
                match *op {
                    Op::Complete(_) => world.complete(run, attempt),
                    Op::Stale(_) => world.complete(run, attempt - 1),
                    _ => world.report(run, attempt, failed("boom", matches!(op, Op::Fail(_, true)))),
                }
            }
            Op::Cancel(at) => {
                if let Some(run) = pick(&self.runs, at) {
                    world.event(|state, now| state.cancel(run, now));
                }
            }
            Op::CancelTask(at) => {
                if let Some(run) = pick(&self.runs, at) {
                    let task = pick(&world.state.run(run).unwrap().1.tasks.clone(), at / 7).unwrap();
                    world.event(|state, now| state.cancel(task, now));
                }
            }
            Op::Replay(at) | Op::ReplayTask(at) => {
                if let Some(run) = pick(&self.runs, at) {
                    let task = pick(&world.state.run(run).unwrap().1.tasks.clone(), at / 7).unwrap();
                    let id = if matches!(op, Op::Replay(_)) { run } else { task };
                    world.event(|state, now| state.replay(id, now));
                    self.ends.remove(&run);
                }
            }
            Op::Release(at) => {
                if let Some(run) = pick(&self.runs, at).map(|run| world.task_at(run, 0)) {
                    world.event(|state, now| state.release_slot(run, now));
                }
            }
            Op::Chunk(at, index) => {
                if let Some(run) = pick(&self.runs, at).map(|run| world.task_at(run, 0)) {
                    world.event(|state, now| state.put_chunk(run, "c".into(), Some(index), now));
                }
            }
            Op::Register { slots, cpu } => {
                self.workers.push(world.register(&WORKFLOWS, &[("default", slots), ("cpu", cpu)]));
            }
            Op::Open(at, is_heartbeat) => {
                if let Some(id) = worker(at)
                    && let Ok(stream) = world.event(|state, now| state.open_stream(id, is_heartbeat, now))
                {
                    self.streams.push(stream);
                }
            }
            Op::Close(at) => {
                if !self.streams.is_empty() {
                    let stream = self.streams.swap_remove(at % self.streams.len());
                    world.event(|state, now| state.close_stream(stream, now));
                }
            }
            Op::Heartbeat(at) => {
                if let Some(id) = worker(at) {
                    let _ = world.event(|state, now| state.heartbeat(id, now));
                }
            }
            Op::Pause(at, paused) => {
                if let Some(id) = worker(at) {
                    let _ = world.event(|state, now| state.pause(id, paused, now));
                }
            }
            Op::Unsubscribe(at) => {
                if let Some(id) = worker(at) {
                    let _ = world.event(|state, _| state.unsubscribe(id));
                }
            }
            Op::Event(at) => {
                let event = PushedEvent {
                    key: EVENTS[at].into(),
                    input: "{}".into(),
                    metadata: "{}".into(),
                    priority: None,
                    scope: None,
                };
                world.event(|state, now| state.push_event(event, now));
            }
            Op::Persist => self.store.persist(&mut world.state, world.now),
            Op::Restart => {
                world.restart(&mut self.store);
                self.streams.clear();
            }
            Op::Advance(millis) => world.advance(Duration::from_millis(millis)),
        }
    }

    /// All queued tasks.
    fn queued(&self) -> BTreeMap<RunId, QueuedTask> {
        let state = &self.world.state;
        let queued = state.runs.tasks.iter().filter_map(|(id, task)| {
            let Phase::Queued(position) = task.phase else { return None };
            let requirements = state.spec(*id).unwrap().definition.requirements.clone();
            Some((
                *id,
                QueuedTask {
                    workflow: self.workflow(*id),
                    requirements,
                    priority: position.priority(),
                    position: position.seq,
                },
            ))
        });
        queued.collect()
    }

    fn workflow(&self, task: RunId) -> usize {
        let name = &self.world.state.run(task).unwrap().1.version.definition.name;
        WORKFLOWS.iter().position(|workflow| *workflow == &**name).unwrap()
    }

    fn turn(&self, workflow: usize) -> u64 {
        self.turns.get(&workflow).copied().unwrap_or(0)
    }

    fn statuses(&self, run: RunId) -> (RunStatus, Vec<(Stage, i32)>) {
        let (status, stages) = self.world.statuses(run);
        let attempts = (0..stages.len()).map(|at| self.world.status(self.world.task_at(run, at)).1);
        (status, stages.into_iter().zip(attempts).collect())
    }

    /// Checks the stages of a run's tasks against their dependencies.
    fn check_dependencies(&self, run: RunId) {
        let state = &self.world.state;
        let (_, run) = state.run(run).unwrap();
        let stage = |at: usize| state.task(run.tasks[at]).unwrap().phase.stage();
        let open = (0..run.tasks.len()).filter(|at| !stage(*at).is_final()).count();
        assert_eq!((run.open, run.finished.is_some()), (open, open == 0));
        for (at, spec) in run.version.definition.tasks.iter().enumerate() {
            let others_finished = (0..at).all(|other| stage(other).is_final());
            let failed = (0..at).any(|other| stage(other) == Stage::Failed);
            let completed = spec.parents.iter().all(|parent| stage(*parent) == Stage::Completed);
            let lost =
                spec.parents.iter().any(|parent| stage(*parent).is_final() && stage(*parent) != Stage::Completed);
            if let Some(conditions) = &spec.conditions {
                let ends: Vec<ParentEnd> = spec
                    .parents
                    .iter()
                    .map(|parent| match state.task(run.tasks[*parent]).unwrap().phase.output() {
                        Some(output) if is_skipped(output) => ParentEnd::Skipped,
                        Some(_) => ParentEnd::Completed,
                        None => ParentEnd::Open,
                    })
                    .collect();
                self.check_conditions(run.tasks[at], &spec.parents, conditions, &ends, lost);
                continue;
            }
            match stage(at) {
                Stage::Waiting if spec.on_failure => assert!(!others_finished, "waits without a blocker"),
                Stage::Waiting => assert!(!completed && !lost, "waits without a blocker"),
                Stage::Queued | Stage::BackOff | Stage::Running if spec.on_failure => {
                    assert!(others_finished && failed)
                }
                Stage::Queued | Stage::BackOff | Stage::Running | Stage::Failed => {
                    assert!(completed, "started before its parents completed")
                }
                Stage::Completed | Stage::Cancelled => {}
            }
        }
    }

    /// Checks the stage of a task with conditions against a decision from scratch. All predicates of these tasks hold.
    fn check_conditions(
        &self,
        task: RunId,
        parents: &[usize],
        conditions: &Conditions,
        ends: &[ParentEnd],
        is_lost: bool,
    ) {
        let state = &self.world.state;
        let progress = state.conditions.get(task).expect("a task with conditions has an entry");
        let stage = state.task(task).unwrap().phase.stage();
        let is_waiting = stage == Stage::Waiting;
        assert_eq!(is_waiting, progress.stage != ConditionStage::Decided);
        let met: Vec<bool> = conditions
            .parents
            .iter()
            .map(|of| parents.iter().zip(ends).any(|(at, end)| *at == of.parent && *end != ParentEnd::Open))
            .collect();
        let by_parents = conditions.decide_by_parents(parents, ends, &met);
        if !is_waiting {
            assert!(progress.sleeps.is_empty(), "sleeps after its decision");
            if matches!(stage, Stage::Queued | Stage::BackOff | Stage::Running | Stage::Failed) {
                assert!(matches!(by_parents, Decision::Start | Decision::BeginWaits), "started without its parents");
            }
            return;
        }
        assert!(!is_lost, "waits for a parent that was lost");
        let expected = match progress.stage {
            ConditionStage::OnParents => Decision::Undecided,
            ConditionStage::OnWaits | ConditionStage::Decided => Decision::BeginWaits,
        };
        assert_eq!(by_parents, expected);
        if progress.stage == ConditionStage::OnWaits {
            let waits: Vec<bool> = (0..conditions.waits.len()).map(|at| progress.met.contains_key(&at)).collect();
            assert_eq!(conditions.decide_by_waits(&waits, &met), Decision::Undecided);
            for (at, wait) in conditions.waits.iter().enumerate() {
                let is_sleep = matches!(wait.kind, WaitKind::Sleep { .. });
                assert_eq!(progress.sleeps.contains_key(&at), is_sleep && !waits[at], "open sleeps are timed");
            }
        }
    }

    fn check(&mut self, op: &Op, before: &BTreeMap<RunId, QueuedTask>) {
        #[cfg(feature = "cel")]
        group_model::check(&self.world.state);
        self.check_rate_limit(op);
        let queued = self.queued();
        self.check_turns(op, before, &queued);
        let open = self.runs.iter().filter(|run| !self.ends.contains_key(*run));
        open.for_each(|run| self.check_dependencies(*run));
        let (state, now) = (&self.world.state, self.world.now);
        let time_passed = matches!(op, Op::Advance(_) | Op::Restart);
        let open =
            state.runs.tasks.values().filter(|t| t.finished.is_none() && t.phase.stage() != Stage::Waiting).count();
        let gaps = state
            .runs
            .tasks
            .values()
            .filter(|t| t.chunks.as_ref().is_some_and(|chunks| chunks.timer.is_some()))
            .count();
        assert_eq!(
            state.timers.len(),
            open + gaps + state.conditions.open_timers() + state.workers().count() + state.rate_limits.timers(),
            "one timer for each open task, gap, sleeping task, worker and rate limit with waiting tasks"
        );
        let suspended = state.scheduler.suspended();
        assert_eq!(state.rate_limits.waiting().1, suspended, "a lane waits at a key exactly while it is suspended");
        let is_due = state.next_deadline().wait(now).is_some_and(|wait| wait.is_zero());
        assert!(!is_due || !time_passed, "no due timer is left");

        for (id, worker) in state.workers() {
            let mut used: BTreeMap<&str, i64> = BTreeMap::new();
            for task in worker.running.values() {
                let Phase::Running(running) = &state.runs.tasks[task].phase else { panic!("{task} does not run") };
                assert_eq!(running.worker, id);
                if running.holds_slots {
                    for (kind, units) in state.spec(*task).unwrap().definition.requirements.iter() {
                        *used.entry(kind).or_default() += units;
                    }
                }
            }
            for slot in &worker.slots {
                assert_eq!(slot.used, used.get(&*slot.kind).copied().unwrap_or(0));
                assert!(slot.used <= slot.limit, "uses more than its slots");
            }
            let ready = !worker.paused
                && !worker.unsubscribed
                && !worker.streams.is_empty()
                && (!worker.heartbeat_streams.is_empty()
                    || worker.heartbeat.is_some() && now.since(worker.last_seen) < Duration::from_secs(5));
            for id in queued.keys().filter(|_| ready) {
                let spec = state.spec(*id).unwrap();
                let is_limited = &*spec.definition.action == "limited:limited" && self.lacks_units();
                assert!(
                    is_limited || !slots::fits(&worker.slots, &spec.definition.requirements),
                    "{id} waits although a worker has free slots"
                );
            }
        }
        let running = state.runs.tasks.values().filter(|t| matches!(t.phase, Phase::Running(_))).count();
        assert_eq!(
            running,
            state.workers().map(|(_, w)| w.running.len()).sum::<usize>(),
            "each task runs on one worker"
        );

        let mut seen = BTreeSet::new();
        for effect in &self.world.effects {
            match effect {
                Effect::StartAttempt { stream, task, attempt } => {
                    assert!(seen.insert((*task, *attempt)), "an attempt was sent twice");
                    if time_passed {
                        continue;
                    }
                    let worker = state.worker(state.workers.of_stream(*stream).unwrap()).unwrap();
                    assert!(!worker.paused && !worker.unsubscribed && worker.streams.last() == Some(stream));
                    let fresh = worker.heartbeat.is_some() && now.since(worker.last_seen) < Duration::from_secs(5);
                    assert!(fresh || !worker.heartbeat_streams.is_empty());
                }
                Effect::NotifyFinished { run, status } => {
                    let statuses = self.statuses(*run);
                    assert_eq!(statuses.0, *status);
                    assert!(self.ends.insert(*run, statuses).is_none(), "{run} ended twice");
                }
                Effect::StopAttempt { .. } | Effect::NotifyTask { .. } => {}
            }
        }
        for (run, end) in &self.ends {
            assert_eq!(self.statuses(*run), *end, "a finished run changed");
        }
        let ended = self.runs.iter().filter(|r| self.world.statuses(**r).0.is_final()).count();
        assert_eq!(ended, self.ends.len(), "every end is announced");
    }

    /// Whether the rate limit has too few units for a task.
    fn lacks_units(&self) -> bool {
        self.world.state.rate_limit("rate").unwrap().at(self.world.now).0 < 2
    }

    /// Checks that no window has given more units than the limit, from the times of the assignments.
    fn check_rate_limit(&mut self, op: &Op) {
        let now = self.world.now.monotonic.0;
        for effect in &self.world.effects {
            let Effect::StartAttempt { task, .. } = effect else { continue };
            // An assignment during an advance has an unknown time.
            if matches!(op, Op::Advance(_)) {
                self.limited.clear();
            } else if self.world.state.spec(*task).is_some_and(|spec| &*spec.definition.action == "limited:limited") {
                self.limited.push(now);
            }
        }
        let limit = self.world.state.rate_limit("rate").unwrap();
        assert!((0..=limit.limit).contains(&limit.value), "{limit:?}");
        // Fixed windows: at most the units of two windows within the length of one.
        let recent = self.limited.iter().filter(|at| now - **at < 60_000).count();
        assert!(recent <= 4, "{recent} assignments of two units within a minute");
    }

    /// Checks that no queued task should have been assigned before one that was: within a workflow by priority and
    /// position, between workflows by their turns.
    fn check_turns(&mut self, op: &Op, before: &BTreeMap<RunId, QueuedTask>, queued: &BTreeMap<RunId, QueuedTask>) {
        let started: Vec<RunId> = self
            .world
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::StartAttempt { task, .. } => Some(*task),
                _ => None,
            })
            .collect();
        for task in started {
            let workflow = self.workflow(task);
            if let Some(mine) = before.get(&task).filter(|_| !matches!(op, Op::Advance(_))) {
                let still_queued = before.iter().filter(|(id, was)| queued.get(*id) == Some(*was)).map(|(_, was)| was);
                let limited = WORKFLOWS.iter().position(|name| *name == "limited");
                let comparable = still_queued.filter(|other| Some(other.workflow) != limited);
                for other in comparable.filter(|other| other.requires_at_most(mine)) {
                    if other.workflow == workflow {
                        let (mine, other) = ((-mine.priority, mine.position), (-other.priority, other.position));
                        assert!(mine < other, "a task of lower priority or later position was first");
                    } else {
                        assert!(self.turn(workflow) <= self.turn(other.workflow), "it was another workflow's turn");
                    }
                }
            }
            self.assignments += 1;
            self.turns.insert(workflow, self.assignments);
        }
    }

    /// Adds a worker that serves all actions, and checks that all runs end.
    fn check_that_all_runs_end(&mut self) {
        let worker = self.world.register(&WORKFLOWS, &[("default", 1000), ("cpu", 1000)]);
        self.world.event(|state, now| state.open_stream(worker, true, now)).unwrap();
        for _ in 0..50 {
            let all = self.runs.iter().flat_map(|run| self.world.state.run(*run).unwrap().1.tasks.clone());
            for task in all.collect::<Vec<_>>() {
                let (status, attempt) = self.world.status(task);
                if status == RunStatus::Running {
                    self.world.complete(task, attempt);
                }
            }
            for key in EVENTS {
                let (key, input, metadata) = (key.into(), "{}".into(), "{}".into());
                let event = PushedEvent { key, input, metadata, priority: None, scope: None };
                self.world.event(|state, now| state.push_event(event, now));
            }
            self.world.seconds(10);
        }
        for run in &self.runs {
            assert!(self.world.statuses(*run).0.is_final(), "{run} never ended");
        }
    }
}

/// Cases of 100 to 400 operations each: about 21,000 operations, and about 1,050,000 with `make chaos`.
fn histories() -> u32 {
    if std::env::var("HATCHET_CHAOS").as_deref() == Ok("1") { 4200 } else { 85 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), max_shrink_iters: 2000, max_shrink_time: 60_000, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_after_random_operations(ops in prop::collection::vec(op(), 100..400)) {
        let mut random = Random::new();
        for op in &ops {
            let before = random.queued();
            random.world.effects.clear();
            random.apply(op);
            random.check(op, &before);
        }
        random.check_that_all_runs_end();
    }
}
