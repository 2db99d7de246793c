//! Opens and closes streams: assignments for workers, results and events for clients.

use std::sync::Arc;

use super::{
    core::{Driver, Shared},
    send_queue::{QueueReader, SendQueue},
    subscriptions::{
        SubscriberId,
        events::{EventFilter, RunEvent},
        results::RunResult,
    },
};
use crate::{
    engine::state::{ClockReading, StreamId, WorkerError},
    hatchet::wire::{RunId, WorkerId, proto::AssignedAction},
};

/// Assignments.
impl Driver {
    /// Opens an assignment stream. With `is_heartbeat`, the stream replaces heartbeats while it is open.
    pub(crate) fn listen(
        self: &Arc<Self>,
        worker: WorkerId,
        is_heartbeat: bool,
    ) -> Result<QueueReader<AssignedAction>, WorkerError> {
        let (stream, queue) = self.lock().open_worker_stream(worker, is_heartbeat, self.now())?;
        self.apply(|_, _| ());
        let driver = self.clone();
        Ok(QueueReader::new(queue, move || driver.close_worker_stream(stream)))
    }

    fn close_worker_stream(&self, stream: StreamId) {
        let now = self.now();
        {
            let mut shared = self.lock();
            let Shared { streams, state, .. } = &mut *shared;
            streams.close(stream, state, now);
        }
        self.apply(|_, _| ());
    }
}

impl Shared {
    fn open_worker_stream(
        &mut self,
        worker: WorkerId,
        is_heartbeat: bool,
        now: ClockReading,
    ) -> Result<(StreamId, Arc<SendQueue<AssignedAction>>), WorkerError> {
        let slots = self.state.worker(worker).map_or(0, |w| w.slots.iter().map(|s| s.limit.max(0)).sum::<i64>());
        let queue = self.streams.new_queue(usize::try_from(slots).unwrap_or(usize::MAX));
        // Read before the stream opens, because opening it can create new assignments.
        let unacknowledged = self.state.unacknowledged(worker);
        let stream = self.state.open_stream(worker, is_heartbeat, now)?;
        self.update_pending();
        if self.is_closed {
            queue.close();
        }
        self.streams.insert(stream, queue.clone());
        for (task, attempt) in unacknowledged {
            // It was sent before, so it fits a message.
            let _ = self.streams.start(stream, task, attempt, &mut self.state, now);
        }
        Ok((stream, queue))
    }
}

/// Subscriptions.
impl Driver {
    /// Opens a stream of run results; [`request_result`](Self::request_result) requests them.
    pub(crate) fn subscribe_results(self: &Arc<Self>) -> (SubscriberId, QueueReader<Arc<RunResult>>) {
        let (id, queue) = {
            let mut shared = self.lock();
            let (id, queue) = shared.results.open();
            if shared.is_closed {
                queue.close();
            }
            (id, queue)
        };
        let driver = self.clone();
        (id, QueueReader::new(queue, move || driver.lock().results.close(id)))
    }

    /// Requests the result of a run on a stream of results.
    pub(crate) fn request_result(&self, subscriber: SubscriberId, run: RunId) {
        let mut shared = self.lock();
        let Shared { results, state, .. } = &mut *shared;
        results.request(subscriber, run, state);
    }

    /// Opens a stream of events; `None` if the run does not exist.
    pub(crate) fn subscribe_events(self: &Arc<Self>, filter: EventFilter) -> Option<QueueReader<RunEvent>> {
        let (id, queue) = {
            let mut shared = self.lock();
            let Shared { events, state, is_closed, .. } = &mut *shared;
            let filter = match filter {
                EventFilter::Run(run) => EventFilter::Run(state.run(run)?.0),
                filter @ EventFilter::Metadata(..) => filter,
            };
            let (id, queue) = events.open(filter, state);
            if *is_closed {
                queue.close();
            }
            (id, queue)
        };
        let driver = self.clone();
        Some(QueueReader::new(queue, move || driver.lock().events.close(id)))
    }
}
