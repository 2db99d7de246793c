//! Every stage of a task against every external event, through the public operations of the state.

use super::*;
use RunStatus::{Cancelled, Completed, Failed, Queued, Running};

/// A stage of a task with one retry.
#[derive(Debug, Clone, Copy)]
enum At {
    Queued,
    BackOff,
    Running,
    Released,
    LastAttempt,
    Completed,
    Failed,
    Cancelled,
}

/// An external event.
#[derive(Debug, Clone, Copy)]
enum Event {
    Acknowledged,
    Completes,
    Fails,
    FailsForGood,
    OldAttemptCompletes,
    UnnamedAttemptCompletes,
    WorkerCancels,
    IsCancelled,
    IsReplayed,
    TenMinutesPass,
    WorkerDies,
    SlotReleased,
}

fn world_at(at: At) -> (World, RunId, WorkerId) {
    let mut world = World::new();
    let slow = matches!(at, At::BackOff);
    world.declare("t", |t| {
        t.retries = 1;
        t.backoff = backoff(100.0, 100).filter(|_| slow);
    });
    let (worker, _) = world.worker(&["t"], 1);
    if matches!(at, At::Queued) {
        world.event(|state, now| state.pause(worker, true, now)).unwrap();
    }
    let run = world.trigger("t");
    match at {
        At::Queued | At::Running => {}
        At::BackOff | At::LastAttempt => world.fail(run, 0),
        At::Released => assert!(world.event(|state, now| state.release_slot(run, now))),
        At::Completed => world.complete(run, 0),
        At::Failed => world.report(run, 0, failed("x", false)),
        At::Cancelled => world.event(|state, now| state.cancel(run, now)),
    }
    world.effects.clear();
    (world, run, worker)
}

fn apply(world: &mut World, run: RunId, worker: WorkerId, what: Event) {
    let attempt = world.status(run).1;
    match what {
        Event::Acknowledged => world.report(run, attempt, AttemptReport::Acknowledged),
        Event::Completes => world.complete(run, attempt),
        Event::Fails => world.fail(run, attempt),
        Event::FailsForGood => world.report(run, attempt, failed("x", false)),
        Event::OldAttemptCompletes => world.complete(run, attempt - 1),
        Event::UnnamedAttemptCompletes => {
            assert!(world.event(|state, now| state.report(run, None, AttemptReport::Completed("{}".into()), now)));
        }
        Event::WorkerCancels => world.report(run, attempt, AttemptReport::Cancelled),
        Event::IsCancelled => world.event(|state, now| state.cancel(run, now)),
        Event::IsReplayed => assert!(world.event(|state, now| state.replay(run, now))),
        // With the worker alive but paused, so that a queued task stays queued.
        Event::TenMinutesPass => {
            world.event(|state, now| state.pause(worker, true, now)).unwrap();
            for _ in 0..150 {
                world.seconds(4);
                world.heartbeat(worker);
            }
        }
        Event::WorkerDies => world.seconds(31),
        Event::SlotReleased => {
            world.event(|state, now| state.release_slot(run, now));
        }
    }
}

#[test]
fn every_stage_handles_every_event() {
    use At as A;
    use Event as H;
    let stages =
        [A::Queued, A::BackOff, A::Running, A::Released, A::LastAttempt, A::Completed, A::Failed, A::Cancelled];
    let q = Queued;
    let (r, c, f, x) = (Running, Completed, Failed, Cancelled);
    // Status and attempt after the event, by stage in the above order.
    let table: [(Event, [(RunStatus, i32); 8]); 12] = [
        (H::Acknowledged, [(q, 0), (q, 1), (r, 0), (r, 0), (r, 1), (c, 0), (f, 0), (x, 0)]),
        (H::Completes, [(q, 0), (q, 1), (c, 0), (c, 0), (c, 1), (c, 0), (f, 0), (x, 0)]),
        (H::Fails, [(q, 0), (q, 1), (r, 1), (r, 1), (f, 1), (c, 0), (f, 0), (x, 0)]),
        (H::FailsForGood, [(q, 0), (q, 1), (f, 0), (f, 0), (f, 1), (c, 0), (f, 0), (x, 0)]),
        (H::OldAttemptCompletes, [(q, 0), (q, 1), (r, 0), (r, 0), (r, 1), (c, 0), (f, 0), (x, 0)]),
        (H::UnnamedAttemptCompletes, [(q, 0), (q, 1), (c, 0), (c, 0), (c, 1), (c, 0), (f, 0), (x, 0)]),
        (H::WorkerCancels, [(x, 0), (x, 1), (x, 0), (x, 0), (x, 1), (c, 0), (f, 0), (x, 0)]),
        (H::IsCancelled, [(x, 0), (x, 1), (x, 0), (x, 0), (x, 1), (c, 0), (f, 0), (x, 0)]),
        (H::IsReplayed, [(q, 0), (q, 1), (r, 0), (r, 0), (r, 1), (r, 1), (r, 1), (r, 1)]),
        // Schedule timeout; back-off, then schedule timeout; execution timeout, retry, then schedule timeout; execution timeout.
        (H::TenMinutesPass, [(x, 0), (x, 1), (x, 1), (x, 1), (f, 1), (c, 0), (f, 0), (x, 0)]),
        (H::WorkerDies, [(q, 0), (q, 1), (q, 1), (q, 1), (q, 2), (c, 0), (f, 0), (x, 0)]),
        (H::SlotReleased, [(q, 0), (q, 1), (r, 0), (r, 0), (r, 1), (c, 0), (f, 0), (x, 0)]),
    ];
    for (event, row) in table {
        for (stage, after) in stages.into_iter().zip(row) {
            let (mut world, run, worker) = world_at(stage);
            let was_final = world.status(run).0.is_final();
            apply(&mut world, run, worker, event);
            assert_eq!(world.status(run), after, "{stage:?} and then {event:?}");
            let ends = world.effects.iter().filter(|e| matches!(e, Effect::NotifyFinished { .. })).count();
            let ended = after.0.is_final() && !was_final;
            assert_eq!(ends, usize::from(ended), "{stage:?} and then {event:?}: told of its end");
        }
    }
}
