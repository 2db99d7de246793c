//! The streams of the dispatcher's two subscriptions, and their messages.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};
use prost::Message as _;
use tonic::{Status, Streaming};

use crate::{
    engine::{
        driver::{Driver, QueueReader, RunEvent, RunEventKind, RunResult, SubscriberId, TaskResult},
        state::TaskEvent,
        validate::ERROR_TOO_LARGE,
    },
    hatchet::wire::{
        RunStatus,
        proto::{self, SubscribeToWorkflowRunsRequest, WorkflowEvent, WorkflowRunEvent},
    },
};

/// Bytes of an error in a message whose results are too large together. Not a limit of Hatchet.
const MAX_ERROR_BYTES: usize = 1024;

/// The stream of `SubscribeToWorkflowEvents`.
pub(super) struct EventStream(pub(super) QueueReader<RunEvent>);

impl Stream for EventStream {
    type Item = Result<WorkflowEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context).map(|next| next.map(|item| item.map(event_message)))
    }
}

/// The stream of `SubscribeToWorkflowRuns`.
///
/// It reads the client's requests only after the client has taken all results so far. So flow control slows down a
/// client that sends requests without reading results, and the engine's memory stays bounded.
pub(super) struct ResultStream {
    id: SubscriberId,
    /// `None` after the client has closed its side, which ends the stream after the results that are ready.
    requests: Option<Streaming<SubscribeToWorkflowRunsRequest>>,
    results: Pin<Box<QueueReader<Arc<RunResult>>>>,
    driver: Arc<Driver>,
}

impl ResultStream {
    pub(super) fn new(driver: Arc<Driver>, requests: Streaming<SubscribeToWorkflowRunsRequest>) -> Self {
        let (id, results) = driver.subscribe_results();
        Self { id, requests: Some(requests), results: Box::pin(results), driver }
    }
}

impl Stream for ResultStream {
    type Item = Result<WorkflowRunEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Poll::Ready(next) = self.results.poll_next_unpin(context) {
                return Poll::Ready(
                    next.map(|item| item.map(|result| result_message(&result, self.driver.max_message))),
                );
            }
            let Some(requests) = &mut self.requests else { return Poll::Ready(None) };
            match requests.poll_next_unpin(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(request))) => {
                    // A malformed id is ignored, as in a real engine.
                    if let Ok(run) = request.workflow_run_id.parse() {
                        self.driver.request_result(self.id, run);
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => self.requests = None,
            }
        }
    }
}

fn event_message(event: RunEvent) -> WorkflowEvent {
    use proto::{ResourceEventType as Event, ResourceType as Resource};
    let (event_type, payload, event_index) = match &event.kind {
        RunEventKind::Task { event, .. } => match event {
            TaskEvent::Created => (Event::Started, "", None),
            TaskEvent::Chunk { text, index } => (Event::Stream, &**text, *index),
            TaskEvent::Completed(output) => (Event::Completed, &**output, None),
            TaskEvent::Failed(error) => (Event::Failed, &**error, None),
            TaskEvent::Cancelled => (Event::Cancelled, "", None),
        },
        RunEventKind::Finished(RunStatus::Completed) => (Event::Completed, "", None),
        RunEventKind::Finished(RunStatus::Failed) => (Event::Failed, "", None),
        RunEventKind::Finished(
            RunStatus::Cancelled | RunStatus::Queued | RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_),
        ) => (Event::Cancelled, "", None),
    };
    let (resource, id, retry_count) = match &event.kind {
        RunEventKind::Task { task, attempt, .. } => (Resource::StepRun, *task, Some(*attempt)),
        RunEventKind::Finished(_) => (Resource::WorkflowRun, event.run, None),
    };
    WorkflowEvent {
        workflow_run_id: event.run.to_string(),
        resource_type: resource.into(),
        event_type: event_type.into(),
        resource_id: id.to_string(),
        event_timestamp: Some(event.at.to_wire()),
        event_payload: payload.to_owned(),
        hangup: event.hangup,
        task_retries: None,
        retry_count,
        event_index,
    }
}

/// The result as a message of at most `max` bytes. As in a real engine, a larger message has its large errors replaced;
/// if it is still too large, it has no task results. A single task's result always fits.
fn result_message(result: &RunResult, max: usize) -> WorkflowRunEvent {
    let whole = result_with_errors(result, usize::MAX);
    if result.tasks.len() == 1 || whole.encoded_len() <= max {
        return whole;
    }
    let mut shortened = result_with_errors(result, MAX_ERROR_BYTES);
    if shortened.encoded_len() > max {
        shortened.results.clear();
    }
    shortened
}

fn result_with_errors(result: &RunResult, max_error: usize) -> WorkflowRunEvent {
    let error_text =
        |error: &Arc<str>| if error.len() > max_error { ERROR_TOO_LARGE.to_owned() } else { error.to_string() };
    let task_result = |task: &TaskResult| {
        let id = task.task.to_string();
        proto::StepRunResult {
            task_run_external_id: id.clone(),
            task_name: task.name.to_string(),
            job_run_id: id,
            error: task.outcome.as_ref().err().map(error_text),
            output: task.outcome.as_ref().ok().map(|output| output.to_string()),
        }
    };
    WorkflowRunEvent {
        workflow_run_id: result.run.to_string(),
        event_type: proto::WorkflowRunEventType::Finished.into(),
        event_timestamp: Some(result.at.to_wire()),
        results: result.tasks.iter().map(task_result).collect(),
    }
}
