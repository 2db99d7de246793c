//! The whole line over a real socket, with raw stubs.

use std::time::Duration;

use tokio_stream::StreamExt;
use tonic::{Request, Status, service::interceptor::InterceptedService, transport::Channel};

use super::*;
use crate::hatchet::wire::proto::{
    self, StepActionEventType,
    dispatcher_client::DispatcherClient,
    events_service_client::EventsServiceClient,
    v1::{self, admin_service_client::AdminServiceClient},
    workflow_service_client::WorkflowServiceClient,
};

/// Far beyond what any of it takes, so that a test that hangs ends.
const PATIENCE: Duration = Duration::from_secs(20);

type Authorized = InterceptedService<Channel, Bearer>;

#[derive(Clone)]
struct Bearer(String);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = format!("bearer {}", self.0).parse().map_err(|_| Status::internal("header"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

struct Client {
    dispatcher: DispatcherClient<Authorized>,
    workflows: WorkflowServiceClient<Authorized>,
    admin: AdminServiceClient<Authorized>,
    events: EventsServiceClient<Authorized>,
}

impl Client {
    async fn new(engine: &Engine) -> Self {
        Self::with_token(engine, &engine.handshake().token).await
    }

    async fn with_token(engine: &Engine, token: &str) -> Self {
        let address = format!("http://{}", engine.handshake().grpc_address);
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        let channel = || InterceptedService::new(channel.clone(), Bearer(token.to_owned()));
        Self {
            dispatcher: DispatcherClient::new(channel()).send_compressed(tonic::codec::CompressionEncoding::Gzip),
            workflows: WorkflowServiceClient::new(channel()),
            admin: AdminServiceClient::new(channel()).max_encoding_message_size(usize::MAX),
            events: EventsServiceClient::new(channel()),
        }
    }

    async fn declare(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut v1::CreateWorkflowVersionRequest),
    ) -> Result<(), Status> {
        let task = v1::CreateTaskOpts {
            readable_id: name.to_lowercase(),
            action: format!("{name}:{name}"),
            timeout: "1m".into(),
            inputs: "{}".into(),
            ..Default::default()
        };
        let mut request =
            v1::CreateWorkflowVersionRequest { name: name.into(), tasks: vec![task], ..Default::default() };
        change(&mut request);
        self.admin.put_workflow(request).await.map(|_| ())
    }

    async fn worker(&mut self, action: &str) -> (String, tonic::Streaming<proto::AssignedAction>) {
        let request = proto::WorkerRegisterRequest {
            worker_name: "w".into(),
            actions: vec![format!("{action}:{action}")],
            slot_config: [("default".to_owned(), 2)].into(),
            ..Default::default()
        };
        let worker_id = self.dispatcher.register(request).await.unwrap().into_inner().worker_id;
        let request = proto::WorkerListenRequest { worker_id: worker_id.clone() };
        let stream = self.dispatcher.listen_v2(request).await.unwrap().into_inner();
        self.beat(&worker_id).await.unwrap();
        (worker_id, stream)
    }

    async fn beat(&mut self, worker_id: &str) -> Result<(), Status> {
        let request = proto::HeartbeatRequest { worker_id: worker_id.into(), heartbeat_at: None };
        self.dispatcher.heartbeat(request).await.map(|_| ())
    }

    async fn trigger(&mut self, name: &str, input: &str) -> Result<String, Status> {
        let request = v1::TriggerWorkflowRequest { name: name.into(), input: input.into(), ..Default::default() };
        Ok(self.workflows.trigger_workflow(request).await?.into_inner().workflow_run_id)
    }

    async fn report(&mut self, run: &str, attempt: i32, kind: StepActionEventType, payload: &str) {
        let event = proto::StepActionEvent {
            task_run_external_id: run.into(),
            retry_count: Some(attempt),
            event_type: kind.into(),
            event_payload: payload.into(),
            ..Default::default()
        };
        self.dispatcher.send_step_action_event(event).await.unwrap();
    }

    async fn details(&mut self, id: &str) -> Result<v1::GetRunDetailsResponse, Status> {
        let request = v1::GetRunDetailsRequest { external_id: id.into() };
        Ok(self.admin.get_run_details(request).await?.into_inner())
    }
}

async fn next<T>(stream: &mut tonic::Streaming<T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, stream.next()).await.unwrap().map(Result::unwrap)
}

#[tokio::test]
async fn from_trigger_to_result() {
    let engine = Engine::start(EngineOptions::default()).await.unwrap();
    let mut client = Client::new(&engine).await;
    client.declare("Smoke", |_| ()).await.unwrap();
    let (worker_id, mut work) = client.worker("smoke").await;

    let (ask, asked) = tokio::sync::mpsc::channel(4);
    let asked = tokio_stream::wrappers::ReceiverStream::new(asked);
    let mut answers = client.dispatcher.subscribe_to_workflow_runs(asked).await.unwrap().into_inner();

    let run = client.trigger("Smoke", r#"{"b":1.0,"a":9007199254740993}"#).await.unwrap();
    let question = || proto::SubscribeToWorkflowRunsRequest { workflow_run_id: run.clone() };
    for text in ["no id", &run, &run] {
        ask.send(proto::SubscribeToWorkflowRunsRequest { workflow_run_id: text.to_owned() }).await.unwrap();
    }
    let watch = proto::SubscribeToWorkflowEventsRequest { workflow_run_id: Some(run.clone()), ..Default::default() };
    let mut events = client.dispatcher.subscribe_to_workflow_events(watch.clone()).await.unwrap().into_inner();

    let action = next(&mut work).await.unwrap();
    assert_eq!(action.task_run_external_id, run);
    assert_eq!((action.action_id.as_str(), action.retry_count), ("smoke:smoke", 0));
    assert!(action.action_payload.starts_with(r#"{"input":{"b":1.0,"a":9007199254740993},"#));
    assert_eq!(client.details(&run).await.unwrap().status(), v1::RunStatus::Running);

    let chunk = proto::PutStreamEventRequest {
        task_run_external_id: run.clone(),
        message: b"hello".to_vec(),
        event_index: Some(0),
        ..Default::default()
    };
    client.events.put_stream_event(chunk).await.unwrap();
    client.report(&run, 0, StepActionEventType::StepEventTypeStarted, "").await;
    client.report(&run, 0, StepActionEventType::StepEventTypeCompleted, r#"{"ok": 1}"#).await;

    let answer = next(&mut answers).await.unwrap();
    assert_eq!(answer.results[0].output.as_deref(), Some(r#"{"ok": 1}"#));
    let details = client.details(&run).await.unwrap();
    assert!(details.done && details.task_runs["smoke"].output.as_deref() == Some(br#"{"ok": 1}"#));

    let mut seen = Vec::new();
    while let Some(event) = next(&mut events).await {
        seen.push((event.event_type(), event.event_payload, event.hangup));
    }
    use proto::ResourceEventType::{Completed, Stream};
    let end = [(Completed, r#"{"ok": 1}"#.to_owned(), false), (Completed, String::new(), true)];
    assert_eq!(seen[0], (Stream, "hello".to_owned(), false));
    assert_eq!(seen[1..], end);
    let mut late = client.dispatcher.subscribe_to_workflow_events(watch).await.unwrap().into_inner();
    assert_eq!(next(&mut late).await.unwrap().event_payload, r#"{"ok": 1}"#);
    assert!(next(&mut late).await.unwrap().hangup && next(&mut late).await.is_none());

    ask.send(question()).await.unwrap();
    assert_eq!(next(&mut answers).await.unwrap().workflow_run_id, run, "asked again, answered again");
    drop(ask);
    assert!(next(&mut answers).await.is_none(), "the client has closed its side");

    let stopping = tokio::spawn(engine.stop());
    assert!(next(&mut work).await.is_none(), "hung up on");
    stopping.await.unwrap();
    assert!(client.beat(&worker_id).await.is_err());
}
