//! The services of logs and chunks.

use hatchet_quickstart::hatchet::wire::proto::{
    BulkPushEventRequest, Event, Events, PushEventRequest, PutLogRequest, PutLogResponse, PutStreamEventRequest,
    PutStreamEventResponse, ReplayEventRequest, events_service_server::EventsService,
};
use tonic::{Request, Response, Status};

use super::{Report, Services, dispatcher::unscripted};

#[tonic::async_trait]
impl EventsService for Services {
    async fn put_log(&self, request: Request<PutLogRequest>) -> Result<Response<PutLogResponse>, Status> {
        let log = request.into_inner();
        self.update(|script| script.reports.push(Report::Log(log.task_run_external_id, log.message)));
        Ok(Response::new(PutLogResponse {}))
    }

    async fn put_stream_event(
        &self,
        request: Request<PutStreamEventRequest>,
    ) -> Result<Response<PutStreamEventResponse>, Status> {
        let chunk = request.into_inner();
        let text = String::from_utf8(chunk.message).unwrap();
        self.update(|script| script.reports.push(Report::Chunk(chunk.task_run_external_id, chunk.event_index, text)));
        Ok(Response::new(PutStreamEventResponse {}))
    }

    async fn push(&self, _: Request<PushEventRequest>) -> Result<Response<Event>, Status> {
        unscripted("events")
    }

    async fn bulk_push(&self, _: Request<BulkPushEventRequest>) -> Result<Response<Events>, Status> {
        unscripted("events")
    }

    async fn replay_single_event(&self, _: Request<ReplayEventRequest>) -> Result<Response<Event>, Status> {
        unscripted("replays")
    }
}
