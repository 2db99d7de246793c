//! Waiting for the outcome of a run: every wait ends, and only the engine's status counts.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};

use axum::{Json, Router, routing::get};
use futures_util::StreamExt as _;
use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, ClientError, ErrorKind, RunOutcome},
    wire::{
        RunId, RunStatus,
        proto::{WorkflowRunEvent, v1},
    },
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

use super::within;
use crate::fake::{Fake, end_event};
use crate::support::{named, one_of_three};

type Waiting = JoinHandle<Result<RunOutcome, ClientError>>;

/// Waits for a run in a spawned task.
fn wait(client: &Client, run: RunId) -> Waiting {
    let run = client.run_ref::<Value>(run);
    tokio::spawn(async move { run.outcome().await })
}

async fn result(waiting: Waiting) -> RunOutcome {
    within("the wait returns", waiting).await.unwrap().unwrap()
}

/// Waits until the `number`th subscription, counted from 1, has requested a run.
async fn subscribed(fake: &Fake, number: usize, run: RunId) {
    let run = run.to_string();
    fake.until("the run is subscribed to", |script| {
        script.subscriptions.get(number - 1).filter(|subscription| subscription.0.contains(&run)).map(|_| ())
    })
    .await;
}

/// Sends a message on the newest subscription.
async fn send(fake: &Fake, message: Result<WorkflowRunEvent, Status>) {
    let stream = fake.script(|script| script.subscriptions.last().unwrap().1.clone());
    stream.send(message).await.unwrap();
}

#[tokio::test]
async fn poll_returns_the_outcome_if_the_subscription_is_silent() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = RunId::random();
    fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Running, None));
    let waiting = wait(&client, run);
    subscribed(&fake, 1, run).await;
    fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Completed, Some(r#"{"n":1}"#)));
    assert_eq!(result(waiting).await.output::<Value>().unwrap(), json!({ "n": 1 }));
}

#[tokio::test]
async fn slow_engine_keeps_its_connection() {
    one_of_three("both waits share one subscription, and the connection stays open", async || {
        let fake = Fake::start().await;
        let client = Client::new(fake.config()).unwrap();
        let run = RunId::random();
        fake.script(|script| {
            script.set_run(&run.to_string(), v1::RunStatus::Completed, Some(r#"{"n":1}"#));
            // Longer than the timeout of the first query.
            script.details_delay = Duration::from_secs(6);
        });
        let together = client.outcomes([client.run_ref::<Value>(run)]);
        let (single, many) =
            tokio::join!(result(wait(&client, run)), within("the wait returns", together.collect::<Vec<_>>()));
        assert_eq!(single.output::<Value>().unwrap(), json!({ "n": 1 }));
        assert_eq!(many.into_iter().map(|(_, outcome)| outcome.unwrap()).collect::<Vec<_>>(), [single]);
        let subscriptions = fake.script(|script| script.subscriptions.len());
        if subscriptions == 1 { Ok(()) } else { Err(subscriptions) }
    })
    .await;
}

/// Awaits `work`. Panics if it is polled 1,000 times, because the virtual clock does not advance while a task is busy.
async fn idle<T>(work: impl Future<Output = T>) -> T {
    let (mut work, mut polls) = (pin!(work), 0);
    poll_fn(|cx| {
        polls += 1;
        assert!(polls < 1_000, "it polls in a loop instead of waiting");
        work.as_mut().poll(cx)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn wait_for_many_is_idle_while_queries_are_pending() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let runs = [RunId::random(), RunId::random()];
    fake.script(|script| {
        for run in runs {
            script.set_run(&run.to_string(), v1::RunStatus::Completed, Some("{}"));
        }
        script.details_delay = Duration::from_secs(4);
    });
    let outcomes = client.outcomes(runs.map(|run| client.run_ref::<Value>(run))).collect::<Vec<_>>();
    let statuses = idle(outcomes).await.into_iter().map(|(_, outcome)| outcome.unwrap().status);
    assert!(statuses.eq([RunStatus::Completed; 2]));
}

#[tokio::test]
async fn subscription_returns_the_outcome_if_the_poll_hangs() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let (good, bad) = (RunId::random(), RunId::random());
    for run in [good, bad] {
        fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Running, None));
    }
    let (waiting_good, waiting_bad) = (wait(&client, good), wait(&client, bad));
    subscribed(&fake, 1, good).await;
    subscribed(&fake, 1, bad).await;
    send(&fake, Ok(end_event(&good.to_string(), Some(r#"{"n":2}"#), None))).await;
    send(&fake, Ok(end_event(&bad.to_string(), None, Some("Error: no")))).await;
    assert_eq!(result(waiting_good).await.output::<Value>().unwrap(), json!({ "n": 2 }));
    let bad = result(waiting_bad).await;
    assert_eq!((bad.status, bad.error.as_deref()), (RunStatus::Failed, Some("Error: no")));
    assert_eq!(fake.script(|script| script.subscriptions.len()), 1, "all waits share one subscription");
}

#[tokio::test]
async fn broken_subscription_is_reopened_for_every_open_run() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let runs = [RunId::random(), RunId::random(), RunId::random()];
    for run in runs {
        fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Running, None));
    }
    let waits = runs.map(|run| wait(&client, run));
    for run in runs {
        subscribed(&fake, 1, run).await;
    }
    // The first run finishes before the break, so it is not requested again.
    let [first, rest @ ..] = waits;
    send(&fake, Ok(end_event(&runs[0].to_string(), Some("{}"), None))).await;
    result(first).await;
    send(&fake, Err(Status::unavailable("restarts"))).await;
    for run in &runs[1..] {
        subscribed(&fake, 2, *run).await;
    }
    assert!(!fake.script(|script| script.subscriptions[1].0.contains(&runs[0].to_string())));
    for (run, waiting) in runs[1..].iter().zip(rest) {
        send(&fake, Ok(end_event(&run.to_string(), Some(r#"{"late":1}"#), None))).await;
        assert_eq!(result(waiting).await.status, RunStatus::Completed);
    }
}

#[tokio::test]
async fn empty_end_event_is_followed_by_a_query() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    // The forms in which a real engine sends a cancelled run: with and without an error, and without any task.
    for event in [(Some(""), Some("")), (None, Some("")), (Some(""), None), (None, None)] {
        let run = RunId::random();
        let id = run.to_string();
        fake.script(|script| script.set_run(&id, v1::RunStatus::Running, None));
        let waiting = wait(&client, run);
        subscribed(&fake, 1, run).await;
        fake.script(|script| script.set_run(&id, v1::RunStatus::Cancelled, None));
        send(&fake, Ok(end_event(&id, event.0, event.1))).await;
        let outcome = result(waiting).await;
        assert_eq!((outcome.status, outcome.output), (RunStatus::Cancelled, None), "{event:?}");
    }
}

#[tokio::test]
async fn terminal_status_without_done_is_not_an_outcome() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = RunId::random();
    let id = run.to_string();
    fake.script(|script| {
        script.set_run(&id, v1::RunStatus::Failed, None);
        // A failed attempt that will be retried.
        script.runs.get_mut(&id).unwrap().done = false;
    });
    let waiting = wait(&client, run);
    fake.until("the status was requested twice", |script| (script.details_calls >= 2).then_some(())).await;
    assert!(!waiting.is_finished());
    fake.script(|script| script.set_run(&id, v1::RunStatus::Completed, Some("{}")));
    assert_eq!(result(waiting).await.status, RunStatus::Completed);
}

#[tokio::test]
async fn run_that_is_not_found_is_queried_again() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = RunId::random();
    let waiting = wait(&client, run);
    fake.until("a query found no run", |script| (script.details_calls >= 1).then_some(())).await;
    fake.script(|script| {
        script.details_failures.push_back(Status::unavailable("busy"));
        script.set_run(&run.to_string(), v1::RunStatus::Completed, Some("{}"));
    });
    assert_eq!(result(waiting).await.status, RunStatus::Completed);
}

#[tokio::test]
async fn never_accepted_token_ends_the_wait_immediately() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    fake.script(|script| script.accepted_token = Some("another".to_owned()));
    let error = within("the wait returns", client.run_ref::<Value>(RunId::random()).outcome()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn wait_continues_while_the_engine_limits_the_rate() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = RunId::random();
    fake.script(|script| {
        // Up to ten minutes of refusals.
        script.details_failures.extend(vec![Status::resource_exhausted("rate limit"); 120]);
        script.set_run(&run.to_string(), v1::RunStatus::Completed, Some("{}"));
    });
    let outcome = client.run_ref::<Value>(run).outcome().await.unwrap();
    assert_eq!(outcome.status, RunStatus::Completed);
    assert!(fake.script(|script| script.details_failures.is_empty()), "every refusal was retried");
}

#[tokio::test(start_paused = true)]
async fn permanent_engine_failure_is_in_the_error_text() {
    let failures = [
        (Status::internal("no disk is left"), ErrorKind::Engine, "the engine failed: no disk is left (Internal)"),
        (
            Status::unavailable("no disk is left"),
            ErrorKind::Unreachable,
            "the engine cannot serve at the moment: no disk is left",
        ),
    ];
    for (failure, kind, text) in failures {
        let fake = Fake::start().await;
        let client = Client::new(fake.config()).unwrap();
        let run = RunId::random();
        fake.script(|script| script.details_failures.extend(vec![failure; 1_000]));
        let error = client.run_ref::<Value>(run).outcome().await.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (kind, format!("reading run {run} failed: {text}")));
    }
}

#[tokio::test]
async fn details_are_queried_until_the_run_is_found() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = client.run_ref::<Value>(RunId::random());
    let query = tokio::spawn({
        let run = run.clone();
        async move { run.details().await }
    });
    fake.until("a query found no run", |script| (script.details_calls >= 1).then_some(())).await;
    fake.script(|script| script.set_run(&run.id().to_string(), v1::RunStatus::Queued, None));
    assert_eq!(within("the run is found", query).await.unwrap().unwrap().status, RunStatus::Queued);
    let unknown = within("the query returns", client.run_ref::<Value>(RunId::random()).details()).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
    // A run that was found before is queried once.
    fake.script(|script| script.runs.clear());
    let calls = fake.script(|script| script.details_calls);
    assert_eq!(run.details().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fake.script(|script| script.details_calls), calls + 1);
}

#[tokio::test]
async fn run_missing_after_it_was_found_is_lost() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = client.run_ref::<Value>(RunId::random());
    let id = run.id().to_string();
    fake.script(|script| script.set_run(&id, v1::RunStatus::Running, None));
    let waiting = tokio::spawn({
        let run = run.clone();
        async move { run.outcome().await }
    });
    let mut outcomes = client.outcomes([run.clone()]);
    let among_many = tokio::spawn(async move { outcomes.next().await.unwrap().1 });
    fake.until("both waits have found the run", |script| (script.details_calls >= 2).then_some(())).await;
    assert!(run.details().await.is_ok(), "a clone of the reference has found it too");
    fake.script(|script| script.runs.clear());
    for waiting in [waiting, among_many] {
        let error = within("the wait returns", waiting).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RunLost);
        assert!(error.to_string().contains("which it knew before"), "{error}");
    }
}

#[tokio::test]
async fn listed_run_is_awaited_until_found() {
    let fake = Fake::start().await;
    let listed = || async { Json(json!({ "run": { "status": "QUEUED", "input": {"n": 1} }, "tasks": [] })) };
    let app = Router::new().route("/api/v1/stable/workflow-runs/{run}", get(listed));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server_url = Some(format!("http://{}", listener.local_addr().unwrap()));
    let _serving = AbortOnDropHandle::new(tokio::spawn(async move { axum::serve(listener, app).await }));
    let client = Client::new(ClientConfig { server_url, ..fake.config() }).unwrap();
    let run = client.run_ref::<Value>(RunId::random());
    let waiting = tokio::spawn({
        let run = run.clone();
        async move { run.outcome().await }
    });
    let details = within("the run is listed", run.details()).await.unwrap();
    assert_eq!((details.status, details.done, details.input.as_str()), (RunStatus::Queued, false, r#"{"n":1}"#));
    // An unknown id would be refused now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    fake.script(|script| script.set_run(&run.id().to_string(), v1::RunStatus::Completed, Some("{}")));
    assert_eq!(result(waiting).await.status, RunStatus::Completed);
}

#[tokio::test]
async fn unknown_id_is_refused_but_triggered_run_is_awaited() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let unknown_run = client.run_ref::<Value>(RunId::random());
    let error = within("the wait returns", unknown_run.outcome()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("after retries for 2s. Check the id"), "{error}");
    // Queries are at least 250 ms apart.
    let calls = fake.script(|script| std::mem::take(&mut script.details_calls));
    assert!(calls <= 10, "{calls} queries");
    let run = client.run_no_wait(&named("echo"), &json!({})).await.unwrap();
    let waits = [
        tokio::spawn({
            let run = run.clone();
            async move { run.outcome().await.map(|outcome| outcome.status) }
        }),
        tokio::spawn({
            let run = run.clone();
            async move { run.details().await.map(|details| details.status) }
        }),
    ];
    // The wait for an unknown id would have been refused after ten queries, its details after seven.
    fake.until("both waits continue", |script| (script.details_calls > 17).then_some(())).await;
    fake.script(|script| script.set_run(&run.id().to_string(), v1::RunStatus::Completed, Some("{}")));
    for waiting in waits {
        assert_eq!(within("the run is found", waiting).await.unwrap().unwrap(), RunStatus::Completed);
    }
}
