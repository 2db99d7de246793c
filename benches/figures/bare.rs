//! The limit of other figures: plain tonic on loopback, with the messages of an engine and a worker. As with an
//! embedded engine, the server has a thread with its own runtime. The client uses the main runtime.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    iter,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use anyhow::Result;
use futures_util::{
    FutureExt as _, StreamExt as _, TryStreamExt as _,
    future::{BoxFuture, try_join},
    stream::{self, Iter},
};
use hatchet_quickstart::hatchet::wire::proto::{
    ActionEventResponse, AssignedAction, StepActionEvent, StepActionEventType, WorkerListenRequest,
    dispatcher_client::DispatcherClient,
};
use tokio::sync::oneshot;
use tonic::{
    Request, Response, Status,
    body::Body,
    codegen::{Service, http},
    metadata::{Ascii, MetadataValue},
    server::{Grpc, NamedService, ServerStreamingService, UnaryService},
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

/// A server that sends assignments and accepts reports without processing them, and its client.
pub(crate) struct Bare {
    client: DispatcherClient<Channel>,
    /// Authorization of each call: a long header that the transport does not index, as with a real engine.
    bearer: MetadataValue<Ascii>,
    /// Stops the server when dropped.
    _stop: oneshot::Sender<()>,
}

/// An id with the length of a real id.
const ID: &str = "00000000-0000-0000-0000-000000000000";

/// A server of the two dispatcher calls that every task needs.
#[derive(Clone)]
struct BareDispatcher;

impl NamedService for BareDispatcher {
    const NAME: &'static str = "Dispatcher";
}

impl Service<http::Request<Body>> for BareDispatcher {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        async move {
            Ok(match request.uri().path() {
                "/Dispatcher/ListenV2" => {
                    Grpc::new(ProstCodec::default()).server_streaming(BareDispatcher, request).await
                }
                "/Dispatcher/SendStepActionEvent" => {
                    Grpc::new(ProstCodec::default()).unary(BareDispatcher, request).await
                }
                other => Status::unimplemented(other).into_http(),
            })
        }
        .boxed()
    }
}

impl ServerStreamingService<WorkerListenRequest> for BareDispatcher {
    type Response = AssignedAction;
    type ResponseStream = Iter<iter::Take<iter::RepeatWith<fn() -> Result<AssignedAction, Status>>>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, Status>>;

    /// Sends assignments. The request's worker id is their number.
    fn call(&mut self, request: Request<WorkerListenRequest>) -> Self::Future {
        let count = request.get_ref().worker_id.parse().unwrap_or_default();
        let assignments: fn() -> Result<AssignedAction, Status> = || Ok(assignment());
        ready(Ok(Response::new(stream::iter(iter::repeat_with(assignments).take(count)))))
    }
}

impl UnaryService<StepActionEvent> for BareDispatcher {
    type Response = ActionEventResponse;
    type Future = Ready<Result<Response<ActionEventResponse>, Status>>;

    fn call(&mut self, _: Request<StepActionEvent>) -> Self::Future {
        ready(Ok(Response::new(ActionEventResponse { tenant_id: ID.to_owned(), worker_id: ID.to_owned() })))
    }
}

/// An assignment of the no-op task.
fn assignment() -> AssignedAction {
    let id = || ID.to_owned();
    AssignedAction {
        tenant_id: id(),
        workflow_run_id: id(),
        job_id: id(),
        job_name: "no-op".to_owned(),
        job_run_id: id(),
        task_id: id(),
        task_run_external_id: id(),
        action_id: "no-op:no-op".to_owned(),
        task_name: "no-op".to_owned(),
        action_payload: r#"{"input":{},"triggered_by":"manual","parents":{},"triggers":{"filter_payload":null},"user_data":null,"overrides":null}"#.to_owned(),
        additional_metadata: Some("{}".to_owned()),
        workflow_id: Some(id()),
        workflow_version_id: Some(id()),
        ..AssignedAction::default()
    }
}

/// The report of an assignment.
fn report(action: &AssignedAction, kind: StepActionEventType, output: &str) -> StepActionEvent {
    StepActionEvent {
        worker_id: ID.to_owned(),
        job_id: action.job_id.clone(),
        job_run_id: action.job_run_id.clone(),
        task_id: action.task_id.clone(),
        task_run_external_id: action.task_run_external_id.clone(),
        action_id: action.action_id.clone(),
        event_timestamp: Some(std::time::SystemTime::now().into()),
        event_type: kind.into(),
        event_payload: output.to_owned(),
        retry_count: Some(0),
        should_not_retry: Some(false),
        retry_after_ms: None,
    }
}

impl Bare {
    pub(crate) async fn start(token: &str) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("bare-server".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let served = Server::builder()
                    .add_service(BareDispatcher)
                    .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), async {
                        let _ = stopped.await;
                    })
                    .await;
                if let Err(error) = served {
                    eprintln!("the bare server ended: {error}");
                }
            });
        })?;
        let channel = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
        let bearer = format!("bearer {token}").parse()?;
        Ok(Self { client: DispatcherClient::new(channel), bearer, _stop: stop })
    }

    async fn report(&self, action: &AssignedAction, kind: StepActionEventType, output: &str) -> Result<(), Status> {
        let mut request = Request::new(report(action, kind, output));
        request.metadata_mut().insert("authorization", self.bearer.clone());
        self.client.clone().send_step_action_event(request).await.map(drop)
    }

    /// Measures sequential calls.
    pub(crate) async fn round_trips(&self, count: usize) -> Result<Vec<Duration>> {
        let (assignment, mut times) = (assignment(), Vec::with_capacity(count));
        for _ in 0..count {
            let started = Instant::now();
            self.report(&assignment, StepActionEventType::StepEventTypeCompleted, "{}").await?;
            times.push(started.elapsed());
        }
        Ok(times)
    }

    /// Measures calls per second, with `in_flight` concurrent calls.
    pub(crate) async fn calls_per_second(&self, count: usize, in_flight: usize) -> Result<f64> {
        let (assignment, started) = (assignment(), Instant::now());
        let call = || self.report(&assignment, StepActionEventType::StepEventTypeCompleted, "{}");
        stream::iter((0..count).map(|_| call())).buffer_unordered(in_flight).try_collect::<Vec<()>>().await?;
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }

    /// Measures tasks per second, with `in_flight` concurrent tasks. A task is an assignment on a stream and the
    /// concurrent reports of its start and its end.
    pub(crate) async fn tasks_per_second(&self, count: usize, in_flight: usize) -> Result<f64> {
        let started = Instant::now();
        let assignments = self.client.clone().listen_v2(WorkerListenRequest { worker_id: count.to_string() }).await?;
        let reported = assignments.into_inner().map_ok(|assignment| async move {
            let start_event = self.report(&assignment, StepActionEventType::StepEventTypeStarted, "");
            let end_event = self.report(&assignment, StepActionEventType::StepEventTypeCompleted, "{}");
            try_join(start_event, end_event).await.map(drop)
        });
        let done = reported.try_buffer_unordered(in_flight).try_collect::<Vec<()>>().await?.len();
        anyhow::ensure!(done == count, "received {done} of {count} bare tasks");
        Ok(count as f64 / started.elapsed().as_secs_f64())
    }
}
