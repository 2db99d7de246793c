//! Subscriptions to the events of runs: `SubscribeToWorkflowEvents`.
//!
//! A stream follows one run, or all runs whose metadata has a given pair. It starts with the next event. The stream of
//! a run that has already finished consists of the run's last events.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tonic::Status;

use super::{MAX_SUBSCRIPTION_BYTES, MAX_SUBSCRIPTION_MESSAGES, SubscriberId, remove_subscriber};
use crate::{
    engine::{
        driver::send_queue::{SendQueue, SendQueues},
        state::{Phase, Run, State, TaskEvent, Timestamp, metadata},
    },
    hatchet::wire::{RunId, RunStatus},
};

/// Estimated bytes of an event in addition to its text.
const EVENT_BYTES: usize = 200;

/// An event of a run, as its subscribers receive it.
#[derive(Debug, Clone)]
pub(crate) struct RunEvent {
    pub(crate) run: RunId,
    pub(crate) at: Timestamp,
    pub(crate) kind: RunEventKind,
    /// Whether the stream ends with this event.
    pub(crate) hangup: bool,
}

/// The kind of an event: of a task, or of the whole run.
#[derive(Debug, Clone)]
pub(crate) enum RunEventKind {
    Task { task: RunId, attempt: i32, event: TaskEvent },
    Finished(RunStatus),
}

impl RunEvent {
    pub(crate) fn task(run: RunId, task: RunId, attempt: i32, event: TaskEvent, at: Timestamp) -> Self {
        Self { run, at, kind: RunEventKind::Task { task, attempt, event }, hangup: false }
    }

    pub(crate) fn finished(run: RunId, status: RunStatus, at: Timestamp) -> Self {
        Self { run, at, kind: RunEventKind::Finished(status), hangup: false }
    }

    fn bytes(&self) -> usize {
        let text = match &self.kind {
            RunEventKind::Task { event, .. } => match event {
                TaskEvent::Chunk { text, .. } | TaskEvent::Completed(text) | TaskEvent::Failed(text) => text.len(),
                TaskEvent::Created | TaskEvent::Cancelled => 0,
            },
            RunEventKind::Finished(_) => 0,
        };
        EVENT_BYTES + text
    }
}

/// The runs whose events a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EventFilter {
    Run(RunId),
    /// All runs whose metadata has this key and value.
    Metadata(String, String),
}

struct Subscriber {
    queue: Arc<SendQueue<RunEvent>>,
    filter: EventFilter,
    /// For a filter by metadata: the runs that had an event and have not completed since.
    open_runs: HashSet<RunId>,
}

impl Subscriber {
    /// Whether the stream ends with this event. The stream of a run ends when the run finishes. As in a real engine,
    /// the stream of a filter by metadata ends when all runs that had an event have completed, since a failed or
    /// cancelled run may be replayed.
    fn ends_with(&mut self, event: &RunEvent) -> bool {
        match (&self.filter, &event.kind) {
            (EventFilter::Run(_), RunEventKind::Task { .. }) => false,
            (EventFilter::Run(_), RunEventKind::Finished(_)) => true,
            (EventFilter::Metadata(..), RunEventKind::Finished(RunStatus::Completed)) => {
                self.open_runs.remove(&event.run);
                self.open_runs.is_empty()
            }
            (EventFilter::Metadata(..), RunEventKind::Task { .. } | RunEventKind::Finished(_)) => {
                self.open_runs.insert(event.run);
                false
            }
        }
    }
}

/// All subscribers to events, indexed by their filters.
///
/// `open_runs` of a subscriber is bounded by the number of runs in the state: when the state removes a run, the run is
/// removed from `open_runs`, too.
pub(crate) struct EventSubscriptions {
    queues: Arc<SendQueues>,
    last_id: SubscriberId,
    subscribers: HashMap<SubscriberId, Subscriber>,
    by_run: HashMap<RunId, Vec<SubscriberId>>,
    by_pair: HashMap<String, HashMap<String, Vec<SubscriberId>>>,
}

impl EventSubscriptions {
    pub(crate) fn new(queues: &Arc<SendQueues>) -> Self {
        Self {
            queues: queues.clone(),
            last_id: 0,
            subscribers: HashMap::new(),
            by_run: HashMap::new(),
            by_pair: HashMap::new(),
        }
    }

    /// Opens a stream of events.
    pub(crate) fn open(&mut self, filter: EventFilter, state: &State) -> (SubscriberId, Arc<SendQueue<RunEvent>>) {
        self.last_id += 1;
        let id = self.last_id;
        let queue = self.queues.open(MAX_SUBSCRIPTION_MESSAGES, MAX_SUBSCRIPTION_BYTES);
        if let EventFilter::Run(run) = &filter
            && let Some((run_id, run)) = state.run(*run).filter(|(_, run)| run.finished.is_some())
        {
            for event in last_events(run_id, run, state) {
                let bytes = event.bytes();
                // An empty queue has room for the few events of a finished run.
                let _ = queue.push(event, bytes);
            }
            queue.close();
            return (id, queue);
        }
        match &filter {
            EventFilter::Run(run) => self.by_run.entry(*run).or_default().push(id),
            EventFilter::Metadata(key, value) => {
                self.by_pair.entry(key.clone()).or_default().entry(value.clone()).or_default().push(id);
            }
        }
        self.subscribers.insert(id, Subscriber { queue: queue.clone(), filter, open_runs: HashSet::new() });
        (id, queue)
    }

    /// Sends an event to all subscribers whose filter matches its run.
    pub(crate) fn publish(&mut self, event: &RunEvent, state: &State) {
        if self.subscribers.is_empty() {
            return;
        }
        for id in self.matching(event.run, state) {
            let Some(subscriber) = self.subscribers.get_mut(&id) else { continue };
            let hangup = subscriber.ends_with(event);
            if subscriber.queue.push(RunEvent { hangup, ..event.clone() }, event.bytes()).is_err() {
                let status = Status::resource_exhausted("events were not read fast enough: subscribe again");
                subscriber.queue.fail(status);
                self.close(id);
            } else if hangup {
                subscriber.queue.close();
                self.close(id);
            }
        }
    }

    fn matching(&self, run: RunId, state: &State) -> Vec<SubscriberId> {
        let mut ids = self.by_run.get(&run).cloned().unwrap_or_default();
        if !self.by_pair.is_empty()
            && let Some((_, run)) = state.run(run)
        {
            for (key, value) in metadata::pairs(&run.metadata) {
                ids.extend(self.by_pair.get(&key).and_then(|values| values.get(&value)).into_iter().flatten());
            }
        }
        ids
    }

    /// Drops a run that the state has removed. It can no longer be replayed, so no stream waits for its completion.
    pub(crate) fn run_removed(&mut self, run: RunId) {
        for subscriber in self.subscribers.values_mut() {
            subscriber.open_runs.remove(&run);
        }
    }

    pub(crate) fn close(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.remove(&id) else { return };
        match subscriber.filter {
            EventFilter::Run(run) => remove_subscriber(&mut self.by_run, &run, id),
            EventFilter::Metadata(key, value) => {
                if let Some(values) = self.by_pair.get_mut(&key) {
                    remove_subscriber(values, &value, id);
                    if values.is_empty() {
                        self.by_pair.remove(&key);
                    }
                }
            }
        }
    }

    /// Ends all streams after their queued messages.
    pub(crate) fn close_streams(&self) {
        self.subscribers.values().for_each(|subscriber| subscriber.queue.close());
    }

    /// Number of runs whose completion the streams by metadata wait for.
    #[cfg(test)]
    pub(crate) fn open_runs(&self) -> usize {
        self.subscribers.values().map(|subscriber| subscriber.open_runs.len()).sum()
    }
}

/// The events that report a finished run: the last event of each task, and the end of the run.
fn last_events(run_id: RunId, run: &Run, state: &State) -> Vec<RunEvent> {
    let time = run.finished.map_or(run.created, |finish| finish.at);
    let last_event = |id: &RunId| {
        let task = state.task(*id)?;
        let event = match &task.phase {
            Phase::Completed(output) => TaskEvent::Completed(output.clone()),
            Phase::Failed(error) => TaskEvent::Failed(error.clone()),
            Phase::Cancelled(_) => TaskEvent::Cancelled,
            Phase::Waiting(_) | Phase::Unadmitted | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) => {
                return None;
            }
        };
        Some(RunEvent::task(run_id, *id, task.attempt, event, time))
    };
    let end = RunEvent { hangup: true, ..RunEvent::finished(run_id, state.status(run), time) };
    run.tasks.iter().filter_map(last_event).chain([end]).collect()
}
