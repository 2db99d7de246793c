//! One rule of the state machine in each test.

use super::*;
use crate::engine::state::{TriggerError, WorkerError};

#[test]
fn queue_orders_by_priority_then_arrival() {
    let mut world = World::new();
    world.declare("t", |_| ());
    let runs: Vec<RunId> =
        [1, 3, 2, 1, 3].map(|p| world.trigger_with("t", |item| item.template.priority = Some(p))).into_iter().collect();
    assert_eq!(world.started(), []);
    world.worker(&["t"], 10);
    let order = [1, 4, 2, 0, 3].map(|index| (runs[index], 0));
    assert_eq!(world.started(), order);
}

#[test]
fn unassignable_task_blocks_no_other() {
    let mut world = World::new();
    world.declare("cpu", |t| t.requirements = requirements(&[("cpu", 2)]));
    world.declare("t", |_| ());
    let (big, small) = (world.trigger("cpu"), world.trigger("t"));
    let worker = world.register(&["cpu", "t"], &[("cpu", 1), ("default", 1)]);
    world.event(|state, now| state.open_stream(worker, false, now)).unwrap();
    assert_eq!(world.started(), [], "no heartbeat yet");
    world.heartbeat(worker);
    assert_eq!(world.started(), [(small, 0)]);
    let second = world.register(&["cpu"], &[("cpu", 3)]);
    world.event(|state, now| state.open_stream(second, true, now)).unwrap();
    assert_eq!(world.started(), [(big, 0)], "a stream of `Listen` replaces heartbeats");
}

#[test]
fn worker_with_most_free_slots_is_chosen() {
    let mut world = World::new();
    world.declare("t", |_| ());
    let (_, first) = world.worker(&["t"], 2);
    let (_, second) = world.worker(&["t"], 2);
    for _ in 0..4 {
        world.trigger("t");
    }
    let streams: Vec<StreamId> = world
        .effects
        .iter()
        .filter_map(|e| match e {
            Effect::StartAttempt { stream, .. } => Some(*stream),
            _ => None,
        })
        .collect();
    for stream in [first, second] {
        assert_eq!(streams.iter().filter(|s| **s == stream).count(), 2, "{streams:?}");
    }
}

#[test]
fn only_live_worker_with_stream_gets_assignments() {
    let mut world = World::new();
    world.declare("t", |_| ());
    let (worker, stream) = world.worker(&["t"], 10);
    world.seconds(5);
    let run = world.trigger("t");
    assert_eq!(world.started(), [], "its heartbeat is 5 s old");
    world.heartbeat(worker);
    assert_eq!(world.started(), [(run, 0)]);
    let newer = world.event(|state, now| state.open_stream(worker, false, now)).unwrap();
    world.trigger("t");
    assert!(world.effects.iter().any(|e| matches!(e, Effect::StartAttempt { stream, .. } if *stream == newer)));
    world.event(|state, now| state.close_stream(newer, now));
    world.trigger("t");
    assert!(world.effects.iter().any(|e| matches!(e, Effect::StartAttempt { stream: s, .. } if *s == stream)));
    world.event(|state, now| state.close_stream(stream, now));
    assert_eq!(world.event(|state, now| state.heartbeat(worker, now)), Err(WorkerError::NoStream));
    world.started();
    let run = world.trigger("t");
    assert_eq!(world.started(), []);
    world.event(|state, now| state.open_stream(worker, false, now)).unwrap();
    assert_eq!(world.started(), [(run, 0)], "its latest heartbeat is still fresh");
    world.event(|state, _| state.unsubscribe(worker)).unwrap();
    world.trigger("t");
    assert_eq!(world.started(), [], "it has unsubscribed");
    let unknown = WorkerId::random();
    assert_eq!(world.event(|state, now| state.heartbeat(unknown, now)), Err(WorkerError::Unknown));
}

#[test]
fn task_retries_with_backoff_then_fails_and_is_replayed() {
    let mut world = World::new();
    world.declare("t", |t| {
        t.retries = 2;
        t.backoff = backoff(2.0, 3);
    });
    let worker = world.register(&["t"], &[("default", 1)]);
    world.event(|state, now| state.open_stream(worker, true, now)).unwrap();
    let run = world.trigger("t");
    world.fail(run, 0);
    assert_eq!(world.status(run), (RunStatus::Queued, 1));
    world.advance(Duration::from_millis(1999));
    assert_eq!(world.started(), [(run, 0)]);
    world.advance(Duration::from_millis(1));
    assert_eq!(world.started(), [(run, 1)]);
    world.fail(run, 1);
    world.advance(Duration::from_millis(2999));
    assert_eq!(world.started(), [], "2 to the power of 2 is 4, but the maximum is 3");
    world.advance(Duration::from_millis(1));
    world.fail(run, 2);
    assert_eq!(world.status(run), (RunStatus::Failed, 2));
    assert!(world.event(|state, now| state.replay(run, now)));
    assert_eq!(world.status(run), (RunStatus::Running, 3));
    world.fail(run, 3);
    assert_eq!(world.status(run).0, RunStatus::Queued, "the budget is reset");
    let ends = world.effects.iter().filter(|e| matches!(e, Effect::NotifyFinished { .. })).count();
    assert_eq!(ends, 1);
}

#[test]
fn timeout_stops_attempt_with_declared_text_in_error() {
    let mut world = World::new();
    world.declare("t", |t| {
        t.retries = 1;
        (t.timeout, t.timeout_text) = (Duration::from_secs(3), "3s".into());
    });
    let worker = world.register(&["t"], &[("default", 1)]);
    let stream = world.event(|state, now| state.open_stream(worker, true, now)).unwrap();
    let run = world.trigger("t");
    assert_eq!(
        world.event(|state, now| state.refresh_timeout(run, Duration::from_secs(2), now)),
        Some(world.now.wall.plus(Duration::from_secs(5)))
    );
    world.seconds(4);
    assert_eq!(world.status(run), (RunStatus::Running, 0));
    world.seconds(1);
    assert_eq!(world.status(run), (RunStatus::Running, 1));
    assert!(world.effects.contains(&Effect::StopAttempt { stream, task: run, attempt: 0 }));
    world.complete(run, 0);
    assert_eq!(world.status(run), (RunStatus::Running, 1), "reports of the old attempt are ignored");
    world.seconds(3);
    let error = TaskEvent::Failed("Task exceeded timeout of 3s".into());
    assert!(world.effects.contains(&Effect::NotifyTask { task: run, run, attempt: 1, event: error }));
}

#[test]
fn lost_workers_do_not_use_retries() {
    let mut world = World::new();
    world.declare("t", |t| t.retries = 1);
    let run = world.trigger("t");
    for lost in 0..3 {
        assert_eq!(world.status(run), (RunStatus::Queued, lost));
        world.worker(&["t"], 1);
        world.seconds(30);
    }
    world.worker(&["t"], 1);
    world.fail(run, 3);
    assert_eq!(world.status(run), (RunStatus::Running, 4), "the retry is unused");
    world.fail(run, 4);
    assert_eq!(world.status(run), (RunStatus::Failed, 4));
}

#[test]
fn task_fails_with_its_eleventh_lost_worker() {
    let mut world = World::new();
    world.declare("t", |_| ());
    let run = world.trigger("t");
    for lost in 0..=10 {
        assert_eq!(world.status(run), (RunStatus::Queued, lost));
        world.worker(&["t"], 1);
        world.seconds(30);
    }
    assert_eq!(world.status(run), (RunStatus::Failed, 10));
    let error = TaskEvent::Failed("Task reached its maximum reassignment count".into());
    assert!(world.effects.contains(&Effect::NotifyTask { task: run, run, attempt: 10, event: error }));
}

#[test]
fn silent_worker_is_removed_after_an_hour() {
    let mut world = World::new();
    let (worker, stream) = world.worker(&["t"], 1);
    world.event(|state, now| state.close_stream(stream, now));
    world.seconds(3599);
    assert!(world.state.worker(worker).is_some());
    world.seconds(31);
    assert!(world.state.worker(worker).is_none());
    assert_eq!(world.state.next_deadline().wait(world.now), None);
}

#[test]
fn released_slot_is_reused_and_task_stays_cancellable() {
    let mut world = World::new();
    world.declare("t", |_| ());
    let (_, stream) = world.worker(&["t"], 1);
    let (first, second) = (world.trigger("t"), world.trigger("t"));
    assert_eq!(world.started(), [(first, 0)]);
    assert!(world.event(|state, now| state.release_slot(first, now)));
    assert_eq!(world.started(), [(second, 0)]);
    world.event(|state, now| state.cancel(first, now));
    assert!(world.effects.contains(&Effect::StopAttempt { stream, task: first, attempt: 0 }));
    world.trigger("t");
    assert_eq!(world.started(), [], "the slot was freed only once");
}

#[test]
fn child_run_is_created_once_per_parent_and_key() {
    let mut world = World::new();
    world.declare("t", |_| ());
    let parent = world.trigger("t");
    let mut child = |index: Option<i32>, key: Option<&str>| {
        let key = key.map(Arc::from);
        world.trigger_with("t", |item| item.parent = Some(Parent { task: parent, index, key }))
    };
    let first = child(Some(0), None);
    assert_eq!(child(Some(0), None), first);
    let keyed = child(Some(0), Some("k"));
    assert_ne!(keyed, first);
    assert_eq!(child(Some(7), Some("k")), keyed, "the key takes precedence over the index");
    assert_ne!(child(None, None), child(None, None));
    let mut item = World::item("t");
    item.parent = Some(Parent { task: RunId::random(), index: None, key: None });
    let all = vec![World::item("t"), item];
    assert_eq!(world.event(|state, now| state.trigger(all, now)), Err(TriggerError::UnknownParent));
    let all = vec![World::item("t"), World::item("T")];
    let refused = world.event(|state, now| state.trigger(all, now));
    assert_eq!(refused, Err(TriggerError::UnknownWorkflow("T".into())));
    assert_eq!(world.state.runs.runs.len(), 6 - 1, "an invalid item refuses all items");
}

#[test]
fn idempotency_key_is_freed_by_time_or_status() {
    let mut world = World::new();
    world.declare("t", |_| ());
    world.worker(&["t"], 10);
    let claim = |world: &mut World, key: &str, until_end| {
        let mut item = World::item("t");
        item.claim = Some(ClaimRequest { key: key.into(), lease: Lease { ttl: Duration::from_secs(8), until_end } });
        world.event(|state, now| state.trigger(vec![item], now)).unwrap()[0]
    };
    let Triggered::New(by_time) = claim(&mut world, "a", false) else { panic!() };
    let Triggered::New(by_status) = claim(&mut world, "b", true) else { panic!() };
    assert!(matches!(claim(&mut world, "a", true), Triggered::Collision { existing, .. } if existing == by_time));
    assert!(matches!(claim(&mut world, "b", true), Triggered::Collision { existing, .. } if existing == by_status));
    world.complete(by_time, 0);
    world.complete(by_status, 0);
    assert!(matches!(claim(&mut world, "a", false), Triggered::Collision { .. }), "claimed beyond the end of the run");
    assert!(matches!(claim(&mut world, "b", true), Triggered::New(_)));
    world.seconds(8);
    assert!(matches!(claim(&mut world, "a", false), Triggered::New(_)));
    assert!(matches!(claim(&mut world, "b", true), Triggered::New(_)), "the time to live is the upper limit");
}

#[test]
fn chunks_are_released_in_order_until_gap_times_out() {
    let mut world = World::new();
    world.declare("t", |t| t.retries = 1);
    let (worker, _) = world.worker(&["t"], 1);
    let run = world.trigger("t");
    let put = |world: &mut World, text: &str, index| {
        world.effects.clear();
        assert!(world.event(|state, now| state.put_chunk(run, text.into(), index, now)));
        chunks(&world.effects).iter().map(|t| t.to_string()).collect::<String>()
    };
    assert_eq!(put(&mut world, "c", Some(2)), "");
    assert_eq!(put(&mut world, "b", Some(1)), "");
    assert_eq!(put(&mut world, "-", None), "-");
    assert_eq!(put(&mut world, "a", Some(0)), "abc");
    assert_eq!(put(&mut world, "f", Some(5)), "");
    world.effects.clear();
    world.seconds(4);
    world.heartbeat(worker);
    world.seconds(1);
    assert_eq!(chunks(&world.effects), ["f".into()]);
    assert_eq!(put(&mut world, "e", Some(4)), "e", "released late");
    assert_eq!(put(&mut world, "h", Some(7)), "");
    world.effects.clear();
    world.fail(run, 0);
    assert_eq!(chunks(&world.effects), ["h".into()], "the attempt has finished");
    assert_eq!(put(&mut world, "a", Some(0)), "a", "the indexes of the next attempt start at 0");
    world.complete(run, 1);
    assert_eq!(put(&mut world, "z", Some(1)), "", "accepted and dropped");
}

#[test]
fn runs_that_finished_first_are_removed_first() {
    let mut world = World::with_retention(2);
    world.declare("t", |_| ());
    world.worker(&["t"], 10);
    let runs: Vec<RunId> = (0..4).map(|_| world.trigger("t")).collect();
    for index in [2, 0, 1] {
        assert!(world.event(|s, now| s.put_log(runs[index], "line".into(), "INFO", String::new(), None, now.display)));
        world.complete(runs[index], 0);
    }
    let known: Vec<bool> = runs.iter().map(|id| world.state.run(*id).is_some()).collect();
    assert_eq!(known, [true, true, false, true]);
    assert!(world.event(|state, now| state.replay(runs[0], now)));
    world.complete(runs[3], 0);
    assert!(world.state.run(runs[0]).is_some(), "a replayed run is open again");
}

#[test]
fn equal_declaration_keeps_its_ids() {
    let mut world = World::new();
    let ids = |world: &World| world.state.version_of("t").map(|v| (v.id, v.workflow_id)).unwrap();
    world.declare("t", |_| ());
    let first = ids(&world);
    world.declare("t", |_| ());
    assert_eq!(ids(&world), first);
    world.declare("t", |t| t.retries = 1);
    assert!(ids(&world).0 != first.0 && ids(&world).1 == first.1);
}
