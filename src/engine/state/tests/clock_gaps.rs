//! Gaps in the engine's own time.

use super::*;

/// A world with one worker that runs one task, and that has been heard this moment.
fn at_work() -> (World, WorkerId, RunId) {
    let mut world = World::new();
    world.declare("t", |task| task.timeout.0 = Duration::from_secs(3600));
    let (worker, _) = world.worker(&["t"], 1);
    let run = world.trigger("t");
    world.started();
    (world, worker, run)
}

/// As after SIGSTOP or a closed lid: the clock has gone on, and no timer.
fn stand_still(world: &mut World, time: Duration) {
    world.move_on(time);
    world.event(State::tick);
}

#[test]
fn engine_that_stood_still_gives_workers_a_fresh_lease() {
    // Wherever in the lease it begins, and however long it is.
    for (before, gap) in [(0, 40), (1, 29), (4, 31), (17, 40), (24, 12), (26, 3000), (29, 40)] {
        let (mut world, worker, run) = at_work();
        for _ in 0..before {
            world.seconds(1);
            world.beat(worker);
        }
        stand_still(&mut world, Duration::from_secs(gap));
        assert_eq!(world.status(run), (RunStatus::Running, 0), "{before} s, then a gap of {gap} s");
        world.seconds(29);
        assert_eq!(world.status(run), (RunStatus::Running, 0), "{before} s, then a gap of {gap} s");
        world.beat(worker);
        world.seconds(29);
        assert_eq!(world.status(run), (RunStatus::Running, 0), "{before} s, then a gap of {gap} s");
    }
}

#[test]
fn worker_that_died_in_a_gap_is_lost_one_lease_later() {
    let (mut world, _, run) = at_work();
    stand_still(&mut world, Duration::from_secs(40));
    world.seconds(31);
    assert_eq!(world.status(run), (RunStatus::Queued, 1));
}

#[test]
fn engine_whose_timers_are_a_little_late_loses_dead_workers_in_time() {
    let (mut world, _, run) = at_work();
    for _ in 0..31 {
        stand_still(&mut world, Duration::from_millis(999));
    }
    assert_eq!(world.status(run), (RunStatus::Queued, 1));
}

#[test]
fn execution_timeout_passes_while_the_engine_stands_still() {
    let mut world = World::new();
    world.declare("t", |task| task.timeout.0 = Duration::from_secs(60));
    world.worker(&["t"], 1);
    let run = world.trigger("t");
    stand_still(&mut world, Duration::from_secs(61));
    assert_eq!(world.status(run).0, RunStatus::Failed);
}
