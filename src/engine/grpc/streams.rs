//! The streams of the dispatcher's two subscriptions.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};
use tonic::{Status, Streaming};

use crate::{
    engine::driver::{Driver, QueueReader, RunEvent, RunResult, SubscriberId},
    hatchet::wire::proto::{SubscribeToWorkflowRunsRequest, WorkflowEvent, WorkflowRunEvent},
};

/// The stream of `SubscribeToWorkflowEvents`.
pub(super) struct EventStream(pub(super) QueueReader<RunEvent>);

impl Stream for EventStream {
    type Item = Result<WorkflowEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context).map(|next| next.map(|item| item.map(RunEvent::message)))
    }
}

/// The stream of `SubscribeToWorkflowRuns`.
///
/// It reads the client's requests itself, and only when the client has taken all results so far. So a client that
/// sends requests without reading results is slowed down by flow control, instead of filling the engine's memory.
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
                return Poll::Ready(next.map(|item| item.map(|result| result.message(self.driver.max_message))));
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
