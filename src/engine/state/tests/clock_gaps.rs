//! Stops of the engine itself.

use super::*;

/// A world with one worker that runs one task and has just sent a heartbeat.
fn world_with_running_task() -> (World, WorkerId, RunId) {
    let mut world = World::new();
    world.declare("t", |task| task.timeout = Duration::from_secs(3600));
    let (worker, _) = world.worker(&["t"], 1);
    let run = world.trigger("t");
    world.started();
    (world, worker, run)
}

/// Stops the engine, as SIGSTOP does: the clocks continue and no timer fires.
fn stop_engine(world: &mut World, time: Duration) {
    world.advance_clock(time);
    world.event(State::tick);
}

#[test]
fn stopped_engine_renews_leases_when_it_continues() {
    // At various points of the lease, and for various times.
    for (before, gap) in [(0, 40), (1, 29), (4, 31), (17, 40), (24, 12), (26, 3000), (29, 40)] {
        let (mut world, worker, run) = world_with_running_task();
        for _ in 0..before {
            world.seconds(1);
            world.heartbeat(worker);
        }
        stop_engine(&mut world, Duration::from_secs(gap));
        assert_eq!(world.status(run), (RunStatus::Running, 0), "{before} s, then a gap of {gap} s");
        world.seconds(29);
        assert_eq!(world.status(run), (RunStatus::Running, 0), "{before} s, then a gap of {gap} s");
        world.heartbeat(worker);
        world.seconds(29);
        assert_eq!(world.status(run), (RunStatus::Running, 0), "{before} s, then a gap of {gap} s");
    }
}

#[test]
fn worker_that_ends_during_stop_is_lost_one_lease_later() {
    let (mut world, _, run) = world_with_running_task();
    stop_engine(&mut world, Duration::from_secs(40));
    world.seconds(31);
    assert_eq!(world.status(run), (RunStatus::Queued, 1));
}

#[test]
fn slightly_late_timers_do_not_renew_leases() {
    let (mut world, _, run) = world_with_running_task();
    for _ in 0..31 {
        stop_engine(&mut world, Duration::from_millis(999));
    }
    assert_eq!(world.status(run), (RunStatus::Queued, 1));
}

#[test]
fn execution_timeout_elapses_while_engine_is_stopped() {
    let mut world = World::new();
    world.declare("t", |task| task.timeout = Duration::from_secs(60));
    world.worker(&["t"], 1);
    let run = world.trigger("t");
    stop_engine(&mut world, Duration::from_secs(61));
    assert_eq!(world.status(run).0, RunStatus::Failed);
}
