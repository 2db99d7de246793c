//! Tests of conditions that start, skip or cancel a task.

use super::{restart::MemoryStore, *};
use crate::engine::state::{
    conditions::{ConditionAction, Conditions, ParentCondition, Rule, WaitCondition, WaitKind},
    predicate::Predicate,
};
use Stage::{Cancelled, Completed, Queued, Waiting};

pub(super) fn sleep(action: ConditionAction, group: usize, seconds: u64) -> WaitCondition {
    let kind = WaitKind::Sleep { duration: Duration::from_secs(seconds), text: format!("{seconds}s").into() };
    WaitCondition { rule: Rule { action, group }, data_key: "slept".into(), kind }
}

pub(super) fn event(action: ConditionAction, group: usize, key: &str, expression: &str) -> WaitCondition {
    let kind = WaitKind::Event { key: key.into(), predicate: Predicate::compile(expression).unwrap() };
    WaitCondition { rule: Rule { action, group }, data_key: "happened".into(), kind }
}

pub(super) fn parent(action: ConditionAction, group: usize, parent: usize, expression: &str) -> ParentCondition {
    let predicate = Predicate::compile(expression).unwrap();
    ParentCondition { rule: Rule { action, group }, parent, predicate }
}

/// A task with conditions.
pub(super) fn task(
    name: &str,
    parents: &[usize],
    parent_conditions: Vec<ParentCondition>,
    waits: Vec<WaitCondition>,
) -> TaskDefinition {
    let conditions = Some(Arc::new(Conditions { parents: parent_conditions, waits }));
    TaskDefinition { conditions, ..World::task(name, parents) }
}

/// a ─► b with these conditions ─► c.
fn chain(parent_conditions: Vec<ParentCondition>, waits: Vec<WaitCondition>) -> World {
    let mut world = World::new();
    world.state.track_changes();
    let b = task("b", &[0], parent_conditions, waits);
    world.declare_all("dag", vec![World::task("a", &[]), b, World::task("c", &[1])], |_| ());
    world.worker(&["dag"], 1);
    world
}

/// Completes the first task of a new run.
fn complete_first(world: &mut World, output: &str) -> RunId {
    let run = world.trigger("dag");
    world.report(world.task_at(run, 0), 0, AttemptReport::Completed(output.into()));
    run
}

fn push(world: &mut World, key: &str, input: &str) {
    let event =
        PushedEvent { key: key.into(), input: input.into(), metadata: "{}".into(), priority: None, scope: None };
    world.event(|state, now| state.push_event(event, now));
}

fn data(world: &World, task: RunId) -> Vec<(String, String)> {
    let data = world.state.condition_data(task).into_iter();
    data.map(|(key, text)| (key.to_string(), text.to_string())).collect()
}

#[test]
fn sleep_begins_with_the_end_of_the_parents() {
    let mut world = chain(Vec::new(), vec![sleep(ConditionAction::Wait, 0, 100)]);
    world.seconds(4);
    let run = complete_first(&mut world, "{}");
    let b = world.task_at(run, 1);
    assert!(!world.state.task(b).unwrap().is_created());
    world.seconds(99);
    assert_eq!(world.statuses(run).1, [Completed, Waiting, Waiting]);
    world.seconds(1);
    assert_eq!(world.statuses(run).1, [Completed, Queued, Waiting]);
    assert_eq!(data(&world, b), [("slept".to_owned(), r#"{"sleep_duration":"100s"}"#.to_owned())]);
}

#[cfg(feature = "cel")]
#[test]
fn later_event_starts_tasks_in_the_order_of_their_waits() {
    let mut world = chain(Vec::new(), vec![event(ConditionAction::Wait, 0, "k", "input.n > 1")]);
    let runs = [complete_first(&mut world, "{}"), complete_first(&mut world, "{}")];
    push(&mut world, "k", r#"{"n":1}"#);
    push(&mut world, "other", r#"{"n":2}"#);
    assert_eq!(runs.map(|run| world.statuses(run).1[1]), [Waiting; 2]);
    world.started();
    push(&mut world, "k", r#"{"n":2}"#);
    let [first, second] = runs.map(|run| world.task_at(run, 1));
    assert_eq!(world.started(), [(first, 0)]);
    assert_eq!(data(&world, second), [("happened".to_owned(), r#"{"n":2}"#.to_owned())]);
    assert!(world.state.conditions.predicates("k").is_empty(), "nothing waits");
}

#[cfg(feature = "cel")]
#[test]
fn event_evaluates_each_predicate_of_its_key_once() {
    let waits =
        [(0, "input.n > 1"), (1, "input.n > 2")].map(|(group, text)| event(ConditionAction::Wait, group, "k", text));
    let mut world = chain(Vec::new(), waits.into());
    let runs: Vec<RunId> = (0..50).map(|_| complete_first(&mut world, "{}")).collect();
    let mut evaluated = Vec::new();
    let met = world.state.conditions.meet_event("k", &"{}".into(), |predicate| {
        evaluated.push(predicate.text().to_string());
        predicate.text().ends_with('1')
    });
    assert_eq!(evaluated, ["input.n > 1", "input.n > 2"], "one evaluation for 50 tasks");
    let second = |run: &RunId| world.task_at(*run, 1);
    assert_eq!(met, runs.iter().map(second).collect::<Vec<_>>(), "in the order of their waits");
    assert_eq!(world.state.conditions.awaited_events(), 2);
    for run in runs {
        world.event(|state, now| state.cancel(run, now));
    }
    assert_eq!(world.state.conditions.awaited_events(), 0);
}

#[test]
fn event_does_not_count_for_runs_that_it_triggers() {
    let mut world = World::new();
    let waits = vec![event(ConditionAction::Wait, 0, "k", "")];
    world.declare_all("dag", vec![task("a", &[], Vec::new(), waits)], |dag| dag.events = vec!["k".into()]);
    push(&mut world, "k", "{}");
    let run = world.state.runs.by_age().next().unwrap().0;
    assert_eq!(world.statuses(run).1, [Waiting]);
    push(&mut world, "k", "{}");
    assert_eq!(world.statuses(run).1, [Queued]);
    assert!(data(&world, run).is_empty(), "a task without parents has no data");
}

#[test]
fn skipped_task_skips_children_and_cancelled_task_cancels_them() {
    for (action, stage, status) in [
        (ConditionAction::Skip, Completed, RunStatus::Completed),
        (ConditionAction::Cancel, Cancelled, RunStatus::Cancelled),
    ] {
        let mut world = chain(vec![parent(action, 0, 0, "")], Vec::new());
        let run = complete_first(&mut world, "{}");
        assert_eq!(world.statuses(run), (status, vec![Completed, stage, stage]));
    }
}

#[test]
fn cancelled_and_replayed_tasks_wait_from_the_beginning() {
    let mut world = chain(Vec::new(), vec![sleep(ConditionAction::Wait, 0, 100)]);
    let run = complete_first(&mut world, "{}");
    world.seconds(50);
    world.event(|state, now| state.cancel(run, now));
    assert_eq!((world.statuses(run).1[1], world.state.conditions.open_timers()), (Cancelled, 0));
    world.event(|state, now| state.replay(run, now));
    let (a, worker) = (world.task_at(run, 0), world.worker(&["dag"], 1).0);
    world.report(a, 1, AttemptReport::Completed("{}".into()));
    world.seconds(99);
    assert_eq!(world.statuses(run).1[1], Waiting);
    world.heartbeat(worker);
    world.seconds(1);
    assert_eq!(world.statuses(run).1[1], Stage::Running);
}

#[test]
fn restart_keeps_sleeps_events_and_their_data() {
    let waits = vec![
        sleep(ConditionAction::Wait, 0, 100),
        event(ConditionAction::Wait, 1, "k", ""),
        event(ConditionAction::Skip, 2, "skip", ""),
    ];
    let mut world = chain(Vec::new(), waits);
    let runs = [complete_first(&mut world, "{}"), complete_first(&mut world, "{}")];
    push(&mut world, "k", r#"{"n":1}"#);
    let mut store = MemoryStore::default();
    world.seconds(60);
    world.restart(&mut store);
    world.seconds(39);
    assert_eq!(world.statuses(runs[0]).1, [Completed, Waiting, Waiting]);
    world.restart(&mut store);
    world.seconds(1);
    let expected = [("slept", r#"{"sleep_duration":"100s"}"#), ("happened", r#"{"n":1}"#)];
    for run in runs {
        assert_eq!(world.statuses(run).1[1], Queued);
        world.restart(&mut store);
        assert_eq!(data(&world, world.task_at(run, 1)), expected.map(|(key, text)| (key.to_owned(), text.to_owned())));
    }
    let rows = store.rows(crate::engine::persistence::row::Table::Conditions);
    assert_eq!(rows, 2, "a row for each task with conditions");
}

#[test]
fn removed_run_leaves_no_conditions() {
    let mut world = World::with_retention(0);
    world.declare_all("dag", vec![task("a", &[], Vec::new(), vec![sleep(ConditionAction::Wait, 0, 5)])], |_| ());
    let run = world.trigger("dag");
    world.event(|state, now| state.cancel(run, now));
    assert!(world.state.conditions.is_empty() && world.state.run(run).is_none());
}
