//! Authentication, compression, message size and keepalive of connections.

use std::time::Duration;

use hatchet_quickstart::hatchet::wire::proto::{
    GetVersionRequest, GetVersionResponse, SubscribeToWorkflowEventsRequest, WorkerListenRequest,
    dispatcher_client::DispatcherClient,
    v1::{GetRunDetailsRequest, TriggerWorkflowRequest, admin_service_client::AdminServiceClient},
    workflow_service_client::WorkflowServiceClient,
};
use serde_json::json;
use tonic::{Code, Request, codec::CompressionEncoding, codegen::http::uri::PathAndQuery};
use uuid::Uuid;

use super::deviations::Deviation;
use crate::support::{AuthenticatedChannel, RawWorker, Target, assert_refused, only_task};

const REFUSED: &str = "invalid auth token";

/// Values of the `authorization` header that are not `bearer <valid token>`.
fn invalid_values(target: &Target) -> Vec<Option<String>> {
    let token = &target.token;
    let tampered = match token.strip_suffix('A') {
        Some(head) => format!("{head}Q"),
        None => format!("{}A", &token[..token.len() - 1]),
    };
    // The last character of a signature has unused bits, so another character is changed as well.
    let middle = tampered.rfind('.').unwrap() + 10;
    let other = if &tampered[middle..=middle] == "a" { "b" } else { "a" };
    let tampered = format!("{}{other}{}", &tampered[..middle], &tampered[middle + 1..]);
    vec![
        None,
        Some(String::new()),
        Some(token.clone()),
        Some(format!("basic {token}")),
        Some("bearer".to_owned()),
        Some("bearer garbage".to_owned()),
        Some(format!("bearer {tampered}")),
    ]
}

#[tokio::test]
async fn version_is_returned() {
    let target = Target::start().await;
    let version = target.dispatcher().get_version(GetVersionRequest {}).await.unwrap().into_inner().version;
    if target.deviates(Deviation::FixedVersion) {
        assert_eq!(version, "v0.101.27");
    } else {
        assert!(version.starts_with('v'), "{version}");
    }
}

#[tokio::test]
async fn unary_call_without_valid_token_is_unauthenticated() {
    let target = Target::start().await;
    for value in invalid_values(&target) {
        let channel = target.channel_as(value.as_deref());
        assert_refused(
            DispatcherClient::new(channel.clone()).get_version(GetVersionRequest {}).await,
            Code::Unauthenticated,
            REFUSED,
        );
        let request = GetRunDetailsRequest { external_id: Uuid::new_v4().to_string() };
        assert_refused(
            AdminServiceClient::new(channel.clone()).get_run_details(request).await,
            Code::Unauthenticated,
            REFUSED,
        );
        let request = TriggerWorkflowRequest::default();
        assert_refused(
            WorkflowServiceClient::new(channel).trigger_workflow(request).await,
            Code::Unauthenticated,
            REFUSED,
        );
    }
}

#[tokio::test]
async fn stream_without_valid_token_is_unauthenticated() {
    let target = Target::start().await;
    for value in invalid_values(&target) {
        let mut dispatcher = DispatcherClient::new(target.channel_as(value.as_deref()));
        let request = WorkerListenRequest { worker_id: Uuid::new_v4().to_string() };
        assert_refused(dispatcher.listen_v2(request).await, Code::Unauthenticated, REFUSED);
        let request = SubscribeToWorkflowEventsRequest::default();
        assert_refused(dispatcher.subscribe_to_workflow_events(request).await, Code::Unauthenticated, REFUSED);
        let requests = tokio_stream::pending();
        assert_refused(dispatcher.subscribe_to_workflow_runs(requests).await, Code::Unauthenticated, REFUSED);
    }
}

#[tokio::test]
async fn authorization_scheme_is_case_insensitive() {
    let target = Target::start().await;
    for scheme in ["bearer", "Bearer", "BEARER"] {
        let channel = target.channel_as(Some(&format!("{scheme} {}", target.token)));
        DispatcherClient::new(channel).get_version(GetVersionRequest {}).await.unwrap();
    }
}

async fn call_by_path(target: &Target, path: &'static str) -> Result<GetVersionResponse, tonic::Status> {
    let mut grpc: tonic::client::Grpc<AuthenticatedChannel> = tonic::client::Grpc::new(target.channel());
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<GetVersionRequest, GetVersionResponse>::default();
    let request = Request::new(GetVersionRequest {});
    Ok(grpc.unary(request, PathAndQuery::from_static(path), codec).await?.into_inner())
}

#[tokio::test]
async fn unknown_method_or_service_is_unimplemented() {
    let target = Target::start().await;
    call_by_path(&target, "/Dispatcher/GetVersion").await.unwrap();
    assert_refused(call_by_path(&target, "/Dispatcher/Nope").await, Code::Unimplemented, "");
    assert_refused(call_by_path(&target, "/v1.AdminService/Nope").await, Code::Unimplemented, "");
    assert_refused(call_by_path(&target, "/grpc.health.v1.Health/Check").await, Code::Unimplemented, "");
}

#[tokio::test]
async fn gzip_compressed_request_is_accepted() {
    let target = Target::start().await;
    let workflow = target.workflow("gzip").await;
    let mut workflows =
        target.workflows().send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
    let request = workflow.request(json!({"text": "a".repeat(100_000)}));
    let run = workflows.trigger_workflow(request).await.unwrap().into_inner().workflow_run_id;

    let mut admin =
        target.admin().send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
    target.details_until(&run, "the run exists", |_| true).await;
    let details = admin.get_run_details(GetRunDetailsRequest { external_id: run.clone() }).await.unwrap().into_inner();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&details.input).unwrap()["text"], "a".repeat(100_000));
    target.cancel(&[&run]).await;
}

#[tokio::test]
async fn message_over_4_mib_is_refused() {
    let target = Target::start().await;
    let workflow = target.workflow("large").await;
    let mut workflows = target.workflows();
    let request = workflow.request(json!({"text": "a".repeat(5 * 1024 * 1024)}));
    assert_refused(
        workflows.trigger_workflow(request).await,
        Code::ResourceExhausted,
        if target.is_embedded() { "" } else { "received message larger than max" },
    );

    // Two runs: the details of a run contain input and output, which together would exceed the limit.
    let text = "a".repeat(3 * 1024 * 1024);
    let large = target.trigger(&workflow, json!({ "text": text })).await;
    let run = target.trigger(&workflow, json!({})).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, large);
    assert!(action.action_payload.contains(&text), "the input is not the one sent");
    worker.complete(&action, "{}").await;
    let action = worker.next_start().await;
    let output = json!({ "text": text }).to_string();
    worker.complete(&action, &output).await;
    let details = target.done(&run).await;
    assert!(only_task(&details).output.as_deref() == Some(output.as_bytes()), "the output is not the one sent");
    worker.close().await;
}

/// The official clients ping every 10 s, with or without open calls. A server built on a gRPC library may close the
/// connection at the third ping within its minimum interval, which is 5 s for a real engine. The embedded engine has
/// no minimum interval.
#[tokio::test]
async fn keepalive_pings_leave_the_connection_open() {
    let target = Target::start().await;
    let workflow = target.workflow("pings").await;
    let interval = if target.is_embedded() { Duration::from_millis(100) } else { Duration::from_secs(6) };
    let endpoint = target.endpoint().http2_keep_alive_interval(interval).keep_alive_while_idle(true);
    let channel = target.channel_over(endpoint.connect_lazy());

    let mut worker = RawWorker::start_over(&target, channel, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    target.done(&run).await;
    // Not a wait for a state: the test needs a period with at least three pings and no calls.
    tokio::time::sleep(interval * 7 / 2).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    worker.complete(&action, "{}").await;
    worker.heartbeat().await.unwrap();
    worker.close().await;
}
