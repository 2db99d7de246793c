//! Assignment streams of workers.
//!
//! When a stream ends, its unread assignments are requeued immediately, unless the worker has opened a newer stream.
//! The newer stream starts with all assignments that the worker has not acknowledged, as the same attempts, so that a
//! worker that has received them recognizes the duplicates.

use std::{collections::HashMap, sync::Arc};

use prost::Message as _;
use tonic::Status;

use super::{
    assignment,
    send_queue::{QueueFull, SendQueue, SendQueues},
};
use crate::{
    engine::state::{ClockReading, State, StreamId},
    hatchet::wire::{
        RunId, TenantId,
        proto::{ActionType, AssignedAction},
    },
};

/// Messages that may be queued for a worker beyond two for each of its slots: 256, for stop requests and for slots
/// that were released early.
pub(super) const SPARE_MESSAGES: usize = 256;

/// Bytes that may be queued for a worker: 256 MiB, not a limit of Hatchet. Beyond that its stream is closed.
const MAX_BYTES: usize = 256 << 20;

/// The send queues of all open assignment streams.
pub(super) struct WorkerStreams {
    queues: Arc<SendQueues>,
    open: HashMap<StreamId, Arc<SendQueue<AssignedAction>>>,
    tenant: TenantId,
    max_message: usize,
}

impl WorkerStreams {
    pub(super) fn new(queues: &Arc<SendQueues>, tenant: TenantId, max_message: usize) -> Self {
        Self { queues: queues.clone(), open: HashMap::new(), tenant, max_message }
    }

    /// The send queue for a worker with this many slots.
    pub(super) fn new_queue(&self, slots: usize) -> Arc<SendQueue<AssignedAction>> {
        self.queues.open(slots.saturating_mul(2).saturating_add(SPARE_MESSAGES), MAX_BYTES)
    }

    /// Adds an open stream.
    pub(super) fn insert(&mut self, stream: StreamId, queue: Arc<SendQueue<AssignedAction>>) {
        self.open.insert(stream, queue);
    }

    /// Sends an attempt to a worker. Returns the size of an assignment that is larger than a message.
    pub(super) fn start(
        &mut self,
        stream: StreamId,
        task: RunId,
        attempt: i32,
        state: &mut State,
        now: ClockReading,
    ) -> Result<(), usize> {
        let Some(action) = assignment::start(state, self.tenant, task, attempt) else { return Ok(()) };
        let bytes = action.encoded_len();
        if bytes > self.max_message {
            return Err(bytes);
        }
        self.send(stream, action, state, now);
        Ok(())
    }

    /// Sends a worker the request to stop an attempt.
    pub(super) fn stop(&mut self, stream: StreamId, task: RunId, attempt: i32, state: &mut State, now: ClockReading) {
        if let Some(action) = assignment::stop(state, self.tenant, task, attempt) {
            self.send(stream, action, state, now);
        }
    }

    fn send(&mut self, stream: StreamId, action: AssignedAction, state: &mut State, now: ClockReading) {
        let Some(queue) = self.open.get(&stream).cloned() else { return requeue(&action, state, now) };
        let bytes = action.encoded_len();
        if let Err(QueueFull(action)) = queue.push(action, bytes) {
            self.close(stream, state, now);
            requeue(&action, state, now);
            queue.fail(Status::resource_exhausted("assignments were not read: listen again"));
        }
    }

    /// Closes a stream, and requeues its unsent assignments unless the worker has a newer stream.
    pub(super) fn close(&mut self, stream: StreamId, state: &mut State, now: ClockReading) {
        let queue = self.open.remove(&stream).filter(|_| !state.is_superseded(stream));
        state.close_stream(stream, now);
        for action in queue.iter().flat_map(|queue| queue.drain()) {
            requeue(&action, state, now);
        }
    }

    pub(super) fn close_all(&self) {
        self.open.values().for_each(|queue| queue.close());
    }
}

/// Requeues the attempt of an assignment that was not sent.
fn requeue(action: &AssignedAction, state: &mut State, now: ClockReading) {
    if action.action_type() == ActionType::StartStepRun
        && let Ok(id) = action.task_run_external_id.parse()
    {
        state.undelivered(id, action.retry_count, now);
    }
}
