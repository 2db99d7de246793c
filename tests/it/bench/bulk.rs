//! The outcomes of the items of a bulk trigger.

use std::time::Duration;

use hatchet_quickstart::hatchet::{
    client::{ErrorKind, TriggerOptions},
    task::{Context, IdempotencyMethod, Task, TaskError},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use crate::worker::{Stand, within};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Nothing {}

fn keyed() -> Task {
    Task::new_async("keyed", async |_: Nothing, _: Context| Ok::<_, TaskError>(Nothing {})).idempotency(
        "'keyed:' + additional_metadata.k",
        Duration::from_secs(600),
        IdempotencyMethod::Ttl,
    )
}

fn item(key: &serde_json::Value) -> (serde_json::Value, TriggerOptions) {
    let additional_metadata: Map<_, _> = [("k".to_owned(), key.clone())].into_iter().collect();
    (json!({}), TriggerOptions { additional_metadata, ..TriggerOptions::default() })
}

#[tokio::test]
async fn refused_item_fails_alone() {
    let stand = Stand::start([keyed()]).await;
    // An engine refuses the whole call for a key that is not a string.
    let items = (0..50).map(|n| item(&if n == 31 { json!(7) } else { json!(format!("k{n}")) }));
    let outcomes = within("the runs are taken", stand.client.trigger_many("keyed", items)).await;
    for (n, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(_) => assert_ne!(n, 31),
            Err(error) => assert!(n == 31 && error.kind() == ErrorKind::Invalid, "{n}: {error}"),
        }
    }
}

#[tokio::test]
async fn duplicate_names_the_run_with_its_key() {
    let stand = Stand::start([keyed()]).await;
    let first = stand.client.trigger_many("keyed", (0..600).map(|n| item(&json!(format!("k{n}"))))).await;
    let again = stand.client.trigger_many("keyed", (0..900).map(|n| item(&json!(format!("k{n}"))))).await;
    for (n, outcome) in again.iter().enumerate() {
        match (outcome, first.get(n)) {
            (Err(error), Some(Ok(run))) => assert_eq!(error.kind(), ErrorKind::Duplicate(Some(run.id())), "{n}"),
            (Ok(_), None) => {}
            other => panic!("{n}: {other:?}"),
        }
    }
}
