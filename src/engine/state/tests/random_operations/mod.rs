//! Checks the invariants after each of many random operations, and the turns against a model.

mod checks;
#[cfg(feature = "cel")]
mod group_model;

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
