//! `v1.V1Dispatcher`: durable tasks, which come later.

use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};

use super::{Door, not_here};
use crate::hatchet::wire::proto::v1::{
    DurableEvent, DurableTaskRequest, DurableTaskResponse, ListenForDurableEventRequest, RegisterDurableEventRequest,
    RegisterDurableEventResponse, v1_dispatcher_server::V1Dispatcher,
};

#[tonic::async_trait]
impl V1Dispatcher for Door {
    type DurableTaskStream = Empty<Result<DurableTaskResponse, Status>>;
    type ListenForDurableEventStream = Empty<Result<DurableEvent, Status>>;

    async fn durable_task(
        &self,
        _: Request<Streaming<DurableTaskRequest>>,
    ) -> Result<Response<Self::DurableTaskStream>, Status> {
        Err(not_here("durable tasks"))
    }

    async fn register_durable_event(
        &self,
        _: Request<RegisterDurableEventRequest>,
    ) -> Result<Response<RegisterDurableEventResponse>, Status> {
        Err(not_here("durable tasks"))
    }

    async fn listen_for_durable_event(
        &self,
        _: Request<Streaming<ListenForDurableEventRequest>>,
    ) -> Result<Response<Self::ListenForDurableEventStream>, Status> {
        Err(not_here("durable tasks"))
    }
}
