//! Idempotency keys: their computation, collisions and release.

use std::time::{Duration, Instant};

use hatchet_quickstart::hatchet::wire::proto::{
    BulkTriggerWorkflowRequest,
    v1::{
        BulkTriggerIdempotencyCollisionError, IdempotencyCollisionError, IdempotencyConfig, IdempotencyMethod,
        RunStatus, TriggerWorkflowRunRequest,
    },
};
use prost::Message;
use serde_json::json;
use tonic::{Code, Status};

use super::deviations::Deviation;
use crate::support::{RawWorker, Target, Workflow, assert_refused, eventually};

/// `google.rpc.Status`, the content of the trailer `grpc-status-details-bin`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// The only detail of a collision.
fn detail<T: Message + Default>(status: &Status, name: &str) -> T {
    assert_eq!((status.code(), status.message()), (Code::AlreadyExists, "idempotency key collision"));
    let rpc = RpcStatus::decode(status.details()).unwrap();
    assert_eq!((rpc.code, rpc.message.as_str()), (Code::AlreadyExists as i32, "idempotency key collision"));
    assert_eq!(rpc.details.len(), 1, "{rpc:?}");
    assert_eq!(rpc.details[0].type_url, format!("type.googleapis.com/v1.{name}"));
    T::decode(rpc.details[0].value.as_slice()).unwrap()
}

async fn workflow(target: &Target, base: &str, method: IdempotencyMethod, ttl_ms: i64) -> Workflow {
    let mut definition = target.definition(base);
    definition.idempotency =
        Some(IdempotencyConfig { expression: "input.key".to_owned(), ttl_ms, method: Some(method.into()) });
    target.put(&definition).await
}

#[tokio::test]
async fn duplicate_key_is_refused_with_existing_run() {
    let target = Target::start().await;
    let (key, other) = (target.name("key"), target.name("other"));
    let workflow = workflow(&target, "collides", IdempotencyMethod::Ttl, 600_000).await;
    let run = target.trigger(&workflow, json!({"key": key})).await;
    let status = target.try_trigger(workflow.request(json!({"key": key}))).await.unwrap_err();
    let collision: IdempotencyCollisionError = detail(&status, "IdempotencyCollisionError");
    assert_eq!(collision.existing_run_external_id, run);
    assert_eq!(collision.colliding_run_external_id, "");

    let request = TriggerWorkflowRunRequest {
        workflow_name: workflow.name.clone(),
        input: json!({"key": key}).to_string().into_bytes(),
        ..Default::default()
    };
    let status = target.admin().trigger_workflow_run(request).await.unwrap_err();
    let collision: IdempotencyCollisionError = detail(&status, "IdempotencyCollisionError");
    assert_eq!(collision.existing_run_external_id, run);

    let second = target.trigger(&workflow, json!({"key": other})).await;
    assert_ne!(second, run);
    target.cancel(&[&run, &second]).await;
}

#[tokio::test]
async fn key_is_unique_per_tenant() {
    let target = Target::start().await;
    let key = target.name("key");
    let first = workflow(&target, "first", IdempotencyMethod::Ttl, 600_000).await;
    let second = workflow(&target, "second", IdempotencyMethod::Ttl, 600_000).await;
    let run = target.trigger(&first, json!({"key": key})).await;
    let status = target.try_trigger(second.request(json!({"key": key}))).await.unwrap_err();
    let collision: IdempotencyCollisionError = detail(&status, "IdempotencyCollisionError");
    assert_eq!(collision.existing_run_external_id, run);
    target.cancel(&[&run]).await;
}

#[tokio::test]
async fn bulk_trigger_starts_new_keys_and_reports_duplicates() {
    let target = Target::start().await;
    let workflow = workflow(&target, "bulk", IdempotencyMethod::Ttl, 600_000).await;
    let item = |key: &str| workflow.request(json!({"key": target.name(key)}));
    let existing_run = target.try_trigger(item("taken")).await.unwrap();
    let request = BulkTriggerWorkflowRequest { workflows: vec![item("a"), item("taken"), item("b"), item("a")] };
    let status = target.workflows().bulk_trigger_workflow(request).await.unwrap_err();
    let bulk: BulkTriggerIdempotencyCollisionError = detail(&status, "BulkTriggerIdempotencyCollisionError");
    assert_eq!(bulk.successful_workflow_run_external_ids.len(), 2, "{bulk:?}");
    let existing: Vec<_> = bulk.collisions.iter().map(|collision| &collision.existing_run_external_id).collect();
    assert_eq!(existing.len(), 2, "{bulk:?}");
    assert!(existing.contains(&&existing_run));
    assert!(bulk.successful_workflow_run_external_ids.iter().any(|id| existing.contains(&id)), "{bulk:?}");
    for run in &bulk.successful_workflow_run_external_ids {
        target.details_until(run, "the run exists", |_| true).await;
        target.cancel(&[run]).await;
    }
    target.cancel(&[&existing_run]).await;
}

#[tokio::test]
async fn ttl_key_outlives_its_run_until_expiry() {
    const TTL: Duration = Duration::from_secs(5);
    let target = Target::start().await;
    let key = target.name("key");
    let workflow = workflow(&target, "ttl", IdempotencyMethod::Ttl, TTL.as_millis() as i64).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let started = Instant::now();
    let run = target.trigger(&workflow, json!({"key": key})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    assert_eq!(target.done(&run).await.status(), RunStatus::Completed);
    match target.try_trigger(workflow.request(json!({"key": key}))).await {
        Err(status) => {
            detail::<IdempotencyCollisionError>(&status, "IdempotencyCollisionError");
        }
        // The engine was so slow that the TTL had expired.
        Ok(next) => {
            assert!(started.elapsed() > TTL, "free after {:?}", started.elapsed());
            target.cancel(&[&next]).await;
            return worker.close().await;
        }
    }

    let next = eventually("the key is free again", async || {
        match target.try_trigger(workflow.request(json!({"key": key}))).await {
            Ok(run) => Some(run),
            Err(status) => {
                assert_eq!(status.code(), Code::AlreadyExists, "{status:?}");
                None
            }
        }
    })
    .await;
    assert_ne!(next, run);
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, next);
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn status_key_is_released_when_run_finishes() {
    let target = Target::start().await;
    let key = target.name("key");
    let workflow = workflow(&target, "status", IdempotencyMethod::Status, 600_000).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({"key": key})).await;
    let action = worker.next_start().await;
    let status = target.try_trigger(workflow.request(json!({"key": key}))).await.unwrap_err();
    let collision: IdempotencyCollisionError = detail(&status, "IdempotencyCollisionError");
    assert_eq!(collision.existing_run_external_id, run);
    worker.complete(&action, "{}").await;
    let next =
        eventually("the key is free", async || target.try_trigger(workflow.request(json!({"key": key}))).await.ok())
            .await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, next);
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn trigger_with_failing_key_expression_is_refused() {
    let target = Target::start().await;
    let workflow = workflow(&target, "no-key", IdempotencyMethod::Ttl, 600_000).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    for input in [json!({}), json!({"key": 5})] {
        match target.try_trigger(workflow.request(input)).await {
            Ok(run) => assert_refused(target.details(&run).await, Code::NotFound, "workflow run not found"),
            Err(status) => {
                assert!(target.deviates(Deviation::FailingKeyIsRefused), "{status:?}");
                assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            }
        }
    }
    let run = target.trigger(&workflow, json!({"key": target.name("key")})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    worker.complete(&action, "{}").await;
    worker.close().await;
}

/// Equal formatting makes keys comparable when a program changes the engine.
#[tokio::test]
async fn key_expression_formats_numbers_as_go_does() {
    let target = Target::start().await;
    let mut definition = target.definition("numbers");
    let expression = format!("'{}:' + (type(input.k) == string ? input.k : string(input.k))", target.name("k"));
    definition.idempotency =
        Some(IdempotencyConfig { expression, ttl_ms: 600_000, method: Some(IdempotencyMethod::Ttl.into()) });
    let workflow = target.put(&definition).await;
    for (number, text) in [(json!(5), "5"), (json!(1_234_567), "1.234567e+06"), (json!(0.00001), "1e-05")] {
        let run = target.trigger(&workflow, json!({"k": number})).await;
        let status = target.try_trigger(workflow.request(json!({"k": text}))).await.unwrap_err();
        let collision: IdempotencyCollisionError = detail(&status, "IdempotencyCollisionError");
        assert_eq!(collision.existing_run_external_id, run, "{text}");
        target.cancel(&[&run]).await;
    }
}
