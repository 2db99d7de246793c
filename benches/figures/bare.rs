//! The limit: bare tonic calls on loopback, with the process laid out as with an embedded engine. The server has a
//! thread with a runtime of its own, the client shares the main runtime.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _};
use hatchet_quickstart::hatchet::wire::proto::{
    BulkPushEventRequest, Event, Events, PushEventRequest, PutLogRequest, PutLogResponse, PutStreamEventRequest,
    PutStreamEventResponse, ReplayEventRequest,
    events_service_client::EventsServiceClient,
    events_service_server::{EventsService, EventsServiceServer},
};
use tokio::sync::oneshot;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

/// A server that answers one call with nothing, and a client of it.
pub(crate) struct Bare {
    client: EventsServiceClient<Channel>,
    /// Ends the server when dropped.
    _stop: oneshot::Sender<()>,
}

struct Answers;

#[tonic::async_trait]
impl EventsService for Answers {
    async fn put_log(&self, _: Request<PutLogRequest>) -> Result<Response<PutLogResponse>, Status> {
        Ok(Response::new(PutLogResponse {}))
    }

    async fn push(&self, _: Request<PushEventRequest>) -> Result<Response<Event>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn bulk_push(&self, _: Request<BulkPushEventRequest>) -> Result<Response<Events>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn replay_single_event(&self, _: Request<ReplayEventRequest>) -> Result<Response<Event>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn put_stream_event(
        &self,
        _: Request<PutStreamEventRequest>,
    ) -> Result<Response<PutStreamEventResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

impl Bare {
    pub(crate) async fn start() -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("bare-server".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                let served = Server::builder()
                    .add_service(EventsServiceServer::new(Answers))
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
        Ok(Self { client: EventsServiceClient::new(channel), _stop: stop })
    }

    /// One call with about as much in it as in a report of an attempt.
    async fn call(&self) -> Result<()> {
        let request = PutLogRequest {
            task_run_external_id: "00000000-0000-0000-0000-000000000000".to_owned(),
            message: "x".repeat(200),
            ..Default::default()
        };
        self.client.clone().put_log(request).await?;
        Ok(())
    }

    /// The times of calls made one after the other.
    pub(crate) async fn round_trips(&self, count: usize) -> Result<Vec<Duration>> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let begun = Instant::now();
            self.call().await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    }

    /// Calls a second with so many under way at once.
    pub(crate) async fn calls_per_second(&self, count: usize, in_flight: usize) -> Result<f64> {
        let begun = Instant::now();
        futures_util::stream::iter((0..count).map(|_| self.call()))
            .buffer_unordered(in_flight)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(count as f64 / begun.elapsed().as_secs_f64())
    }
}
