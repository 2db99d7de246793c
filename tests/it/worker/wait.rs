//! Waiting for a run's end: it cannot hang, and it takes nobody's word but the engine's.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    time::Duration,
};

use futures_util::StreamExt as _;
use hatchet_quickstart::hatchet::{
    client::{Client, ClientError, ErrorKind, RunOutcome},
    wire::{
        RunId, RunStatus,
        proto::{WorkflowRunEvent, v1},
    },
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tonic::Status;

use super::within;
use crate::fake::{Fake, ended};
use crate::support::named;

type Waited = JoinHandle<Result<RunOutcome, ClientError>>;

/// Waits for a run on a task of its own.
fn wait(client: &Client, run: RunId) -> Waited {
    let run = client.run_ref::<Value>(run);
    tokio::spawn(async move { run.outcome().await })
}

async fn result(waited: Waited) -> RunOutcome {
    within("the wait ends", waited).await.unwrap().unwrap()
}

/// Waits until the subscription of this number, from 1, was asked for a run.
async fn asked(fake: &Fake, number: usize, run: RunId) {
    let run = run.to_string();
    fake.until("the run is asked for", |script| {
        script.subscriptions.get(number - 1).filter(|subscription| subscription.0.contains(&run)).map(|_| ())
    })
    .await;
}

/// Says something on the newest subscription.
async fn tell(fake: &Fake, said: Result<WorkflowRunEvent, Status>) {
    let stream = fake.script(|script| script.subscriptions.last().unwrap().1.clone());
    stream.send(said).await.unwrap();
}

#[tokio::test]
async fn a_subscription_that_never_answers_is_outrun_by_the_poll() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = RunId::random();
    fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Running, None));
    let waited = wait(&client, run);
    asked(&fake, 1, run).await;
    fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Completed, Some(r#"{"n":1}"#)));
    assert_eq!(result(waited).await.output::<Value>().unwrap(), json!({ "n": 1 }));
}

#[tokio::test]
async fn a_slow_engine_is_given_the_time_it_needs_and_its_connection_kept() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = RunId::random();
    fake.script(|script| {
        script.set_run(&run.to_string(), v1::RunStatus::Completed, Some(r#"{"n":1}"#));
        // More than a first try has.
        script.details_take = Duration::from_secs(6);
    });
    let together = client.outcomes([client.run_ref::<Value>(run)]);
    let (one, many) = tokio::join!(result(wait(&client, run)), within("the wait ends", together.collect::<Vec<_>>()));
    assert_eq!(one.output::<Value>().unwrap(), json!({ "n": 1 }));
    assert_eq!(many.into_iter().map(|(_, outcome)| outcome.unwrap()).collect::<Vec<_>>(), [one]);
    let subscriptions = fake.script(|script| script.subscriptions.len());
    assert_eq!(subscriptions, 2, "one of each wait: the connection answers other calls");
}

/// Awaits what waits, and panics where it is busy instead: there the virtual clock, which moves while all is idle, would
/// stand still for ever.
async fn idly<T>(work: impl Future<Output = T>) -> T {
    let (mut work, mut turns) = (pin!(work), 0);
    poll_fn(|cx| {
        turns += 1;
        assert!(turns < 1_000, "it is busy, not waiting");
        work.as_mut().poll(cx)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_many_rests_while_every_run_is_being_asked_about() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let runs = [RunId::random(), RunId::random()];
    fake.script(|script| {
        for run in runs {
            script.set_run(&run.to_string(), v1::RunStatus::Completed, Some("{}"));
        }
        script.details_take = Duration::from_secs(4);
    });
    let outcomes = client.outcomes(runs.map(|run| client.run_ref::<Value>(run))).collect::<Vec<_>>();
    let statuses = idly(outcomes).await.into_iter().map(|(_, outcome)| outcome.unwrap().status);
    assert!(statuses.eq([RunStatus::Completed; 2]));
}

#[tokio::test]
async fn a_poll_that_never_ends_is_outrun_by_the_subscription() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let (good, bad) = (RunId::random(), RunId::random());
    for run in [good, bad] {
        fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Running, None));
    }
    let (waited_good, waited_bad) = (wait(&client, good), wait(&client, bad));
    asked(&fake, 1, good).await;
    asked(&fake, 1, bad).await;
    tell(&fake, Ok(ended(&good.to_string(), Some(r#"{"n":2}"#), None))).await;
    tell(&fake, Ok(ended(&bad.to_string(), None, Some("Error: no")))).await;
    assert_eq!(result(waited_good).await.output::<Value>().unwrap(), json!({ "n": 2 }));
    let bad = result(waited_bad).await;
    assert_eq!((bad.status, bad.error.as_deref()), (RunStatus::Failed, Some("Error: no")));
    assert_eq!(fake.script(|script| script.subscriptions.len()), 1, "all waits share one");
}

#[tokio::test]
async fn a_broken_subscription_is_opened_again_and_every_run_asked_for_again() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let runs = [RunId::random(), RunId::random(), RunId::random()];
    for run in runs {
        fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Running, None));
    }
    let waits = runs.map(|run| wait(&client, run));
    for run in runs {
        asked(&fake, 1, run).await;
    }
    // One ends before the break, so it is not asked for again.
    let [first, rest @ ..] = waits;
    tell(&fake, Ok(ended(&runs[0].to_string(), Some("{}"), None))).await;
    result(first).await;
    tell(&fake, Err(Status::unavailable("restarts"))).await;
    for run in &runs[1..] {
        asked(&fake, 2, *run).await;
    }
    assert!(!fake.script(|script| script.subscriptions[1].0.contains(&runs[0].to_string())));
    for (run, waited) in runs[1..].iter().zip(rest) {
        tell(&fake, Ok(ended(&run.to_string(), Some(r#"{"late":1}"#), None))).await;
        assert_eq!(result(waited).await.status, RunStatus::Completed);
    }
}

#[tokio::test]
async fn an_empty_answer_is_asked_about_and_a_cancelled_run_is_cancelled() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    // As a real engine writes a cancelled run, with and without a present error, and one with no task at all.
    for event in [(Some(""), Some("")), (None, Some("")), (Some(""), None), (None, None)] {
        let run = RunId::random();
        let id = run.to_string();
        fake.script(|script| script.set_run(&id, v1::RunStatus::Running, None));
        let waited = wait(&client, run);
        asked(&fake, 1, run).await;
        fake.script(|script| script.set_run(&id, v1::RunStatus::Cancelled, None));
        tell(&fake, Ok(ended(&id, event.0, event.1))).await;
        let outcome = result(waited).await;
        assert_eq!((outcome.status, outcome.output), (RunStatus::Cancelled, None), "{event:?}");
    }
}

#[tokio::test]
async fn a_final_status_that_is_not_done_is_not_the_end() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = RunId::random();
    let id = run.to_string();
    fake.script(|script| {
        script.set_run(&id, v1::RunStatus::Failed, None);
        // A failed attempt that will be retried.
        script.runs.get_mut(&id).unwrap().done = false;
    });
    let waited = wait(&client, run);
    fake.until("it was asked twice", |script| (script.details_asked >= 2).then_some(())).await;
    assert!(!waited.is_finished());
    fake.script(|script| script.set_run(&id, v1::RunStatus::Completed, Some("{}")));
    assert_eq!(result(waited).await.status, RunStatus::Completed);
}

#[tokio::test]
async fn a_run_that_is_not_known_yet_is_asked_for_again() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = RunId::random();
    let waited = wait(&client, run);
    fake.until("it was asked for in vain", |script| (script.details_asked >= 1).then_some(())).await;
    fake.script(|script| {
        script.details_failures.push_back(Status::unavailable("busy"));
        script.set_run(&run.to_string(), v1::RunStatus::Completed, Some("{}"));
    });
    assert_eq!(result(waited).await.status, RunStatus::Completed);
}

#[tokio::test]
async fn a_token_that_was_never_accepted_ends_the_wait_at_once() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    fake.script(|script| script.only_token = Some("another".to_owned()));
    let error = within("the wait ends", client.run_ref::<Value>(RunId::random()).outcome()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_asks_to_slow_down_is_waited_for() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = RunId::random();
    fake.script(|script| {
        // Ten minutes of them, at the slowest.
        script.details_failures.extend(vec![Status::resource_exhausted("rate limit"); 120]);
        script.set_run(&run.to_string(), v1::RunStatus::Completed, Some("{}"));
    });
    let outcome = client.run_ref::<Value>(run).outcome().await.unwrap();
    assert_eq!(outcome.status, RunStatus::Completed);
    assert!(fake.script(|script| script.details_failures.is_empty()), "after all of them");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_fails_for_too_long_is_quoted_and_not_said_to_be_silent() {
    let failures = [
        (Status::internal("no disk is left"), ErrorKind::Engine, "the engine failed: no disk is left (Internal)"),
        (
            Status::unavailable("no disk is left"),
            ErrorKind::Unreachable,
            "the engine cannot serve at present: no disk is left",
        ),
    ];
    for (failure, kind, said) in failures {
        let fake = Fake::start().await;
        let client = Client::new(fake.config()).unwrap();
        let run = RunId::random();
        fake.script(|script| script.details_failures.extend(vec![failure; 1_000]));
        let error = client.run_ref::<Value>(run).outcome().await.unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (kind, format!("ask for run {run}: {said}")));
    }
}

#[tokio::test]
async fn details_of_a_run_are_asked_for_again_until_the_engine_knows_it() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = client.run_ref::<Value>(RunId::random());
    let asking = tokio::spawn({
        let run = run.clone();
        async move { run.details().await }
    });
    fake.until("it was asked for in vain", |script| (script.details_asked >= 1).then_some(())).await;
    fake.script(|script| script.set_run(&run.id().to_string(), v1::RunStatus::Queued, None));
    assert_eq!(within("it is known", asking).await.unwrap().unwrap().status, RunStatus::Queued);
    let unknown = within("the asking ends", client.run_ref::<Value>(RunId::random()).details()).await;
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
    // What was known before is gone for good.
    fake.script(|script| script.runs.clear());
    let asked = fake.script(|script| script.details_asked);
    assert_eq!(run.details().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fake.script(|script| script.details_asked), asked + 1);
}

#[tokio::test]
async fn a_run_that_was_known_before_is_lost() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let run = client.run_ref::<Value>(RunId::random());
    let id = run.id().to_string();
    fake.script(|script| script.set_run(&id, v1::RunStatus::Running, None));
    let waited = tokio::spawn({
        let run = run.clone();
        async move { run.outcome().await }
    });
    let mut outcomes = client.outcomes([run.clone()]);
    let among_many = tokio::spawn(async move { outcomes.next().await.unwrap().1 });
    fake.until("both have seen it", |script| (script.details_asked >= 2).then_some(())).await;
    assert!(run.details().await.is_ok(), "and a clone of the handle has");
    fake.script(|script| script.runs.clear());
    for waited in [waited, among_many] {
        let error = within("the wait ends", waited).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RunLost);
        assert!(error.to_string().contains("which it knew before"), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_id_is_refused_soon_and_a_run_that_was_triggered_is_waited_for() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let given = client.run_ref::<Value>(RunId::random());
    let error = within("the wait ends", given.outcome()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("asked for 2s: check the id"), "{error}");
    // Each question comes a quarter of a second after the one before, or later.
    let asked = fake.script(|script| std::mem::take(&mut script.details_asked));
    assert!(asked <= 10, "{asked} questions");
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
    // An unknown id would have been given up after ten questions of the one and seven of the other.
    fake.until("both ask on", |script| (script.details_asked > 17).then_some(())).await;
    fake.script(|script| script.set_run(&run.id().to_string(), v1::RunStatus::Completed, Some("{}")));
    for waited in waits {
        assert_eq!(within("it is known", waited).await.unwrap().unwrap(), RunStatus::Completed);
    }
}
