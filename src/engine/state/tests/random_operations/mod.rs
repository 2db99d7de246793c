//! Checks the invariants after each of many random operations, and the turns against a model.

mod checks;
#[cfg(feature = "cel")]
mod group_model;
mod operation;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use self::operation::{Op, op};
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
        self.requirements.iter().all(|(kind, units)| {
            other.requirements.iter().any(|(other_kind, more)| other_kind == kind && units <= more)
        })
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
        let attempts = (0..stages.len()).map(|index| self.world.status(self.world.task_at(run, index)).1);
        (status, stages.into_iter().zip(attempts).collect())
    }
}

proptest! {
    // A case has 100 to 400 operations. These are about 21,000 in all; `PROPTEST_CASES`, which takes precedence, is 5,000
    // in `make chaos` and makes them about 1,250,000.
    #![proptest_config(ProptestConfig { cases: 85, max_shrink_iters: 2000, max_shrink_time: 60_000, ..ProptestConfig::default() })]

    #[test]
    fn invariants_hold_after_random_operations(ops in prop::collection::vec(op(), 100..400)) {
        let mut random = Random::new();
        for op in &ops {
            let before = random.queued();
            random.world.effects.clear();
            random.apply(*op);
            random.check(op, &before);
        }
        random.check_that_all_runs_end();
    }
}
