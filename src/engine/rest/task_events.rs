//! What happened to tasks, step by step: Hatchet's task events.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, RawQuery, State as Shared},
    routing::get,
};
use serde_json::json;

use super::{
    ApiError, id, query, rfc3339,
    view::{Payload, View},
};
use crate::{
    engine::{
        driver::Driver,
        state::{
            HistoryEvent, HistoryEventKind, State,
            model::{Phase, Run, Task},
        },
    },
    hatchet::wire::RunId,
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tasks/{task}/task-events", get(of_task))
        .route("/api/v1/stable/workflow-runs/{run}/task-events", get(of_run))
}

async fn of_task(
    Shared(driver): Shared<Arc<Driver>>,
    Path(task): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<View, ApiError> {
    let id: RunId = id(&task, "task")?;
    let part = part(text.as_deref())?;
    driver
        .with(|state, _| {
            let task = state.task(id).filter(|task| task.is_made()).ok_or_else(ApiError::not_found)?;
            Ok(rows(newest_first(steps(state, id, task)), part))
        })
        .await?
}

async fn of_run(
    Shared(driver): Shared<Arc<Driver>>,
    Path(run): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<View, ApiError> {
    let id: RunId = id(&run, "workflow run")?;
    let part = part(text.as_deref())?;
    driver
        .with(|state, _| {
            let (_, run) = state.run(id).ok_or_else(ApiError::not_found)?;
            Ok(rows(of(state, run), part))
        })
        .await?
}

/// All of a run's, the newest first.
pub(super) fn of(state: &State, run: &Run) -> Vec<View> {
    let tasks = run.tasks.iter().filter_map(|id| Some((*id, state.task(*id)?)));
    newest_first(tasks.flat_map(|(id, task)| steps(state, id, task)).collect())
}

/// How many to pass over, and how many to show.
fn part(query: Option<&str>) -> Result<(usize, usize), ApiError> {
    let mut part = (0, usize::MAX);
    for (key, value) in query::pairs(query.unwrap_or_default()) {
        let number = query::read(&key, &value).map_err(ApiError::bad_request);
        match key.as_str() {
            "offset" => part.0 = number?,
            "limit" => part.1 = number?,
            other => return Err(ApiError::bad_request(query::unknown(other))),
        }
    }
    Ok(part)
}

fn rows(all: Vec<View>, (offset, limit): (usize, usize)) -> View {
    // The real engine's pagination is empty here too.
    let mut view = View::of(json!({ "pagination": {} }));
    view.views("rows", all.into_iter().skip(offset).take(limit).collect());
    view
}

/// A step with what it is sorted by: its time and its number.
type Step = ((u64, u64), View);

fn newest_first(mut steps: Vec<Step>) -> Vec<View> {
    steps.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
    steps.into_iter().map(|(_, step)| step).collect()
}

fn steps(state: &State, id: RunId, task: &Task) -> Vec<Step> {
    let name = state.spec(id).map(|spec| spec.name.to_string());
    let mut worker = None;
    let mut steps = Vec::new();
    for (number, event) in task.history.numbered() {
        let (kind, message, error) = words(&event);
        match &event.kind {
            HistoryEventKind::Assigned(id) => worker = Some(id.to_string()),
            HistoryEventKind::Started
            | HistoryEventKind::Finished
            | HistoryEventKind::Refreshed(_)
            | HistoryEventKind::SlotReleased => {}
            HistoryEventKind::Queued
            | HistoryEventKind::Failed(_)
            | HistoryEventKind::TimedOut(_)
            | HistoryEventKind::NotTaken
            | HistoryEventKind::Cancelled => worker = None,
            HistoryEventKind::Reassigned
            | HistoryEventKind::Retrying(_)
            | HistoryEventKind::Replayed
            | HistoryEventKind::Skipped => worker = None,
        }
        let output = match &task.phase {
            Phase::Completed(output) if event.attempt == task.attempt && event.kind == HistoryEventKind::Finished => {
                Some(output)
            }
            _ => None,
        };
        // A number of the task's and room for each of its steps, two for an assignment.
        let number = (task.seq << 24) + 2 * number;
        let view = |number: u64, kind: &str, message: &str| {
            let mut view = View::of(json!({
                "id": number, "taskId": id.to_string(), "timestamp": rfc3339(event.at), "eventType": kind,
                "message": message, "errorMessage": error, "taskDisplayName": name,
                "retryCount": event.attempt, "attempt": event.attempt + 1,
            }));
            view.payload("output", Payload::Text(output.cloned().unwrap_or_else(|| "".into())));
            if let Some(worker) = &worker {
                view.set("workerId", worker.as_str());
            }
            ((event.at.0, number), view)
        };
        steps.push(view(number, kind, &message));
        if matches!(event.kind, HistoryEventKind::Assigned(_)) {
            steps.push(view(number + 1, "SENT_TO_WORKER", "Sent task run to the assigned worker"));
        }
    }
    steps
}

/// The type, the message and the error of a step, as a real engine words them.
fn words(event: &HistoryEvent) -> (&'static str, String, &str) {
    let plain = |kind| (kind, String::new(), "");
    match &event.kind {
        HistoryEventKind::Queued => plain("QUEUED"),
        HistoryEventKind::Assigned(_) => plain("ASSIGNED"),
        HistoryEventKind::Started => plain("STARTED"),
        HistoryEventKind::Finished => plain("FINISHED"),
        HistoryEventKind::Failed(error) => ("FAILED", String::new(), error),
        HistoryEventKind::TimedOut(error) => ("TIMED_OUT", error.to_string(), ""),
        HistoryEventKind::NotTaken => plain("SCHEDULING_TIMED_OUT"),
        HistoryEventKind::Cancelled => plain("CANCELLED"),
        HistoryEventKind::Reassigned => plain("REASSIGNED"),
        HistoryEventKind::Retrying(wait) if wait.is_zero() => {
            ("RETRYING", format!("This is retry number {}.", event.attempt), "")
        }
        HistoryEventKind::Retrying(wait) => {
            let at = rfc3339(event.at.plus(*wait));
            ("RETRYING", format!("This is retry number {}. Retrying in {wait:?} ({at}).", event.attempt), "")
        }
        HistoryEventKind::Replayed => ("RETRIED_BY_USER", "Task was replayed, resetting task result.".to_owned(), ""),
        HistoryEventKind::Skipped => plain("SKIPPED"),
        HistoryEventKind::Refreshed(by) => ("TIMEOUT_REFRESHED", format!("Timeout refreshed by {by:?}"), ""),
        HistoryEventKind::SlotReleased => plain("SLOT_RELEASED"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::state::Timestamp;

    #[test]
    fn a_wait_is_told_with_its_end() {
        let what = HistoryEventKind::Retrying(Duration::from_millis(1440));
        let event = HistoryEvent { at: Timestamp(1_000), attempt: 2, kind: what };
        let message = "This is retry number 2. Retrying in 1.44s (1970-01-01T00:00:02.440Z).";
        assert_eq!(words(&event), ("RETRYING", message.to_owned(), ""));
    }
}
