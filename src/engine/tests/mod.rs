//! Tests of a whole engine over a socket, with generated stubs as clients.

mod calls;
#[cfg(feature = "cel")]
mod costly_expressions;
#[cfg(feature = "durable")]
mod old_format;
mod rest;
#[cfg(feature = "durable")]
mod restart;
mod start;
mod streams;

use std::time::Duration;

use tokio_stream::StreamExt;
use tonic::{Code, Request, Status, service::interceptor::InterceptedService, transport::Channel};

use super::*;
use crate::hatchet::wire::proto::{
    self, StepActionEventType,
    dispatcher_client::DispatcherClient,
    events_service_client::EventsServiceClient,
    v1::{self, admin_service_client::AdminServiceClient},
    workflow_service_client::WorkflowServiceClient,
};

/// Ends a test that hangs. Far longer than any test takes.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

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

async fn start(options: EngineOptions) -> (Engine, Client) {
    let engine = Engine::start(options).await.unwrap();
    let client = Client::new(&engine).await;
    (engine, client)
}

#[derive(Clone)]
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
        self.heartbeat(&worker_id).await.unwrap();
        (worker_id, stream)
    }

    async fn heartbeat(&mut self, worker_id: &str) -> Result<(), Status> {
        let request = proto::HeartbeatRequest { worker_id: worker_id.into(), heartbeat_at: None };
        self.dispatcher.heartbeat(request).await.map(|_| ())
    }

    async fn trigger(&mut self, name: &str, input: &str) -> Result<String, Status> {
        self.trigger_with(name, input, "").await
    }

    async fn trigger_with(&mut self, name: &str, input: &str, metadata: &str) -> Result<String, Status> {
        let request = v1::TriggerWorkflowRequest {
            name: name.into(),
            input: input.into(),
            additional_metadata: Some(metadata.into()),
            ..Default::default()
        };
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
    tokio::time::timeout(TEST_TIMEOUT, stream.next()).await.unwrap().map(Result::unwrap)
}

/// Makes an HTTP/1 call with the engine's token. Returns the status and the JSON body.
async fn rest(engine: &Engine, call: &str, body: &str) -> (u16, serde_json::Value) {
    rest_with_token(engine, &engine.handshake().token, call, body).await
}

async fn rest_with_token(engine: &Engine, token: &str, call: &str, body: &str) -> (u16, serde_json::Value) {
    let (head, body) = response(engine, token, call, body).await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(&body).unwrap())
}

/// Makes an HTTP/1 call. Returns the head of the response and its body, joined if it was chunked.
async fn response(engine: &Engine, token: &str, call: &str, body: &str) -> (String, String) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut socket = tokio::net::TcpStream::connect(&engine.handshake().grpc_address).await.unwrap();
    let request = format!(
        "{call} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(TEST_TIMEOUT, socket.read_to_string(&mut text)).await.unwrap().unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    if !head.contains("transfer-encoding: chunked") {
        return (head.to_owned(), body.to_owned());
    }
    let (mut rest, mut whole) = (body, String::new());
    loop {
        let (length, chunk) = rest.split_once("\r\n").unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return (head.to_owned(), whole);
        }
        whole.push_str(&chunk[..length]);
        rest = &chunk[length + 2..];
    }
}
