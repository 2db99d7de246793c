//! Tests of workflows of several tasks.

use super::*;
use Stage::{Cancelled, Completed, Failed, Queued, Running, Waiting};

/// a ─► c, b ─► c, and an on-failure task.
fn diamond() -> World {
    let mut world = World::new();
    let rescue = TaskDefinition { on_failure: true, ..World::task("rescue", &[]) };
    let tasks = vec![World::task("a", &[]), World::task("b", &[]), World::task("c", &[0, 1]), rescue];
    world.declare_all("dag", tasks, |_| ());
    world
}

fn finished_statuses(world: &World, run: RunId) -> Vec<RunStatus> {
    let finished = |effect: &Effect| match effect {
        Effect::NotifyFinished { run: id, status } if *id == run => Some(*status),
        _ => None,
    };
    world.effects.iter().filter_map(finished).collect()
}

#[test]
fn child_starts_after_all_parents_completed() {
    let mut world = diamond();
    let run = world.trigger("dag");
    assert_eq!(world.statuses(run), (RunStatus::Queued, vec![Queued, Queued, Waiting, Waiting]));
    let [a, b, c, rescue] = [0, 1, 2, 3].map(|index| world.task_at(run, index));
    assert!(![a, b, c, rescue].contains(&run), "each task has its own id");
    world.worker(&["dag"], 10);
    assert_eq!(world.started(), [(a, 0), (b, 0)]);
    world.complete(a, 0);
    assert_eq!(world.statuses(run), (RunStatus::Running, vec![Completed, Running, Waiting, Waiting]));
    assert!(!world.state.task(c).unwrap().is_created());
    world.complete(b, 0);
    assert!(world.effects.contains(&Effect::NotifyTask { task: c, run, attempt: 0, event: TaskEvent::Created }));
    assert_eq!(world.started(), [(c, 0)]);
    world.complete(c, 0);
    assert_eq!(world.statuses(run), (RunStatus::Completed, vec![Completed; 4]));
    let skipped = TaskEvent::Completed(r#"{"skipped":true}"#.into());
    assert!(world.effects.contains(&Effect::NotifyTask { task: rescue, run, attempt: 0, event: skipped }));
    assert_eq!(finished_statuses(&world, run), [RunStatus::Completed]);
}

#[test]
fn failed_task_cancels_dependents_and_starts_on_failure_task_last() {
    let mut world = diamond();
    world.worker(&["dag"], 10);
    let run = world.trigger("dag");
    let [a, b, _, rescue] = [0, 1, 2, 3].map(|index| world.task_at(run, index));
    world.fail(a, 0);
    assert_eq!(world.statuses(run), (RunStatus::Running, vec![Failed, Running, Cancelled, Waiting]));
    world.complete(b, 0);
    assert_eq!(world.statuses(run), (RunStatus::Running, vec![Failed, Completed, Cancelled, Running]));
    world.complete(rescue, 0);
    assert_eq!(world.statuses(run), (RunStatus::Failed, vec![Failed, Completed, Cancelled, Completed]));
    assert_eq!(finished_statuses(&world, run), [RunStatus::Failed]);
}

#[test]
fn cancelled_run_starts_no_task() {
    let mut world = diamond();
    world.worker(&["dag"], 1);
    let run = world.trigger("dag");
    world.fail(world.task_at(run, 0), 0);
    world.started();
    world.event(|state, now| state.cancel(run, now));
    assert_eq!(world.statuses(run), (RunStatus::Failed, vec![Failed, Cancelled, Cancelled, Cancelled]));
    assert_eq!(world.started(), []);

    let run = world.trigger("dag");
    let a = world.task_at(run, 0);
    world.event(|state, now| state.cancel(a, now));
    assert_eq!(world.statuses(run), (RunStatus::Running, vec![Cancelled, Running, Cancelled, Waiting]));
    world.complete(world.task_at(run, 1), 0);
    assert_eq!(world.statuses(run), (RunStatus::Cancelled, vec![Cancelled, Completed, Cancelled, Completed]));
}

#[test]
fn replay_restarts_run_or_task_with_dependents() {
    let mut world = diamond();
    world.worker(&["dag"], 10);
    let run = world.trigger("dag");
    let [a, b, c, rescue] = [0, 1, 2, 3].map(|index| world.task_at(run, index));
    world.complete(b, 0);
    assert!(world.event(|state, now| state.replay(a, now)), "an unfinished run does not change");
    world.fail(a, 0);
    world.complete(rescue, 0);
    world.effects.clear();

    assert!(world.event(|state, now| state.replay(c, now)));
    assert_eq!(world.statuses(run), (RunStatus::Running, vec![Running, Completed, Waiting, Waiting]));
    assert_eq!(world.started(), [(a, 1)], "only the failed parent restarts");
    world.complete(a, 1);
    assert_eq!(world.started(), [(c, 1)]);
    world.complete(c, 1);
    assert_eq!(world.statuses(run), (RunStatus::Completed, vec![Completed; 4]));

    assert!(world.event(|state, now| state.replay(run, now)));
    assert_eq!(world.started(), [(a, 2), (b, 1)]);
    world.complete(a, 2);
    world.complete(b, 1);
    world.complete(c, 2);
    assert_eq!(world.statuses(run).0, RunStatus::Completed);
    assert!(world.event(|state, now| state.replay(rescue, now)));
    assert_eq!(world.statuses(run), (RunStatus::Completed, vec![Completed; 4]), "skipped again, as no task failed");
}

#[test]
fn long_chain_of_tasks_ends_without_deep_stack() {
    let mut world = World::new();
    let tasks = (0..20_000usize).map(|index| World::task(&format!("t{index}"), index.checked_sub(1).as_slice()));
    world.declare_all("dag", tasks.collect(), |_| ());
    let run = world.trigger("dag");
    world.event(|state, now| state.cancel(state.run(run).unwrap().1.tasks[0], now));
    assert_eq!(world.statuses(run).0, RunStatus::Cancelled);
}
