//! Workflows of several tasks.

use super::*;
use Stage::{Cancelled, Completed, Failed, Queued, Running, Waiting};

/// a ─► c, b ─► c, and a task for failures.
fn diamond() -> World {
    let mut world = World::new();
    let rescue = TaskDefinition { on_failure: true, ..World::task("rescue", &[]) };
    let tasks = vec![World::task("a", &[]), World::task("b", &[]), World::task("c", &[0, 1]), rescue];
    world.declare_all("dag", tasks, |_| ());
    world
}

fn settled(world: &World, run: RunId) -> Vec<RunStatus> {
    let end = |effect: &Effect| match effect {
        Effect::RunFinished { run: id, status } if *id == run => Some(*status),
        _ => None,
    };
    world.done.iter().filter_map(end).collect()
}

#[test]
fn children_start_when_all_parents_have_completed() {
    let mut world = diamond();
    let run = world.trigger("dag");
    assert_eq!(world.stand(run), (RunStatus::Queued, vec![Queued, Queued, Waiting, Waiting]));
    let [a, b, c, rescue] = [0, 1, 2, 3].map(|at| world.part(run, at));
    assert!(![a, b, c, rescue].contains(&run), "each has an id of its own");
    world.worker(&["dag"], 10);
    assert_eq!(world.started(), [(a, 0), (b, 0)]);
    world.complete(a, 0);
    assert_eq!(world.stand(run), (RunStatus::Running, vec![Completed, Running, Waiting, Waiting]));
    assert!(!world.state.task(c).unwrap().is_made());
    world.complete(b, 0);
    assert!(world.done.contains(&Effect::Step { task: c, run, attempt: 0, what: TaskEvent::Created }));
    assert_eq!(world.started(), [(c, 0)]);
    world.complete(c, 0);
    assert_eq!(world.stand(run), (RunStatus::Completed, vec![Completed; 4]));
    let skipped = TaskEvent::Completed(r#"{"skipped":true}"#.into());
    assert!(world.done.contains(&Effect::Step { task: rescue, run, attempt: 0, what: skipped }));
    assert_eq!(settled(&world, run), [RunStatus::Completed]);
}

#[test]
fn a_failure_cancels_what_depends_on_it_and_starts_the_task_for_failures_last() {
    let mut world = diamond();
    world.worker(&["dag"], 10);
    let run = world.trigger("dag");
    let [a, b, _, rescue] = [0, 1, 2, 3].map(|at| world.part(run, at));
    world.fail(a, 0);
    assert_eq!(world.stand(run), (RunStatus::Running, vec![Failed, Running, Cancelled, Waiting]));
    world.complete(b, 0);
    assert_eq!(world.stand(run), (RunStatus::Running, vec![Failed, Completed, Cancelled, Running]));
    world.complete(rescue, 0);
    assert_eq!(world.stand(run), (RunStatus::Failed, vec![Failed, Completed, Cancelled, Completed]));
    assert_eq!(settled(&world, run), [RunStatus::Failed]);
}

#[test]
fn a_cancelled_run_starts_nothing_any_more() {
    let mut world = diamond();
    world.worker(&["dag"], 1);
    let run = world.trigger("dag");
    world.fail(world.part(run, 0), 0);
    world.started();
    world.event(|state, now| state.cancel(run, now));
    assert_eq!(world.stand(run), (RunStatus::Failed, vec![Failed, Cancelled, Cancelled, Cancelled]));
    assert_eq!(world.started(), []);

    let run = world.trigger("dag");
    let a = world.part(run, 0);
    world.event(|state, now| state.cancel(a, now));
    assert_eq!(world.stand(run), (RunStatus::Running, vec![Cancelled, Running, Cancelled, Waiting]));
    world.complete(world.part(run, 1), 0);
    assert_eq!(world.stand(run), (RunStatus::Cancelled, vec![Cancelled, Completed, Cancelled, Completed]));
}

#[test]
fn a_replay_runs_all_again_or_what_one_task_is_for() {
    let mut world = diamond();
    world.worker(&["dag"], 10);
    let run = world.trigger("dag");
    let [a, b, c, rescue] = [0, 1, 2, 3].map(|at| world.part(run, at));
    world.complete(b, 0);
    assert!(world.event(|state, now| state.replay(a, now)), "it has not ended: nothing happens");
    world.fail(a, 0);
    world.complete(rescue, 0);
    world.done.clear();

    assert!(world.event(|state, now| state.replay(c, now)));
    assert_eq!(world.stand(run), (RunStatus::Running, vec![Running, Completed, Waiting, Waiting]));
    assert_eq!(world.started(), [(a, 1)], "the failed parent is needed, the other one is not");
    world.complete(a, 1);
    assert_eq!(world.started(), [(c, 1)]);
    world.complete(c, 1);
    assert_eq!(world.stand(run), (RunStatus::Completed, vec![Completed; 4]));

    assert!(world.event(|state, now| state.replay(run, now)));
    assert_eq!(world.started(), [(a, 2), (b, 1)]);
    world.complete(a, 2);
    world.complete(b, 1);
    world.complete(c, 2);
    assert_eq!(world.stand(run).0, RunStatus::Completed);
    assert!(world.event(|state, now| state.replay(rescue, now)));
    assert_eq!(world.stand(run), (RunStatus::Completed, vec![Completed; 4]), "nothing has failed: skipped again");
}

#[test]
fn a_long_chain_ends_without_a_deep_stack() {
    let mut world = World::new();
    let tasks = (0..20_000usize).map(|at| World::task(&format!("t{at}"), at.checked_sub(1).as_slice()));
    world.declare_all("dag", tasks.collect(), |_| ());
    let run = world.trigger("dag");
    world.event(|state, now| state.cancel(state.run(run).unwrap().1.tasks[0], now));
    assert_eq!(world.stand(run).0, RunStatus::Cancelled);
}
