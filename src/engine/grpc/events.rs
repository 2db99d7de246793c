//! `EventsService`: events, log lines, stream chunks.

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Door;
use crate::engine::state::{Capacity, ClockReading, PushedEvent, State, Timestamp};
use crate::engine::validate::payload as check;
use crate::hatchet::wire::{
    RunId,
    proto::{
        BulkPushEventRequest, Event, Events, PushEventRequest, PutLogRequest, PutLogResponse, PutStreamEventRequest,
        PutStreamEventResponse, ReplayEventRequest, events_service_server::EventsService,
    },
};

/// Events in one BulkPush, and characters in one log line: the real engine's.
const MAX_EVENTS: usize = 1000;
const MAX_LINE: usize = 10_000;

#[tonic::async_trait]
impl EventsService for Door {
    async fn push(&self, request: Request<PushEventRequest>) -> Result<Response<Event>, Status> {
        let event = request.into_inner();
        let pushed = self.checked(&event)?;
        let (id, at) =
            self.driver.add(Capacity::Runs, |state, now| (state.push_event(pushed, now), now.display)).await?;
        Ok(Response::new(self.answer(event, id, at)))
    }

    async fn bulk_push(&self, request: Request<BulkPushEventRequest>) -> Result<Response<Events>, Status> {
        let events = request.into_inner().events;
        match events.len() {
            0 => return Err(Status::invalid_argument("No events to ingest")),
            n if n > MAX_EVENTS => {
                return Err(Status::invalid_argument(format!(
                    "Invalid request: too many events - {n} is over maximum ({MAX_EVENTS})"
                )));
            }
            _ => {}
        }
        if events.iter().any(|event| event.key.is_empty()) {
            return Err(Status::invalid_argument("Invalid request: an event has no key"));
        }
        let checked = events.iter().map(|event| self.checked(event)).collect::<Result<Vec<_>, _>>()?;
        let driver = self.driver.clone();
        // By itself, so that a caller who goes away half-way does not leave half of the events pushed, which it would push
        // again. It ends within the cost limits of the expressions.
        let pushing = tokio::spawn(async move {
            let push = |state: &mut State, pushed, now: ClockReading| (state.push_event(pushed, now), now.display);
            driver.add_each(Capacity::Runs, checked, push).await
        });
        let ids = pushing.await.map_err(|e| Status::internal(format!("events were not pushed: {e}")))??;
        let events = events.into_iter().zip(ids).map(|(event, (id, at))| self.answer(event, id, at)).collect();
        Ok(Response::new(Events { events }))
    }

    async fn replay_single_event(&self, _: Request<ReplayEventRequest>) -> Result<Response<Event>, Status> {
        Err(Status::unimplemented("ReplaySingleEvent is not implemented in engine version v1"))
    }

    async fn put_log(&self, request: Request<PutLogRequest>) -> Result<Response<PutLogResponse>, Status> {
        let line = request.into_inner();
        let id = check::task_id(&line.task_run_external_id)?;
        let invalid = |why: &str| Err(Status::invalid_argument(format!("Invalid request: {why}")));
        let length = line.message.chars().take(MAX_LINE + 1).count();
        if length == 0 || length > MAX_LINE {
            return invalid("a log message has 1 to 10000 characters");
        }
        let level = match line.level.as_deref() {
            None | Some("INFO") => "INFO",
            Some("DEBUG") => "DEBUG",
            Some("WARN") => "WARN",
            Some("ERROR") => "ERROR",
            Some(_) => return invalid("the level is one of DEBUG, INFO, WARN, ERROR"),
        };
        let metadata = check::metadata(Some(&line.metadata), self.driver.max_message)?;
        if !line.metadata.trim_start().starts_with('{') && !line.metadata.is_empty() {
            return invalid("the metadata of a log line is a JSON object");
        }
        let kept = self
            .driver
            .with(|state, now| {
                let at = line.created_at.as_ref().map_or(now.display, Timestamp::from_wire);
                state.put_log(id, line.message, level, metadata.to_string(), line.task_retry_count, at)
            })
            .await?;
        if kept { Ok(Response::new(PutLogResponse {})) } else { Err(no_task(id)) }
    }

    async fn put_stream_event(
        &self,
        request: Request<PutStreamEventRequest>,
    ) -> Result<Response<PutStreamEventResponse>, Status> {
        let chunk = request.into_inner();
        let id = check::task_id(&chunk.task_run_external_id)?;
        let text = String::from_utf8(chunk.message).map_err(|_| {
            Status::invalid_argument("the chunk is not UTF-8, as a subscriber's message must be: encode bytes first")
        })?;
        let known = self.driver.with(|state, now| state.put_chunk(id, text.into(), chunk.event_index, now)).await?;
        if known { Ok(Response::new(PutStreamEventResponse {})) } else { Err(no_task(id)) }
    }
}

impl Door {
    fn checked(&self, from: &PushEventRequest) -> Result<PushedEvent, Status> {
        let max = self.driver.max_message;
        let input = check::input(&from.payload, max)?;
        let metadata = check::metadata(from.additional_metadata.as_deref(), max.saturating_sub(input.len()))?;
        let priority = check::priority(from.priority)?;
        Ok(PushedEvent { key: from.key.clone(), input, metadata, priority, scope: from.scope.clone() })
    }

    fn answer(&self, from: PushEventRequest, id: Uuid, at: Timestamp) -> Event {
        Event {
            tenant_id: self.driver.tenant.to_string(),
            event_id: id.to_string(),
            key: from.key,
            payload: from.payload,
            event_timestamp: Some(at.to_wire()),
            additional_metadata: from.additional_metadata,
            scope: None,
        }
    }
}

fn no_task(id: RunId) -> Status {
    Status::not_found(format!("task run not found: {id}"))
}
