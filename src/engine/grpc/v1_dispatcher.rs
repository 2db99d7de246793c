//! `v1.V1Dispatcher`: durable tasks, which this engine does not support.

use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};

use super::{Services, error::unimplemented};
use crate::hatchet::wire::proto::v1::{
    DurableEvent, DurableTaskRequest, DurableTaskResponse, ListenForDurableEventRequest, RegisterDurableEventRequest,
    RegisterDurableEventResponse, v1_dispatcher_server::V1Dispatcher,
};

#[tonic::async_trait]
impl V1Dispatcher for Services {
    type DurableTaskStream = Empty<Result<DurableTaskResponse, Status>>;
    type ListenForDurableEventStream = Empty<Result<DurableEvent, Status>>;

    async fn durable_task(
        &self,
        _: Request<Streaming<DurableTaskRequest>>,
    ) -> Result<Response<Self::DurableTaskStream>, Status> {
        Err(unimplemented("durable tasks"))
    }

    async fn register_durable_event(
        &self,
        _: Request<RegisterDurableEventRequest>,
    ) -> Result<Response<RegisterDurableEventResponse>, Status> {
        Err(unimplemented("durable tasks"))
    }

    async fn listen_for_durable_event(
        &self,
        _: Request<Streaming<ListenForDurableEventRequest>>,
    ) -> Result<Response<Self::ListenForDurableEventStream>, Status> {
        Err(unimplemented("durable tasks"))
    }
}
