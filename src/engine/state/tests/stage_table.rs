//! Every external event in every stage of a task, through the operations of the state.

use super::*;
use RunStatus::{Cancelled, Completed, Failed, Queued, Running};

/// A stage of a task with one retry.
#[derive(Debug, Clone, Copy)]
enum InitialStage {
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
    FailsWithoutRetry,
    OldAttemptCompletes,
    UnnamedAttemptCompletes,
    WorkerCancels,
    IsCancelled,
    IsReplayed,
    TenMinutesPass,
    WorkerIsLost,
    SlotReleased,
}

fn world_at(stage: InitialStage) -> (World, RunId, WorkerId) {
    let mut world = World::new();
    let slow = matches!(stage, InitialStage::BackOff);
    world.declare("t", |t| {
        t.retries = 1;
        t.backoff = backoff(100.0, 100).filter(|_| slow);
    });
    let (worker, _) = world.worker(&["t"], 1);
    if matches!(stage, InitialStage::Queued) {
        world.event(|state, now| state.pause(worker, true, now)).unwrap();
    }
    let run = world.trigger("t");
    match stage {
        InitialStage::Queued | InitialStage::Running => {}
        InitialStage::BackOff | InitialStage::LastAttempt => world.fail(run, 0),
        InitialStage::Released => assert!(world.event(|state, now| state.release_slot(run, now))),
        InitialStage::Completed => world.complete(run, 0),
        InitialStage::Failed => world.report(run, 0, failed("x", false)),
        InitialStage::Cancelled => world.event(|state, now| state.cancel(run, now)),
    }
    world.effects.clear();
    (world, run, worker)
}

fn apply(world: &mut World, run: RunId, worker: WorkerId, event: Event) {
    let attempt = world.status(run).1;
    match event {
        Event::Acknowledged => world.report(run, attempt, AttemptReport::Acknowledged),
        Event::Completes => world.complete(run, attempt),
        Event::Fails => world.fail(run, attempt),
        Event::FailsWithoutRetry => world.report(run, attempt, failed("x", false)),
        Event::OldAttemptCompletes => world.complete(run, attempt - 1),
        Event::UnnamedAttemptCompletes => {
            assert!(world.event(|state, now| state.report(run, None, AttemptReport::Completed("{}".into()), now)));
        }
        Event::WorkerCancels => world.report(run, attempt, AttemptReport::Cancelled),
        Event::IsCancelled => world.event(|state, now| state.cancel(run, now)),
        Event::IsReplayed => assert!(world.event(|state, now| state.replay(run, now))),
        // The worker sends heartbeats but is paused, so that a queued task stays queued.
        Event::TenMinutesPass => {
            world.event(|state, now| state.pause(worker, true, now)).unwrap();
            for _ in 0..150 {
                world.seconds(4);
                world.heartbeat(worker);
            }
        }
        Event::WorkerIsLost => world.seconds(31),
        Event::SlotReleased => {
            world.event(|state, now| state.release_slot(run, now));
        }
    }
}

#[test]
fn every_event_changes_status_as_listed_for_its_stage() {
    use Event as E;
    use InitialStage as S;
    let stages =
        [S::Queued, S::BackOff, S::Running, S::Released, S::LastAttempt, S::Completed, S::Failed, S::Cancelled];
    let q = Queued;
    let (r, c, f, x) = (Running, Completed, Failed, Cancelled);
    // Status and attempt after the event, by stage in the above order.
    let table: [(Event, [(RunStatus, i32); 8]); 12] = [
        (E::Acknowledged, [(q, 0), (q, 1), (r, 0), (r, 0), (r, 1), (c, 0), (f, 0), (x, 0)]),
        (E::Completes, [(q, 0), (q, 1), (c, 0), (c, 0), (c, 1), (c, 0), (f, 0), (x, 0)]),
        (E::Fails, [(q, 0), (q, 1), (r, 1), (r, 1), (f, 1), (c, 0), (f, 0), (x, 0)]),
        (E::FailsWithoutRetry, [(q, 0), (q, 1), (f, 0), (f, 0), (f, 1), (c, 0), (f, 0), (x, 0)]),
        (E::OldAttemptCompletes, [(q, 0), (q, 1), (r, 0), (r, 0), (r, 1), (c, 0), (f, 0), (x, 0)]),
        (E::UnnamedAttemptCompletes, [(q, 0), (q, 1), (c, 0), (c, 0), (c, 1), (c, 0), (f, 0), (x, 0)]),
        (E::WorkerCancels, [(x, 0), (x, 1), (x, 0), (x, 0), (x, 1), (c, 0), (f, 0), (x, 0)]),
        (E::IsCancelled, [(x, 0), (x, 1), (x, 0), (x, 0), (x, 1), (c, 0), (f, 0), (x, 0)]),
        (E::IsReplayed, [(q, 0), (q, 1), (r, 0), (r, 0), (r, 1), (r, 1), (r, 1), (r, 1)]),
        // Timeouts by stage: schedule; schedule, after the backoff; twice execution, then schedule; execution.
        (E::TenMinutesPass, [(x, 0), (x, 1), (x, 1), (x, 1), (f, 1), (c, 0), (f, 0), (x, 0)]),
        (E::WorkerIsLost, [(q, 0), (q, 1), (q, 1), (q, 1), (q, 2), (c, 0), (f, 0), (x, 0)]),
        (E::SlotReleased, [(q, 0), (q, 1), (r, 0), (r, 0), (r, 1), (c, 0), (f, 0), (x, 0)]),
    ];
    for (event, row) in table {
        for (stage, after) in stages.into_iter().zip(row) {
            let (mut world, run, worker) = world_at(stage);
            let was_final = world.status(run).0.is_final();
            apply(&mut world, run, worker, event);
            assert_eq!(world.status(run), after, "{stage:?} and then {event:?}");
            let notified = world.effects.iter().filter(|e| matches!(e, Effect::NotifyFinished { .. })).count();
            let finished = after.0.is_final() && !was_final;
            assert_eq!(notified, usize::from(finished), "{stage:?} and then {event:?}: notifications of the finish");
        }
    }
}
