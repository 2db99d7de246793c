//! Idempotency expressions that would take minutes are refused and do not block the engine.

use std::time::{Duration, SystemTime};

use super::*;

/// An expression that, for inputs with the field `costly`, nests macros over ten elements to the given depth.
fn expression(depth: usize) -> String {
    let lists = (0..depth).map(|level| format!("[0,1,2,3,4,5,6,7,8,9].all(x{level}, ")).collect::<String>();
    format!("has(input.costly) && {lists}true{} ? 'costly' : input.id", ")".repeat(depth))
}

const COSTLY: &str = r#"{"costly":true,"id":"a"}"#;

async fn start_with_costly_workflow() -> (Engine, Client) {
    let (engine, mut client) = start(EngineOptions::default()).await;
    let rule = v1::IdempotencyConfig { expression: expression(8), ttl_ms: 60_000, method: None };
    client
        .declare("t", |w| {
            w.idempotency = Some(rule);
            w.event_triggers = vec!["key".into()];
        })
        .await
        .unwrap();
    (engine, client)
}

fn assert_refused(status: &Status) {
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("input.costly") && status.message().contains("limit"), "{status}");
}

#[tokio::test]
async fn costly_expression_refuses_trigger_without_blocking_other_calls() {
    let (engine, mut client) = start_with_costly_workflow().await;
    let item = v1::TriggerWorkflowRequest { name: "t".into(), input: COSTLY.into(), ..Default::default() };
    let request = proto::BulkTriggerWorkflowRequest { workflows: vec![item; 100] };
    let (mut one, mut bulk) = (client.clone(), client.clone());
    let (one, bulk, other) = tokio::time::timeout(TEST_TIMEOUT, async {
        tokio::join!(one.trigger("t", COSTLY), bulk.workflows.bulk_trigger_workflow(request), async {
            client.trigger("t", r#"{"id":"b"}"#).await
        })
    })
    .await
    .expect("the engine is blocked");
    assert_refused(&one.unwrap_err());
    assert_refused(&bulk.unwrap_err());
    other.unwrap();
    engine.stop().await;
}

#[tokio::test]
async fn costly_expression_skips_runs_of_events_and_schedules() {
    let (engine, mut client) = start_with_costly_workflow().await;
    let (worker, mut stream) = client.worker("t").await;
    let event =
        |payload: &str| proto::PushEventRequest { key: "key".into(), payload: payload.into(), ..Default::default() };
    let events = vec![event(COSTLY); 100].into_iter().chain([event(r#"{"id":"by event"}"#)]).collect();
    client.events.bulk_push(proto::BulkPushEventRequest { events }).await.unwrap();
    let schedule = |input: &str| proto::ScheduleWorkflowRequest {
        name: "t".into(),
        schedules: vec![(SystemTime::now() - Duration::from_secs(1)).into()],
        input: input.into(),
        ..Default::default()
    };
    client.workflows.schedule_workflow(schedule(COSTLY)).await.unwrap();
    client.workflows.schedule_workflow(schedule(r#"{"id":"by schedule"}"#)).await.unwrap();
    // On a busy machine the evaluations take longer than the first heartbeat is valid.
    client.heartbeat(&worker).await.unwrap();
    for origin in ["by event", "by schedule"] {
        let action = next(&mut stream).await.unwrap();
        assert!(action.action_payload.contains(origin), "{action:?}");
    }
    engine.stop().await;
}

/// An unbounded recursive parser would overflow its stack and end the process.
#[tokio::test]
async fn deeply_nested_expression_is_refused_at_declaration() {
    let (engine, mut client) = start(EngineOptions::default()).await;
    let expression = format!("{}input.id{}", "(".repeat(1000), ")".repeat(1000));
    let rule = v1::IdempotencyConfig { expression, ttl_ms: 60_000, method: None };
    let status = client.declare("t", |w| w.idempotency = Some(rule)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("Idempotency.Expression") && status.message().contains("nested"), "{status}");
    engine.stop().await;
}
