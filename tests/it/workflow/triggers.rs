//! Runs that events and crons start.

use hatchet_quickstart::{
    hatchet::{task::DefaultFilter, wire::proto::PushEventRequest},
    prelude::*,
};
use serde_json::json;
use tokio::sync::mpsc;

use super::fixture::{Fixture, N};
use crate::support::{Target, eventually, within_timeout};

async fn push(target: &Target, key: &str, n: i64, scope: Option<&str>) {
    let payload = json!({ "n": n }).to_string();
    let event =
        PushEventRequest { key: target.name(key), payload, scope: scope.map(str::to_owned), ..Default::default() };
    target.events().push(event).await.unwrap();
}

#[tokio::test]
async fn event_with_wildcard_and_filter_starts_runs() {
    let target = Target::start().await;
    let (seen, mut inputs) = mpsc::unbounded_channel();
    let filter = DefaultFilter::new("input.n > payload.minimum", "eu").payload(&json!({"minimum": 10}));
    let task = Stub::<N, N>::from_name(target.name("events"))
        .task(move |input: N, _| {
            let _ = seen.send(input.n);
            async move { Ok(input) }
        })
        .on_event(target.name("order:*"))
        .default_filter(filter);
    let fixture = Fixture::start(target, vec![task.into()]).await;
    push(&fixture.target, "order:created", 5, Some("eu")).await;
    push(&fixture.target, "order:paid", 11, Some("eu")).await;
    assert_eq!(within_timeout("a run starts", inputs.recv()).await, Some(11));
    push(&fixture.target, "other", 13, Some("eu")).await;
    push(&fixture.target, "order:sent", 12, Some("eu")).await;
    assert_eq!(within_timeout("a run starts", inputs.recv()).await, Some(12));
    fixture.stop().await;
}

#[tokio::test]
async fn cron_is_declared_with_its_input() {
    let target = Target::start().await;
    let name = target.name("cron");
    let task = Stub::<N, N>::from_name(name.clone())
        .task(|input, _| async move { Ok(input) })
        .description("A task with a cron.")
        .version("v7")
        .on_cron("0 0 29 2 *")
        .cron_input(&N { n: 7 });
    let fixture = Fixture::start(target, vec![task.into()]).await;
    let path = format!("/api/v1/tenants/{}/workflows/crons?limit=1000", fixture.target.tenant);
    let cron = eventually("the cron is listed", async || {
        let (_, list) = fixture.target.rest.get(&path).await;
        list["rows"].as_array()?.iter().find(|row| row["workflowName"] == json!(name)).cloned()
    });
    let cron = cron.await;
    assert_eq!((&cron["cron"], &cron["input"]), (&json!("0 0 29 2 *"), &json!({"n": 7})), "{cron}");
    fixture.stop().await;
}
