//! The outcomes of the items of a bulk trigger.

use std::time::Duration;

use hatchet_quickstart::hatchet::{
    client::{ErrorKind, RunItem},
    task::{Context, IdempotencyMethod, Stub, Task, TaskError},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::worker::{Fixture, within};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Nothing {}

fn keyed() -> Task<Nothing, Nothing> {
    KEYED.task(async |_: Nothing, _: Context| Ok::<_, TaskError>(Nothing {})).idempotency(
        "'keyed:' + additional_metadata.k",
        Duration::from_secs(600),
        IdempotencyMethod::Ttl,
    )
}

const KEYED: Stub<Nothing, Nothing> = Stub::new("keyed");

fn item(key: &serde_json::Value) -> RunItem<Nothing> {
    RunItem::new(&Nothing {}).metadata("k", key.clone())
}

#[tokio::test]
async fn refused_item_does_not_fail_the_others() {
    let fixture = Fixture::start([keyed()]).await;
    // The engine refuses a whole call if a key is not a string.
    let items = (0..50).map(|n| item(&if n == 31 { json!(7) } else { json!(format!("k{n}")) }));
    let outcomes = within("the runs are accepted", fixture.client.run_many_no_wait(&KEYED, items)).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(_) => assert_ne!(n, 31),
            Err(error) => assert!(n == 31 && error.kind() == ErrorKind::Invalid, "{n}: {error}"),
        }
    }
}

#[tokio::test]
async fn duplicate_error_has_the_existing_run() {
    let fixture = Fixture::start([keyed()]).await;
    let first = fixture.client.run_many_no_wait(&KEYED, (0..600).map(|n| item(&json!(format!("k{n}"))))).await;
    let again = fixture.client.run_many_no_wait(&KEYED, (0..900).map(|n| item(&json!(format!("k{n}"))))).await;
    for (n, outcome) in again.iter().enumerate() {
        match (outcome, first.get(n)) {
            (Err(error), Some(Ok(run))) => assert_eq!(error.kind(), ErrorKind::Duplicate(Some(run.id())), "{n}"),
            (Ok(_), None) => {}
            other => panic!("{n}: {other:?}"),
        }
    }
}
