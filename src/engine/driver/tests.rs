//! Streams and subscriptions over a state in memory.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt};

use super::{core::EVENTS_PER_POLL, *};
use crate::{
    engine::{
        options::{EngineOptions, Timings},
        state::{
            AttemptReport, Origin, PushedEvent, Registration, RunTemplate, State, TriggerItem, Triggered,
            workflows::{Definition, TaskDefinition},
        },
    },
    hatchet::wire::{RunId, RunStatus, TenantId, WorkerId, proto::AssignedAction},
};

fn driver() -> Arc<Driver> {
    driver_with(&EngineOptions::default())
}

fn driver_with(options: &EngineOptions) -> Arc<Driver> {
    let state = State::new(Timings::default(), options.retention(), Box::new(uuid::Uuid::new_v4));
    let driver = Driver::new(state, SystemClock::start(), TenantId::random(), 1 << 22);
    let definition = Definition::sample("t", vec![TaskDefinition::sample("t", "t:t")]);
    driver.apply(|state, now| state.put_workflow(definition, now));
    driver
}

fn worker(driver: &Arc<Driver>, slots: i64) -> (WorkerId, QueueReader<AssignedAction>) {
    let registration = Registration {
        name: "w".into(),
        actions: vec!["t:t".into()],
        slots: vec![("default".into(), slots)],
        ..Default::default()
    };
    let id = driver.apply(|state, now| state.register(registration, now));
    (id, driver.listen(id, true).unwrap())
}

fn trigger(driver: &Driver) -> RunId {
    trigger_with(driver, "{}")
}

fn trigger_with(driver: &Driver, metadata: &str) -> RunId {
    let template = RunTemplate { workflow: "t".into(), input: "{}".into(), metadata: metadata.into(), priority: None };
    let item = TriggerItem {
        template,
        parent: None,
        claim: None,
        desired: Default::default(),
        limits: None,
        origin: Origin::Call,
    };
    match driver.apply(|state, now| state.trigger(vec![item], now)).unwrap()[..] {
        [Triggered::New(id)] => id,
        ref other => panic!("{other:?}"),
    }
}

fn read(reader: &mut QueueReader<AssignedAction>) -> Option<(String, i32)> {
    let action = reader.next().now_or_never()??.unwrap();
    Some((action.task_run_external_id, action.retry_count))
}

#[test]
fn unread_assignment_is_requeued_when_stream_ends() {
    let driver = driver();
    let (_, mut first) = worker(&driver, 2);
    let (read_before, unread) = (trigger(&driver), trigger(&driver));
    assert_eq!(read(&mut first), Some((read_before.to_string(), 0)));
    drop(first);
    let (_, mut second) = worker(&driver, 2);
    assert_eq!(read(&mut second), Some((unread.to_string(), 1)));
    assert_eq!(read(&mut second), None, "an assignment that was read may be running");
}

#[test]
fn unacknowledged_assignment_is_sent_again_on_next_stream() {
    let driver = driver();
    let (id, mut old) = worker(&driver, 3);
    let (acknowledged, read_before, unread) = (trigger(&driver), trigger(&driver), trigger(&driver));
    assert_eq!(read(&mut old), Some((acknowledged.to_string(), 0)));
    assert_eq!(read(&mut old), Some((read_before.to_string(), 0)));
    driver.apply(|state, now| state.report(acknowledged, Some(0), AttemptReport::Acknowledged, now));
    // The worker reconnects before the engine detects the end of the old stream.
    let mut new = driver.listen(id, true).unwrap();
    drop(old);
    assert_eq!(read(&mut new), Some((read_before.to_string(), 0)));
    assert_eq!(read(&mut new), Some((unread.to_string(), 0)), "as the same attempt");
    assert_eq!(read(&mut new), None);
}

#[test]
fn stream_of_worker_that_never_reads_is_ended() {
    let driver = driver();
    let (_, mut reader) = worker(&driver, 1);
    let mut last = trigger(&driver);
    // Each cancellation frees the slot, so that two messages are sent for every run.
    for _ in 0..worker_streams::SPARE_MESSAGES {
        driver.apply(|state, now| state.cancel(last, now));
        last = trigger(&driver);
    }
    assert!(reader.next().now_or_never().flatten().is_some_and(|end| end.is_err()));
    let status = driver.apply(|state, _| state.task(last).map(|task| task.phase.status()));
    assert_eq!(status, Some(RunStatus::Queued));
}

#[test]
fn slow_subscriber_is_closed_without_delaying_others() {
    let driver = driver();
    let (_, mut work) = worker(&driver, 1);
    let run = trigger(&driver);
    read(&mut work);
    let mut slow = driver.subscribe_events(EventFilter::Run(run)).unwrap();
    let mut fast = driver.subscribe_events(EventFilter::Run(run)).unwrap();
    let megabyte: Arc<str> = "x".repeat(1 << 20).into();
    for _ in 0..100 {
        driver.apply(|state, now| state.put_chunk(run, megabyte.clone(), None, now));
        assert!(fast.next().now_or_never().flatten().is_some_and(|event| event.is_ok()));
    }
    assert!(slow.next().now_or_never().flatten().is_some_and(|end| end.is_err()));
}

fn event(key: &str) -> PushedEvent {
    PushedEvent { key: key.into(), input: "{}".into(), metadata: "{}".into(), priority: None, scope: None }
}

fn pushed(driver: &Driver) -> usize {
    driver.apply(|state, _| state.events().count())
}

#[tokio::test]
async fn interrupted_bulk_push_pushes_no_event() {
    let driver = driver();
    let events = || (0..2 * EVENTS_PER_POLL).map(|_| event("a")).collect();
    let mut push = Box::pin(driver.push_events(events()));
    // Each poll prepares a part of the events; none of them pushes the events.
    for _ in 0..2 {
        assert!(push.as_mut().now_or_never().is_none());
        assert_eq!(pushed(&driver), 0);
    }
    drop(push);
    assert_eq!(pushed(&driver), 0);
    driver.push_events(events()).await.unwrap();
    assert_eq!(pushed(&driver), 2 * EVENTS_PER_POLL);
}

#[test]
fn event_subscribers_drop_removed_runs() {
    let options = EngineOptions { keep_finished: 10, ..EngineOptions::default() };
    let driver = driver_with(&options);
    let filter = EventFilter::Metadata("k".into(), "v".into());
    let _reader = driver.subscribe_events(filter).unwrap();
    for _ in 0..100 {
        let run = trigger_with(&driver, r#"{"k":"v"}"#);
        driver.apply(|state, now| state.cancel(run, now));
    }
    assert_eq!(driver.lock().events.open_runs(), 10, "the number of retained runs");
}
