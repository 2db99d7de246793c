//! Conditions to wait, skip and cancel.

use std::time::{Duration, Instant};

use hatchet_quickstart::{
    hatchet::{
        task::{event, parent_output, sleep},
        wire::{RunStatus, proto::PushEventRequest},
    },
    prelude::*,
};
use serde_json::{Value, json};

use super::fixture::{Fixture, N, registration_error};
use crate::support::{Target, eventually, within_timeout};

async fn push(target: &Target, key: &str, payload: Value) {
    let event = PushEventRequest { key: target.name(key), payload: payload.to_string(), ..Default::default() };
    target.events().push(event).await.unwrap();
}

#[tokio::test]
async fn skipped_branch_is_none_and_skips_its_children() {
    let target = Target::start().await;
    let stub = Stub::<N, N>::from_name(target.name("branch")).output_of("join");
    let flow = stub.workflow(|flow| {
        let price = flow.task("price", |input, _| async move { Ok(input) });
        let gift = flow
            .parents(&price)
            .task("gift", |_, price, _| async move { Ok(N { n: price.n + 1 }) })
            .skip_if(parent_output(&price, "output.n < 100"));
        let wrapped = flow.parents(&gift).task("wrapped", |_, gift, _| async move { Ok(N { n: gift.n + 1 }) });
        flow.parents((&price, &gift.optional(), &wrapped.optional())).task(
            "join",
            |_, (price, gift, wrapped), _| async move {
                assert_eq!(gift.is_some(), wrapped.is_some());
                Ok(N { n: price.n + gift.map_or(0, |gift| gift.n) + wrapped.map_or(0, |wrapped| wrapped.n) })
            },
        )
    });
    let fixture = Fixture::start(target, vec![flow.into()]).await;
    for (n, expected) in [(1, 1), (100, 303)] {
        let run = fixture.client.run_no_wait(&stub, &N { n }).await.unwrap();
        assert_eq!(within_timeout("the run finishes", run.result()).await.unwrap(), N { n: expected });
        let outcome = run.outcome().await.unwrap();
        assert_eq!(outcome.output_of::<Option<N>>("wrapped").unwrap().is_some(), n == 100);
    }
    fixture.stop().await;
}

#[tokio::test]
async fn task_waits_for_a_time_after_its_parents() {
    let target = Target::start().await;
    let stub = Stub::<N, N>::from_name(target.name("sleep")).output_of("after");
    let flow = stub.workflow(|flow| {
        let first = flow.task("first", |input, _| async move { Ok(input) });
        flow.parents(&first)
            .task("after", |_, first, _| async move { Ok(first) })
            .wait_for(sleep(Duration::from_secs(2)).or(event("never")))
    });
    let fixture = Fixture::start(target, vec![flow.into()]).await;
    let started = Instant::now();
    within_timeout("the run finishes", async { fixture.client.run(&stub, &N { n: 1 }).await }).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(1_900), "{:?}", started.elapsed());
    fixture.stop().await;
}

#[tokio::test]
async fn run_whose_first_tasks_all_wait_is_awaited() {
    let target = Target::start().await;
    // A real engine does not find the run by gRPC during that time, which is longer than NOT_FOUND is tolerated for.
    let pause = Duration::from_secs(if target.is_embedded() { 2 } else { 16 });
    let stub = Stub::<N, N>::from_name(target.name("late")).output_of("second");
    let flow = stub.workflow(|flow| {
        let first = flow.task("first", |input, _| async move { Ok(input) }).wait_for(sleep(pause));
        flow.parents(&first).task("second", |_, first, _| async move { Ok(first) })
    });
    let fixture = Fixture::start(target, vec![flow.into()]).await;
    let run = fixture.client.run_no_wait(&stub, &N { n: 1 }).await.unwrap();
    let given = fixture.target.client().run_ref::<serde_json::Value>(run.id());
    let (status, result, outcome) = tokio::join!(
        within_timeout("the run is listed", run.status()),
        within_timeout("the run finishes", run.result()),
        within_timeout("the run finishes", given.outcome()),
    );
    assert_eq!(status.unwrap(), RunStatus::Queued);
    assert_eq!(result.unwrap(), N { n: 1 });
    assert_eq!(outcome.unwrap().status, RunStatus::Completed);
    fixture.stop().await;
}

#[tokio::test]
async fn task_waits_for_all_groups_and_a_matching_event() {
    let target = Target::start().await;
    let stub = Stub::<N, N>::from_name(target.name("events")).output_of("after");
    let flow = stub.workflow(|flow| {
        let first = flow.task("first", |input, _| async move { Ok(input) });
        flow.parents(&first)
            .task("after", |_, first, _| async move { Ok(first) })
            .wait_for(event(target.name("paid")).filter("input.amount > 10"))
            .wait_for(event(target.name("packed")).or(event(target.name("skipped-packing"))))
    });
    let fixture = Fixture::start(target, vec![flow.into()]).await;
    let run = fixture.client.run_no_wait(&stub, &N { n: 1 }).await.unwrap();
    eventually("the first task completes", async || {
        let tasks = run.details().await.unwrap().tasks;
        tasks.iter().any(|task| task.name == "first" && task.status == RunStatus::Completed).then_some(())
    })
    .await;
    if !fixture.target.is_embedded() {
        // A real engine needs some time until the conditions of a task are in effect.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    push(&fixture.target, "paid", json!({"amount": 1})).await;
    push(&fixture.target, "skipped-packing", json!({})).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!run.details().await.unwrap().done);
    push(&fixture.target, "paid", json!({"amount": 11})).await;
    within_timeout("the run finishes", run.result()).await.unwrap();
    fixture.stop().await;
}

#[tokio::test]
async fn event_skips_and_output_cancels() {
    let target = Target::start().await;
    let stub = Stub::<N, Option<N>>::from_name(target.name("skip")).output_of("second");
    let flow = stub.workflow(|flow| {
        let first = flow.task("first", |input, _| async move { Ok(input) });
        flow.parents(&first)
            .task("second", |_, first, _| async move { Ok(first) })
            .wait_for(sleep(Duration::from_secs(60)))
            .skip_if(event(target.name("skip")))
            .cancel_if(parent_output(&first, "output.n < 0"))
            .optional()
    });
    let fixture = Fixture::start(target, vec![flow.into()]).await;
    let run = fixture.client.run_no_wait(&stub, &N { n: 1 }).await.unwrap();
    let skipped = eventually("the event skips the task", async || {
        push(&fixture.target, "skip", json!({})).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        run.details().await.unwrap().done.then_some(())
    });
    skipped.await;
    assert_eq!(run.result().await.unwrap(), None);

    let run = fixture.client.run_no_wait(&stub, &N { n: -1 }).await.unwrap();
    let outcome = within_timeout("the run finishes", run.outcome()).await.unwrap();
    assert_eq!(outcome.status, RunStatus::Cancelled, "{outcome:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn engine_reports_an_invalid_expression() {
    let target = Target::start().await;
    let task = Stub::<N, N>::from_name(target.name("cel"))
        .task(|input, _| async move { Ok(input) })
        .concurrency(hatchet_quickstart::hatchet::task::Concurrency::per("input."));
    let error = registration_error(&target, task).await;
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("oncurrency"), "{error}");
}
