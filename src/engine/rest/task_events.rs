//! The history of tasks, which Hatchet calls task events.

use std::{cmp::Reverse, sync::Arc};

use axum::{
    Router,
    extract::{RawQuery, State as AxumState},
    routing::get,
};
use serde_json::json;

use super::{
    ApiError,
    request::{PathParam, query},
    response::{
        json_object::{JsonObject, Payload},
        rfc3339,
        run::display_name,
    },
};
use crate::{
    engine::{
        driver::Driver,
        state::{HistoryEvent, HistoryEventKind as Kind, Run, State, Task},
    },
    hatchet::wire::RunId,
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tasks/{task}/task-events", get(list_of_task))
        .route("/api/v1/stable/workflow-runs/{workflow_run}/task-events", get(list_of_run))
}

async fn list_of_task(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<RunId>,
    RawQuery(query): RawQuery,
) -> Result<JsonObject, ApiError> {
    let range = Range::parse(query.as_deref())?;
    driver
        .with(|state, _| {
            let task = state.task(id).filter(|task| task.is_created()).ok_or_else(ApiError::not_found)?;
            Ok(range.response(newest_first(task_events(state, id, task))))
        })
        .await?
}

async fn list_of_run(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<RunId>,
    RawQuery(query): RawQuery,
) -> Result<JsonObject, ApiError> {
    let range = Range::parse(query.as_deref())?;
    driver
        .with(|state, _| {
            let (_, run) = state.run(id).ok_or_else(ApiError::not_found)?;
            Ok(range.response(run_events(state, run)))
        })
        .await?
}

/// All events of a run's tasks, the newest first.
pub(super) fn run_events(state: &State, run: &Run) -> Vec<JsonObject> {
    let tasks = run.tasks.iter().filter_map(|id| Some((*id, state.task(*id)?)));
    newest_first(tasks.flat_map(|(id, task)| task_events(state, id, task)).collect())
}

/// The requested part of a history; by default the whole history.
struct Range {
    offset: usize,
    limit: usize,
}

impl Range {
    fn parse(query: Option<&str>) -> Result<Self, ApiError> {
        let mut range = Self { offset: 0, limit: usize::MAX };
        for (key, value) in query::pairs(query) {
            match key.as_str() {
                "offset" => range.offset = query::parse(&key, &value)?,
                "limit" => range.limit = query::parse(&key, &value)?,
                other => return Err(query::unknown(other)),
            }
        }
        Ok(range)
    }

    fn response(&self, events: Vec<JsonObject>) -> JsonObject {
        // The pagination is empty, as in a real engine.
        let mut object = JsonObject::from_value(json!({ "pagination": {} }));
        object.objects("rows", events.into_iter().skip(self.offset).take(self.limit).collect());
        object
    }
}

/// An event and its sort key: time and number.
type Keyed = ((u64, u64), JsonObject);

fn newest_first(mut events: Vec<Keyed>) -> Vec<JsonObject> {
    events.sort_by_key(|(key, _)| Reverse(*key));
    events.into_iter().map(|(_, event)| event).collect()
}

fn task_events(state: &State, id: RunId, task: &Task) -> Vec<Keyed> {
    let name = state.spec(id).zip(state.run(id)).map(|(spec, (_, run))| display_name(&spec.definition.name, run));
    let mut worker = None;
    let mut events = Vec::new();
    for (number, event) in task.history.numbered() {
        match &event.kind {
            Kind::Assigned(id) => worker = Some(id.to_string()),
            Kind::Started | Kind::Finished | Kind::Refreshed(_) | Kind::SlotReleased | Kind::RateLimited(_) => {}
            Kind::Queued | Kind::Failed(_) | Kind::TimedOut(_) | Kind::ScheduleTimedOut => worker = None,
            Kind::Cancelled | Kind::Displaced => worker = None,
            Kind::Reassigned | Kind::Retrying(_) | Kind::Replayed | Kind::Skipped => worker = None,
        }
        let is_end = event.attempt == task.attempt && event.kind == Kind::Finished;
        let output = task.phase.output().filter(|_| is_end);
        let Description { kind, mut message, error } = describe(&event);
        if event.kind == Kind::Queued && event.attempt == 0 {
            message = queued_message(state, task).unwrap_or_default();
        }
        let object = |number: u64, kind: &str, message: &str| {
            let mut object = JsonObject::from_value(json!({
                "id": number, "taskId": id.to_string(), "timestamp": rfc3339(event.at), "eventType": kind,
                "message": message, "errorMessage": error, "taskDisplayName": name,
                "retryCount": event.attempt, "attempt": event.attempt + 1,
            }));
            object.payload("output", Payload::Text(output.cloned().unwrap_or_else(|| "".into())));
            if let Some(worker) = &worker {
                object.set("workerId", worker.as_str());
            }
            ((event.at.0, number), object)
        };
        // Unique over all tasks: the task's number, and two numbers for each of its events, as an assignment has two.
        let number = (task.seq << 24) + 2 * number;
        events.push(object(number, kind, &message));
        if matches!(event.kind, Kind::Assigned(_)) {
            events.push(object(number + 1, "SENT_TO_WORKER", "Sent task run to the assigned worker"));
        }
    }
    events
}

/// The message of a task's first event: the keys of its concurrency groups.
fn queued_message(state: &State, task: &Task) -> Option<String> {
    let limits = state.run(task.run)?.1.limits.as_ref()?;
    let keys: Vec<&str> = limits.keys(task.spec).collect();
    (!keys.is_empty()).then(|| format!("concurrency keys evaluated as: {}", keys.join(" ")))
}

/// An event in the texts of a real engine.
#[derive(Debug, PartialEq, Eq)]
struct Description<'a> {
    kind: &'static str,
    message: String,
    error: &'a str,
}

fn describe(event: &HistoryEvent) -> Description<'_> {
    let plain = |kind| Description { kind, message: String::new(), error: "" };
    let with_message = |kind, message| Description { kind, message, error: "" };
    match &event.kind {
        Kind::Queued => plain("QUEUED"),
        Kind::Assigned(_) => plain("ASSIGNED"),
        Kind::Started => plain("STARTED"),
        Kind::Finished => plain("FINISHED"),
        Kind::Failed(error) => Description { kind: "FAILED", message: String::new(), error },
        Kind::TimedOut(error) => with_message("TIMED_OUT", error.to_string()),
        Kind::ScheduleTimedOut => plain("SCHEDULING_TIMED_OUT"),
        Kind::Cancelled => plain("CANCELLED"),
        Kind::Displaced => with_message("CANCELLED", "Cancelled due to concurrency strategy".to_owned()),
        Kind::Reassigned => plain("REASSIGNED"),
        Kind::Retrying(wait) if wait.is_zero() => {
            with_message("RETRYING", format!("This is retry number {}.", event.attempt))
        }
        Kind::Retrying(wait) => {
            let until = rfc3339(event.at.plus(*wait));
            with_message("RETRYING", format!("This is retry number {}. Retrying in {wait:?} ({until}).", event.attempt))
        }
        Kind::Replayed => with_message("RETRIED_BY_USER", "Task was replayed, resetting task result.".to_owned()),
        Kind::Skipped => plain("SKIPPED"),
        Kind::Refreshed(by) => with_message("TIMEOUT_REFRESHED", format!("Timeout refreshed by {by:?}")),
        Kind::SlotReleased => plain("SLOT_RELEASED"),
        Kind::RateLimited(message) => with_message("REQUEUED_RATE_LIMIT", message.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::state::Timestamp;

    #[test]
    fn back_off_is_described_with_its_end() {
        let kind = Kind::Retrying(Duration::from_millis(1440));
        let event = HistoryEvent { at: Timestamp(1_000), attempt: 2, kind };
        let message = "This is retry number 2. Retrying in 1.44s (1970-01-01T00:00:02.440Z).".to_owned();
        assert_eq!(describe(&event), Description { kind: "RETRYING", message, error: "" });
    }
}
