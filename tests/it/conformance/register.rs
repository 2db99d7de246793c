//! Registration of workers.

use std::collections::HashMap;

use hatchet_quickstart::hatchet::wire::proto::{
    RuntimeInfo, UpsertWorkerLabelsRequest, WorkerLabels, WorkerRegisterRequest, WorkerRegisterResponse,
};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{Target, assert_refused};

async fn register(target: &Target, request: WorkerRegisterRequest) -> Result<WorkerRegisterResponse, Status> {
    Ok(target.dispatcher().register(request).await?.into_inner())
}

fn named(name: String) -> WorkerRegisterRequest {
    WorkerRegisterRequest { worker_name: name, ..Default::default() }
}

fn slots(slots: &[(&str, i32)]) -> HashMap<String, i32> {
    slots.iter().map(|(kind, units)| ((*kind).to_owned(), *units)).collect()
}

#[tokio::test]
async fn registration_creates_a_new_worker() {
    let target = Target::start().await;
    let name = target.name("Twice.1_x");
    let request = WorkerRegisterRequest {
        actions: vec![format!("{name}:Run")],
        slot_config: slots(&[("default", 3)]),
        ..named(name.clone())
    };
    let first = register(&target, request.clone()).await.unwrap();
    let second = register(&target, request).await.unwrap();
    assert_eq!((first.worker_name.as_str(), second.worker_name.as_str()), (name.as_str(), name.as_str()));
    assert_eq!((&first.tenant_id, &second.tenant_id), (&target.tenant, &target.tenant));
    assert_ne!(first.worker_id, second.worker_id);
    Uuid::parse_str(&first.worker_id).unwrap();
}

#[tokio::test]
async fn worker_name_with_other_characters_is_refused() {
    let target = Target::start().await;
    for invalid in [String::new(), target.name("a b"), target.name("a:b"), target.name("ä")] {
        assert_refused(register(&target, named(invalid)).await, Code::InvalidArgument, "CreateWorkerOpts.Name");
    }
}

#[tokio::test]
async fn worker_action_has_two_or_three_parts() {
    let target = Target::start().await;
    for invalid in ["", "a", ":b", "a:", "a:b:c:d"] {
        let request = WorkerRegisterRequest { actions: vec![invalid.to_owned()], ..named(target.name("w")) };
        assert_refused(register(&target, request).await, Code::InvalidArgument, "CreateWorkerOpts.Actions[0]");
    }
    for valid in ["a:b", "a:b:c"] {
        let action = format!("{}{valid}", target.name(""));
        let request = WorkerRegisterRequest { actions: vec![action], ..named(target.name("w")) };
        register(&target, request).await.unwrap();
    }
}

#[tokio::test]
async fn slots_in_both_forms_are_refused() {
    let target = Target::start().await;
    let both =
        WorkerRegisterRequest { slots: Some(3), slot_config: slots(&[("default", 3)]), ..named(target.name("both")) };
    let text = "either slot_config or slots (deprecated) must be provided, not both";
    assert_refused(register(&target, both).await, Code::InvalidArgument, text);

    let limits = async |request: WorkerRegisterRequest| {
        // A real engine fails to return a worker without actions.
        let request = WorkerRegisterRequest { actions: vec![target.name("a:b")], ..request };
        let id = register(&target, request).await.unwrap().worker_id;
        let (status, worker) = target.rest.get(&format!("/api/v1/workers/{id}")).await;
        assert_eq!(status, 200, "{worker}");
        let config = worker["slotConfig"].as_object().unwrap().clone();
        let mut limits: Vec<_> = config.iter().map(|(kind, slot)| (kind.clone(), slot["limit"].as_i64())).collect();
        limits.sort();
        limits
    };
    assert_eq!(limits(named(target.name("none"))).await, [("default".to_owned(), Some(100))]);
    let old = WorkerRegisterRequest { slots: Some(7), ..named(target.name("old")) };
    assert_eq!(limits(old).await, [("default".to_owned(), Some(7))]);
    let new = WorkerRegisterRequest { slot_config: slots(&[("default", 5), ("cpu", 2)]), ..named(target.name("new")) };
    assert_eq!(limits(new).await, [("cpu".to_owned(), Some(2)), ("default".to_owned(), Some(5))]);
}

#[tokio::test]
async fn labels_and_runtime_info_are_accepted() {
    let target = Target::start().await;
    let label = |text: Option<&str>, number| WorkerLabels { str_value: text.map(str::to_owned), int_value: number };
    let labels = HashMap::from([
        ("gpu".to_owned(), label(Some("yes"), None)),
        ("memory".to_owned(), label(None, Some(64))),
        ("empty".to_owned(), label(None, None)),
    ]);
    let runtime_info = RuntimeInfo {
        sdk_version: Some("0.1.0".to_owned()),
        language: None,
        language_version: Some("1.95".to_owned()),
        os: Some("linux".to_owned()),
        extra: Some("x".to_owned()),
    };
    let request = WorkerRegisterRequest { labels, runtime_info: Some(runtime_info), ..named(target.name("labeled")) };
    let worker_id = register(&target, request).await.unwrap().worker_id;

    let labels = HashMap::from([("memory".to_owned(), label(None, Some(32)))]);
    let request = UpsertWorkerLabelsRequest { worker_id: worker_id.clone(), labels: labels.clone() };
    let upserted = target.dispatcher().upsert_worker_labels(request).await.unwrap().into_inner();
    assert_eq!((upserted.tenant_id, upserted.worker_id), (target.tenant.clone(), worker_id));

    let request = UpsertWorkerLabelsRequest { worker_id: Uuid::new_v4().to_string(), labels };
    assert_refused(target.dispatcher().upsert_worker_labels(request).await, Code::NotFound, "worker not found");
}
