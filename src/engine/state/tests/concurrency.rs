//! Tests of concurrency groups: admission, strategies, and restarts.

use super::{
    restart::{snapshot, tracked_world},
    *,
};
use crate::engine::state::{
    HistoryEventKind,
    concurrency::{ConcurrencyRule, LimitStrategy},
    expression::TaskExpression,
};
use LimitStrategy::{CancelInProgress, CancelNewest, GroupRoundRobin};
use RunStatus::{Cancelled, Completed, Failed, Queued, Running};

pub(super) fn rule(key: &str, max_runs: i32, strategy: LimitStrategy) -> ConcurrencyRule {
    let key = TaskExpression::compile(key).unwrap();
    ConcurrencyRule { key, max_runs, max_runs_expression: None, strategy, tenant_name: None }
}

impl World {
    /// Triggers a run with the input `{"k": key}`.
    pub(super) fn trigger_key(&mut self, name: &str, key: &str) -> RunId {
        self.trigger_with(name, |item| item.template.input = format!(r#"{{"k":"{key}"}}"#).into())
    }

    fn all(&self, runs: &[RunId]) -> Vec<RunStatus> {
        runs.iter().map(|run| self.statuses(*run).0).collect()
    }
}

/// A workflow of one task with a rule by `input.k`, and a worker with many slots.
fn world(max_runs: i32, strategy: LimitStrategy) -> World {
    let mut world = World::new();
    world.declare("t", |t| t.concurrency = vec![rule("input.k", max_runs, strategy)]);
    world.worker(&["t"], 100);
    world
}

fn trigger_three(world: &mut World) -> [RunId; 3] {
    [0, 1, 2].map(|_| world.trigger_key("t", "x"))
}

#[test]
fn members_beyond_the_limit_wait_for_admission() {
    let mut world = world(1, GroupRoundRobin);
    let runs = trigger_three(&mut world);
    let other = world.trigger_key("t", "y");
    assert_eq!(world.all(&runs), [Running, Queued, Queued]);
    assert_eq!(world.all(&[other]), [Running], "another key is another group");
    world.complete(runs[0], 0);
    assert_eq!(world.all(&runs), [Completed, Running, Queued]);
    world.event(|state, now| state.cancel(runs[1], now));
    assert_eq!(world.all(&runs), [Completed, Cancelled, Running]);
    world.complete(runs[2], 0);
    assert_eq!(world.state.concurrency.counts().count(), 1, "an empty group is dropped");
}

#[test]
fn strategy_selects_the_cancelled_members() {
    for (strategy, expected) in [
        (CancelInProgress, [Cancelled, Cancelled, Running]),
        (CancelNewest, [Running, Cancelled, Cancelled]),
        (LimitStrategy::CancelQueuedExceptNewest, [Running, Cancelled, Queued]),
        (LimitStrategy::CancelQueuedExceptOldest, [Running, Queued, Cancelled]),
    ] {
        let mut world = world(1, strategy);
        let runs = trigger_three(&mut world);
        assert_eq!(world.all(&runs), expected, "{strategy:?}");
        let stops = world.effects.iter().filter(|effect| matches!(effect, Effect::StopAttempt { .. })).count();
        assert_eq!(stops, if strategy == CancelInProgress { 2 } else { 0 });
        for (run, status) in runs.iter().zip(expected) {
            let last = world.state.task(*run).unwrap().history.last();
            assert_eq!(last == Some(HistoryEventKind::Displaced), status == Cancelled);
        }
    }
}

#[test]
fn immediate_retry_stays_in_group_and_delayed_retry_leaves_it() {
    for (delay, expected) in [(false, [Running, Queued]), (true, [Queued, Running])] {
        let mut world = World::new();
        world.declare("t", |t| {
            (t.retries, t.backoff) = (1, backoff(5.0, 5).filter(|_| delay));
            t.concurrency = vec![rule("input.k", 1, GroupRoundRobin)];
        });
        world.worker(&["t"], 100);
        let runs = [world.trigger_key("t", "x"), world.trigger_key("t", "x")];
        world.fail(runs[0], 0);
        assert_eq!(world.all(&runs), expected);
    }
}

#[test]
fn retried_member_is_not_replaced_by_a_newer_one() {
    let mut world = World::new();
    world.declare("t", |t| {
        t.retries = 1;
        t.concurrency = vec![rule("input.k", 1, CancelInProgress)];
    });
    world.worker(&["t"], 100);
    let first = world.trigger_key("t", "x");
    world.fail(first, 0);
    let second = world.trigger_key("t", "x");
    assert_eq!(world.all(&[first, second]), [Running, Cancelled]);
}

#[test]
fn task_stays_in_first_group_while_it_waits_for_second() {
    let mut world = World::new();
    world.declare("t", |t| t.concurrency = vec![rule("input.k", 1, GroupRoundRobin), rule("'z'", 1, GroupRoundRobin)]);
    world.worker(&["t"], 100);
    let runs = ["x", "y", "y"].map(|key| world.trigger_key("t", key));
    assert_eq!(world.all(&runs), [Running, Queued, Queued]);
    // The second run waits in the second group, so the third waits in the first.
    assert_eq!(runs.map(|run| world.state.task(run).unwrap().admitted_groups), [2, 1, 0]);
    world.complete(runs[0], 0);
    assert_eq!(world.all(&runs), [Completed, Running, Queued]);
    world.complete(runs[1], 0);
    assert_eq!(world.all(&runs), [Completed, Completed, Running]);
}

#[test]
fn run_of_several_tasks_is_one_member() {
    let mut world = World::new();
    let rescue = TaskDefinition { on_failure: true, ..World::task("rescue", &[]) };
    let tasks = vec![World::task("a", &[]), World::task("b", &[0]), rescue];
    world.declare_all("dag", tasks, |d| d.concurrency = vec![rule("input.k", 1, GroupRoundRobin)]);
    world.worker(&["dag"], 100);
    let runs = ["x", "x"].map(|key| world.trigger_key("dag", key));
    assert_eq!(world.statuses(runs[1]).0, Queued);
    world.complete(world.task_at(runs[0], 0), 0);
    assert_eq!(world.all(&runs), [Running, Queued], "between its tasks, the run stays admitted");
    world.report(world.task_at(runs[0], 1), 0, failed("boom", false));
    assert_eq!(world.all(&runs), [Running, Running], "the on-failure task needs no admission");
}

#[test]
fn replaced_run_of_several_tasks_is_cancelled_as_a_whole() {
    let mut world = World::new();
    let tasks = vec![World::task("a", &[]), World::task("b", &[0])];
    world.declare_all("dag", tasks, |d| d.concurrency = vec![rule("input.k", 1, CancelInProgress)]);
    world.worker(&["dag"], 100);
    let runs = ["x", "x"].map(|key| world.trigger_key("dag", key));
    assert_eq!(world.statuses(runs[0]), (Cancelled, vec![Stage::Cancelled, Stage::Cancelled]));
    assert_eq!(world.statuses(runs[1]).0, Running);
}

#[test]
fn tenant_scoped_rule_is_shared_by_workflows() {
    let mut world = World::new();
    for name in ["a", "b"] {
        let shared = ConcurrencyRule { tenant_name: Some("shared".into()), ..rule("input.k", 1, GroupRoundRobin) };
        world.declare(name, |t| t.concurrency = vec![shared]);
        world.worker(&[name], 100);
    }
    let runs = [world.trigger_key("a", "x"), world.trigger_key("b", "x"), world.trigger_key("b", "y")];
    assert_eq!(world.all(&runs), [Running, Queued, Running]);
    world.complete(runs[0], 0);
    assert_eq!(world.all(&runs), [Completed, Running, Running]);
}

#[test]
fn limit_by_expression_is_that_of_the_newest_member() {
    let mut world = World::new();
    let limit = Some(TaskExpression::compile("input.k == 'x' ? 1 : int(input.k)").unwrap());
    world.declare("t", |t| {
        t.concurrency = vec![ConcurrencyRule { max_runs_expression: limit, ..rule("'k'", 9, GroupRoundRobin) }];
    });
    world.worker(&["t"], 100);
    let runs = ["x", "x", "3"].map(|key| world.trigger_key("t", key));
    assert_eq!(world.all(&runs), [Running, Running, Running]);
    let bad = world.trigger_key("t", "nan");
    assert_eq!(world.all(&[bad]), [Failed]);
}

#[test]
fn task_fails_with_the_error_of_its_key_expression() {
    let mut world = world(1, GroupRoundRobin);
    let run = world.trigger("t");
    let error = "failed to parse step expression (input.k): no such key: k";
    assert_eq!(world.state.task(run).unwrap().phase.error(), Some(error));
    assert_eq!(world.status(run), (Failed, 0));
    // A replay evaluates the same input.
    world.event(|state, now| state.replay(run, now));
    assert_eq!(world.status(run), (Failed, 1));
}

#[test]
fn schedule_timeout_ends_wait_for_admission() {
    let mut world = World::new();
    world.declare("t", |t| {
        t.schedule_timeout = Duration::from_secs(5);
        t.concurrency = vec![rule("input.k", 1, GroupRoundRobin)];
    });
    world.worker(&["t"], 100);
    let runs = trigger_three(&mut world);
    world.seconds(6);
    assert_eq!(world.all(&runs), [Running, Cancelled, Cancelled]);
    assert!(world.state.task(runs[2]).unwrap().history.last() == Some(HistoryEventKind::ScheduleTimedOut));
}

#[test]
fn waiting_on_failure_task_is_admitted_after_a_restart() {
    let (mut world, mut store) = tracked_world();
    let concurrency = vec![rule("'rescue'", 1, GroupRoundRobin)];
    let rescue = TaskDefinition { on_failure: true, concurrency, ..World::task("rescue", &[]) };
    let rules = vec![rule("input.k", 1, GroupRoundRobin)];
    world.declare_all("dag", vec![World::task("a", &[]), rescue], |d| d.concurrency = rules);
    world.worker(&["dag"], 100);
    let runs = ["x", "y"].map(|key| world.trigger_key("dag", key));
    for run in runs {
        world.report(world.task_at(run, 0), 0, failed("boom", false));
    }
    let rescues = runs.map(|run| world.task_at(run, 1));
    assert_eq!(rescues.map(|task| world.status(task).0), [Running, Queued]);
    world.restart(&mut store);
    world.worker(&["dag"], 100);
    world.complete(rescues[0], 0);
    assert_eq!(world.status(rescues[1]).0, Running);
}

#[test]
fn groups_survive_a_restart() {
    let (mut world, mut store) = tracked_world();
    world.declare("t", |t| t.concurrency = vec![rule("input.k", 1, GroupRoundRobin), rule("'z'", 2, GroupRoundRobin)]);
    let tasks = vec![World::task("a", &[]), World::task("b", &[0])];
    world.declare_all("dag", tasks, |d| d.concurrency = vec![rule("input.k", 1, GroupRoundRobin)]);
    world.worker(&["t", "dag"], 100);
    let runs = ["x", "x", "y", "y", "z"].map(|key| world.trigger_key("t", key));
    let dags = ["x", "x"].map(|key| world.trigger_key("dag", key));
    world.restart(&mut store);
    let expected = [Running, Queued, Running, Queued, Queued];
    assert_eq!((world.all(&runs), world.all(&dags)), (expected.to_vec(), vec![Running, Queued]));
    world.complete(runs[0], 0);
    world.complete(world.task_at(dags[0], 0), 0);
    let before = snapshot(&world.state);
    world.restart(&mut store);
    assert_eq!(before, snapshot(&world.state));
    let (worker, _) = world.worker(&["t", "dag"], 100);
    for _ in 0..6 {
        let all: Vec<RunId> = runs
            .iter()
            .copied()
            .chain(dags.iter().flat_map(|r| [0, 1].map(|index| world.task_at(*r, index))))
            .collect();
        for task in all {
            if world.status(task).0 == Running {
                let attempt = world.status(task).1;
                world.complete(task, attempt);
            }
        }
        world.heartbeat(worker);
    }
    assert!(world.all(&runs).iter().chain(&world.all(&dags)).all(|status| *status == Completed));
}
