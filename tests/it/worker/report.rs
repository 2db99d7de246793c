//! Reports of attempts: events, log lines and stream chunks, as a scripted engine records them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use hatchet_quickstart::hatchet::{
    task::{Context, LogLevel, Stub, Task, TaskError},
    wire::{RunId, proto::StepActionEventType},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tonic::Status;

use super::{listening_worker, options};
use crate::fake::{Fake, Finished, Report, cancel_action, start_action};

type Json = serde_json::Map<String, Value>;

fn echo() -> Task<Json, Json> {
    Stub::new("echo").task(|input: Json, _| async { Ok(input) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_and_chunks_arrive_before_the_outcome_in_order() {
    const COUNT: usize = 200;
    let fake = Fake::start().await;
    let log = |ctx: &Context, n: usize| ctx.log_at(LogLevel::Warn, format!("line {n}"));
    let emitting = Stub::new("emitting").task(move |_: Json, ctx: Context| async move {
        for n in 0..COUNT {
            log(&ctx, n);
            ctx.put_stream(format!("chunk {n}")).await;
        }
        Ok(json!({}))
    });
    let threaded = Stub::new("threaded").blocking_task(move |_: Json, ctx: Context| {
        for n in 0..COUNT {
            log(&ctx, n);
            ctx.put_stream_blocking(format!("chunk {n}"));
        }
        Ok(json!({}))
    });
    let _worker = listening_worker(&fake, options(), [emitting, threaded]).await;
    for task in ["emitting", "threaded"] {
        let run = fake.assign(task, "{}").await;
        assert_eq!(fake.finished(run).await, Finished::Completed("{}".to_owned()));
        let run = run.to_string();
        let reports = fake.script(|script| script.reports.clone());
        let end = reports.iter().position(|report| is_end(report, &run)).unwrap();
        let is_of_run = |report: &&Report| match report {
            Report::Log(reported, _) | Report::Chunk(reported, ..) => *reported == run,
            Report::Event(_) => false,
        };
        assert_eq!(reports[end..].iter().filter(is_of_run).count(), 0, "nothing arrives after the outcome");
        // Chunks may overtake each other; the index restores their order.
        let mut chunks: Vec<(i64, String)> = reports
            .iter()
            .filter_map(|report| match report {
                Report::Chunk(reported, index, text) if *reported == run => Some((index.unwrap(), text.clone())),
                _ => None,
            })
            .collect();
        chunks.sort();
        let expected: Vec<(i64, String)> = (0..COUNT).map(|n| (n as i64, format!("chunk {n}"))).collect();
        assert_eq!(chunks, expected);
        let lines =
            reports.iter().filter(|report| matches!(report, Report::Log(reported, _) if *reported == run)).count();
        assert_eq!(lines, COUNT);
    }
}

fn is_end(report: &Report, run: &str) -> bool {
    matches!(report, Report::Event(event) if event.task_run_external_id == run && Finished::read(event).is_some())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn message_over_the_limit_is_not_retried() {
    let fake = Fake::start().await;
    let large = "x".repeat(5 * 1024 * 1024);
    let emitting = Stub::new("emitting").task(move |_: Json, ctx: Context| {
        let large = large.clone();
        async move {
            ctx.put_stream("before").await;
            ctx.put_stream(large).await;
            ctx.put_stream("after").await;
            Ok(json!({}))
        }
    });
    let failing =
        Stub::new("failing").task(|_: Json, _| async { Err::<Json, _>(TaskError::new("x".repeat(5 * 1024 * 1024))) });
    let _worker = listening_worker(&fake, options(), [emitting.erase(), failing.erase()]).await;
    let run = fake.assign("emitting", "{}").await;
    assert_eq!(fake.finished(run).await, Finished::Completed("{}".to_owned()));
    let mut chunks: Vec<(Option<i64>, String)> = fake.script(|script| {
        let chunk = |report: &Report| match report {
            Report::Chunk(_, index, text) => Some((*index, text.clone())),
            _ => None,
        };
        script.reports.iter().filter_map(chunk).collect()
    });
    chunks.sort();
    // The gap in the index shows that a chunk is missing.
    assert_eq!(chunks, [(Some(0), "before".to_owned()), (Some(2), "after".to_owned())]);
    let run = fake.assign("failing", "{}").await;
    let Finished::Failed { error, may_retry: true } = fake.finished(run).await else {
        panic!("not a retryable failure")
    };
    assert!(
        error.starts_with("TaskError: xxx") && error.len() < 100_000 && error.ends_with("(cut)"),
        "{}",
        error.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporarily_refused_outcome_is_retried() {
    let fake = Fake::start().await;
    let _worker = listening_worker(&fake, options(), [echo()]).await;
    fake.script(|script| {
        script.outcome_failures = VecDeque::from([Status::unavailable("restarts"), Status::unavailable("restarts")]);
    });
    let run = fake.assign("echo", r#"{"n":1}"#).await;
    assert_eq!(fake.finished(run).await, Finished::Completed(r#"{"n":1}"#.to_owned()));
    assert_eq!(fake.script(|script| (script.refused_outcomes, script.finished(run).len())), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_delay_of_an_error_is_reported() {
    let fake = Fake::start().await;
    let delay = Duration::from_micros(1_500);
    let limited = Stub::new("limited").task(move |_: Json, _| async move {
        Err::<Json, _>(TaskError::retry_after("the API is at its limit", delay))
    });
    let failing = Stub::new("failing").task(|_: Json, _| async { Err::<Json, _>(TaskError::new("no")) });
    let _worker = listening_worker(&fake, options(), [limited, failing]).await;
    for (task, expected) in [("limited", Some(2)), ("failing", None)] {
        let run = fake.assign(task, "{}").await;
        let Finished::Failed { may_retry: true, .. } = fake.finished(run).await else {
            panic!("not a retryable failure")
        };
        let delay = fake.script(|script| {
            script.reports.iter().find_map(|report| match report {
                Report::Event(event) if is_end(report, &run.to_string()) => Some(event.retry_after_ms),
                _ => None,
            })
        });
        assert_eq!(delay, Some(expected), "{task}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permanently_refused_outcome_does_not_block_the_next() {
    let fake = Fake::start().await;
    let _worker = listening_worker(&fake, options(), [echo()]).await;
    fake.script(|script| script.outcome_failures.push_back(Status::invalid_argument("never")));
    fake.assign("echo", "{}").await;
    fake.until("the outcome was refused", |script| (script.refused_outcomes == 1).then_some(())).await;
    let next = fake.assign("echo", r#"{"n":2}"#).await;
    assert_eq!(fake.finished(next).await, Finished::Completed(r#"{"n":2}"#.to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_carry_the_fields_of_the_assignment() {
    let fake = Fake::start().await;
    let _worker = listening_worker(
        &fake,
        options(),
        [Stub::new("echo").task(|input: Json, ctx: Context| async move {
            if ctx.attempt_number() == 3 { Err(TaskError::new("third")) } else { Ok(input) }
        })],
    )
    .await;
    let action = start_action(RunId::random(), "echo:echo", r#"{"input":{}}"#, 2);
    let run = action.task_run_external_id.parse().unwrap();
    fake.send(action.clone()).await;
    let Finished::Failed { error, may_retry } = fake.finished(run).await else { panic!("not a failure") };
    assert!(error.starts_with("TaskError: third\n") && error.contains("attempt 3") && may_retry, "{error}");
    let worker_id = fake.script(|script| script.streams[0].0.clone());
    // Both events are sent concurrently, so STARTED may arrive last.
    fake.until("both events", |script| (script.reports.len() == 2).then_some(())).await;
    fake.script(|script| {
        let events: Vec<_> = script
            .reports
            .iter()
            .filter_map(|report| if let Report::Event(event) = report { Some(event.clone()) } else { None })
            .collect();
        let kinds: Vec<_> = events.iter().map(|event| event.event_type()).collect();
        assert!(kinds.contains(&StepActionEventType::StepEventTypeStarted), "{kinds:?}");
        for event in events {
            assert_eq!(event.worker_id, worker_id);
            assert_eq!((&event.job_id, &event.job_run_id), (&action.job_id, &action.job_run_id));
            assert_eq!((&event.task_id, &event.action_id), (&action.task_id, &action.action_id));
            assert_eq!(event.retry_count, Some(2));
            assert!(event.event_timestamp.is_some());
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_run_is_not_reported() {
    let fake = Fake::start().await;
    let started = Arc::new(Notify::new());
    let signal = started.clone();
    let late = Stub::new("late").blocking_task(move |_: Json, ctx: Context| {
        signal.notify_one();
        while !ctx.is_cancelled() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(json!({ "late": true }))
    });
    let _worker = listening_worker(&fake, options(), [late.erase(), echo().erase()]).await;
    let run = fake.assign("late", "{}").await;
    started.notified().await;
    fake.send(cancel_action(run, "late:late")).await;
    // Three later runs on the same stream complete; a late output would have been reported by then.
    for _ in 0..3 {
        let next = fake.assign("echo", "{}").await;
        fake.finished(next).await;
    }
    assert_eq!(fake.script(|script| script.finished(run)), []);
}
