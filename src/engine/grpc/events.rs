//! `EventsService`: events, log lines and stream chunks.

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    Services,
    error::{task_not_found, unimplemented_in_v1},
};
use crate::{
    engine::{
        state::Timestamp,
        validate::{
            event::{validate_event, validate_events},
            field,
            log_line::{NewLogLine, validate_log_line},
        },
    },
    hatchet::wire::proto::{
        BulkPushEventRequest, Event, Events, PushEventRequest, PutLogRequest, PutLogResponse, PutStreamEventRequest,
        PutStreamEventResponse, ReplayEventRequest, events_service_server::EventsService,
    },
};

#[tonic::async_trait]
impl EventsService for Services {
    async fn push(&self, request: Request<PushEventRequest>) -> Result<Response<Event>, Status> {
        let request = request.into_inner();
        let pushed = validate_event(&request, self.driver.max_message)?;
        let pushed = self.driver.push_events(vec![pushed]).await?;
        let (id, time) = pushed.into_iter().next().ok_or_else(|| Status::internal("the event was not pushed"))?;
        Ok(Response::new(self.event_message(request, id, time)))
    }

    async fn bulk_push(&self, request: Request<BulkPushEventRequest>) -> Result<Response<Events>, Status> {
        let requests = request.into_inner().events;
        let pushed = validate_events(&requests, self.driver.max_message)?;
        let ids = self.driver.push_events(pushed).await?;
        let events =
            requests.into_iter().zip(ids).map(|(event, (id, time))| self.event_message(event, id, time)).collect();
        Ok(Response::new(Events { events }))
    }

    async fn replay_single_event(&self, _: Request<ReplayEventRequest>) -> Result<Response<Event>, Status> {
        Err(unimplemented_in_v1("ReplaySingleEvent"))
    }

    async fn put_log(&self, request: Request<PutLogRequest>) -> Result<Response<PutLogResponse>, Status> {
        let NewLogLine { task, message, level, metadata, attempt, at } =
            validate_log_line(request.into_inner(), self.driver.max_message)?;
        let is_known = self
            .driver
            .with(|state, now| state.put_log(task, message, level, metadata, attempt, at.unwrap_or(now.display)))
            .await?;
        if is_known { Ok(Response::new(PutLogResponse {})) } else { Err(task_not_found(task)) }
    }

    async fn put_stream_event(
        &self,
        request: Request<PutStreamEventRequest>,
    ) -> Result<Response<PutStreamEventResponse>, Status> {
        let chunk = request.into_inner();
        let id = field::parse_task_id(&chunk.task_run_external_id)?;
        let text = String::from_utf8(chunk.message).map_err(|_| {
            Status::invalid_argument("the chunk is not UTF-8, which subscribers' messages require: encode bytes first")
        })?;
        let is_known = self.driver.with(|state, now| state.put_chunk(id, text.into(), chunk.event_index, now)).await?;
        if is_known { Ok(Response::new(PutStreamEventResponse {})) } else { Err(task_not_found(id)) }
    }
}

impl Services {
    /// The pushed event as it is returned to the client.
    fn event_message(&self, from: PushEventRequest, id: Uuid, time: Timestamp) -> Event {
        Event {
            tenant_id: self.driver.tenant.to_string(),
            event_id: id.to_string(),
            key: from.key,
            payload: from.payload,
            event_timestamp: Some(time.to_wire()),
            additional_metadata: from.additional_metadata,
            scope: None,
        }
    }
}
