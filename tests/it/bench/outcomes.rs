//! Waits for many runs concurrently.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use hatchet_quickstart::hatchet::{
    client::{Client, ErrorKind, Outcomes},
    task::{Context, Stub, Task, TaskError},
    wire::{RunId, RunStatus, proto::v1},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::{
    fake::Fake,
    worker::{Fixture, within},
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Number {
    n: u32,
}

const ECHO: Stub<Number, Number> = Stub::new("echo");

fn echo() -> Task<Number, Number> {
    ECHO.task(
        async |input: Number, _: Context| {
            if input.n % 10 == 3 { Err(TaskError::fatal("three")) } else { Ok(input) }
        },
    )
}

#[tokio::test]
async fn outcomes_have_the_index_of_their_run() {
    let fixture = Fixture::start([echo()]).await;
    let runs =
        fixture.client.run_many_no_wait(&ECHO, (0..500).map(|n| Number { n })).await.into_iter().map(Result::unwrap);
    let mut seen = HashSet::new();
    let mut outcomes = fixture.client.outcomes(runs);
    while let Some((n, outcome)) = within("a run finishes", outcomes.next()).await {
        let outcome = outcome.unwrap();
        assert_eq!(outcome.status == RunStatus::Failed, n % 10 == 3, "{n}: {outcome:?}");
        if outcome.status == RunStatus::Completed {
            assert_eq!(outcome.output::<Number>().unwrap().n as usize, n);
        }
        assert!(seen.insert(n));
    }
    assert_eq!(seen.len(), 500);
}

#[tokio::test]
async fn polling_finds_outcomes_without_subscription_events() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let runs: Vec<RunId> = (0..30).map(|_| RunId::random()).collect();
    for run in &runs {
        fake.script(|script| script.set_run(&run.to_string(), v1::RunStatus::Completed, Some("{}")));
    }
    // A rate limit refuses the first request.
    fake.script(|script| script.details_failures.push_back(Status::resource_exhausted("rate limit exceeded")));
    let mut outcomes = Outcomes::new(client);
    for (index, run) in runs.iter().enumerate() {
        outcomes.add(index, *run);
        // A second wait for the same run needs no second request.
        outcomes.add(100 + index, *run);
    }
    let mut seen = HashSet::new();
    while let Some((index, outcome)) = within("a run finishes", outcomes.next()).await {
        assert_eq!(outcome.unwrap().status, RunStatus::Completed);
        assert!(seen.insert(index));
    }
    assert_eq!(seen.len(), 60);
    assert_eq!(fake.script(|script| script.details_calls), 31, "one call per run, and one repetition");
    assert_eq!(fake.script(|script| script.subscriptions.len()), 1);
}

#[tokio::test]
async fn outcome_of_unknown_run_is_not_found() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let mut outcomes = client.outcomes([client.run_ref::<()>(RunId::random())]);
    let (_, outcome) = within("the wait ends", outcomes.next()).await.unwrap();
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(outcomes.next().await.is_none());
}

#[tokio::test]
async fn refused_token_ends_all_waits() {
    let fake = Fake::start().await;
    fake.script(|script| script.accepted_token = Some("another".to_owned()));
    let mut outcomes = Outcomes::new(Client::new(fake.config()).unwrap());
    outcomes.add(1, RunId::random());
    outcomes.add(2, RunId::random());
    for _ in 0..2 {
        let (_, outcome) = within("the wait ends", outcomes.next()).await.unwrap();
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unauthenticated);
    }
}
