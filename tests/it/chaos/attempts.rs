//! Failed report calls, and overlapping attempts of one run.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use hatchet_quickstart::hatchet::{
    task::{Context, Stub},
    wire::{RunId, proto::StepActionEventType},
};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tonic::Status;

use super::{
    fixture::worker,
    table::{Row, long, not_on_a_real_engine},
};
use crate::fake::{Fake, Finished, Report, start_action};

type Json = Map<String, Value>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_report_call_is_retried() {
    // Ten failures take about 20 s because of the backoff between them.
    let times = if long() { 10 } else { 5 };
    let fault = format!("the report call fails {times} times, then works");
    if not_on_a_real_engine(&fault) {
        return;
    }
    let mut row = Row::new(fault);
    let fake = Fake::start().await;
    let running = worker(&fake.config(), [Stub::new("echo").task(|input: Json, _| async { Ok(input) })]).await;
    fake.until_listening().await;
    fake.script(|script| script.outcome_failures.extend((0..times).map(|_| Status::unavailable("restarts"))));
    let run = fake.assign("echo", r#"{"n":1}"#).await;
    // Waits for each failure separately because a wait has a time limit of 60 s.
    for refused in 1..=times {
        fake.until("the report is refused", |script| (script.refused_outcomes >= refused).then_some(())).await;
    }
    assert_eq!(fake.finished(run).await, Finished::Completed(r#"{"n":1}"#.to_owned()));
    let next = fake.assign("echo", r#"{"n":2}"#).await;
    fake.finished(next).await;
    assert_eq!(fake.script(|script| (script.refused_outcomes, script.finished(run).len())), (times, 1));
    row.add("one final event, with the outcome");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_attempts_report_under_their_own_number() {
    let fault = "retry arrives while the old attempt still runs";
    if not_on_a_real_engine(fault) {
        return;
    }
    let mut row = Row::new(fault);
    let fake = Fake::start().await;
    let gates: Arc<HashMap<u32, Semaphore>> = Arc::new((0..2).map(|n| (n, Semaphore::new(0))).collect());
    let executed = Arc::new(Mutex::new(Vec::new()));
    let (body_gates, body_executed) = (gates.clone(), executed.clone());
    let task = Stub::new("gated").task(move |_: Json, ctx: Context| {
        let (gates, executed) = (body_gates.clone(), body_executed.clone());
        async move {
            executed.lock().unwrap().push(ctx.retry_count());
            let _permit = gates[&ctx.retry_count()].acquire().await?;
            Ok(json!({ "attempt": ctx.retry_count() }))
        }
    });
    let running = worker(&fake.config(), [task]).await;
    fake.until_listening().await;
    let run = RunId::random();
    for attempt in [0, 1, 1, 0] {
        fake.send(start_action(run, "gated:gated", r#"{"input":{}}"#, attempt)).await;
    }
    // The second attempt finishes first, then the first. An attempt that is assigned again after its end is ignored.
    let finished = async |count: usize| {
        fake.until("the end of an attempt is reported", |script| (script.finished(run).len() >= count).then_some(()))
            .await;
    };
    gates[&1].add_permits(1);
    finished(1).await;
    gates[&0].add_permits(1);
    finished(2).await;
    fake.send(start_action(run, "gated:gated", r#"{"input":{}}"#, 1)).await;
    let other = RunId::random();
    gates[&0].add_permits(1);
    fake.send(start_action(other, "gated:gated", r#"{"input":{}}"#, 0)).await;
    fake.finished(other).await;
    let ends: Vec<(Option<i32>, String)> = fake.script(|script| {
        let events = script.reports.iter().filter_map(|report| match report {
            Report::Event(event) if event.task_run_external_id == run.to_string() => Some(event),
            _ => None,
        });
        let ends = events.filter(|event| event.event_type() == StepActionEventType::StepEventTypeCompleted);
        ends.map(|event| (event.retry_count, event.event_payload.clone())).collect()
    });
    assert_eq!(ends, [(Some(1), r#"{"attempt":1}"#.to_owned()), (Some(0), r#"{"attempt":0}"#.to_owned())]);
    assert_eq!(executed.lock().unwrap().len(), 3, "each attempt once, and the other run");
    row.add("each attempt executed once and reported under its own number");
    running.stop().await.unwrap();
}
