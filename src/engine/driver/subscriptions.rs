//! Those who wait for the end of runs, and those who watch them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use prost::Message;
use tonic::Status;

use crate::engine::{
    driver::send_queue::SendQueue,
    persistence::barrier::CommitBarrier,
    state::triggers::metadata,
    state::{
        State, TaskEvent, Timestamp,
        model::{Phase, Run},
    },
};
use crate::hatchet::wire::{RunId, RunStatus, proto};

/// Unread answers or events of one stream, after which it is ended: the client comes back and asks again.
const MAX_UNREAD: usize = 65_536;

/// The same in bytes.
const MAX_UNREAD_BYTES: usize = 64 << 20;

/// Bytes of an error that is sent where all results together are too large.
const MAX_ERROR: usize = 1024;

/// In place of a larger one.
const TOO_LARGE: &str = "Error is too large to send over the Hatchet stream.";

/// One stream of either kind.
pub(crate) type SubscriberId = u64;

/// The end of a run, as SubscribeToWorkflowRuns tells it.
#[derive(Debug)]
pub(crate) struct RunResult {
    run: RunId,
    at: Timestamp,
    results: Vec<Outcome>,
}

#[derive(Debug)]
struct Outcome {
    task: RunId,
    name: Arc<str>,
    /// Output, or else error.
    text: Result<Arc<str>, Arc<str>>,
}

impl RunResult {
    fn of(state: &State, id: RunId, run: &Run) -> Self {
        let outcome = |task: &RunId| {
            let phase = &state.task(*task)?.phase;
            let text = match phase {
                Phase::Completed(output) => Ok(output.clone()),
                Phase::Failed(error) => Err(error.clone()),
                Phase::Cancelled(_) => Err("".into()),
                Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) => return None,
            };
            Some(Outcome { task: *task, name: state.spec(*task)?.name.clone(), text })
        };
        let at = run.finished.map_or(run.created, |end| end.at);
        Self { run: id, at, results: run.tasks.iter().filter_map(outcome).collect() }
    }

    fn bytes(&self) -> usize {
        let text = |o: &Outcome| o.text.as_ref().map_or_else(|e| e.len(), |o| o.len());
        200 + self.results.iter().map(text).sum::<usize>()
    }

    /// As with a real engine, what makes it larger than a message is left out: large errors, else all results.
    pub(crate) fn message(&self, max: usize) -> proto::WorkflowRunEvent {
        let whole = self.message_with(usize::MAX);
        if self.results.len() == 1 || whole.encoded_len() <= max {
            return whole;
        }
        let mut less = self.message_with(MAX_ERROR);
        if less.encoded_len() > max {
            less.results.clear();
        }
        less
    }

    fn message_with(&self, max_error: usize) -> proto::WorkflowRunEvent {
        let shown = |error: &Arc<str>| if error.len() > max_error { TOO_LARGE.to_owned() } else { error.to_string() };
        let result = |outcome: &Outcome| {
            let id = outcome.task.to_string();
            proto::StepRunResult {
                task_run_external_id: id.clone(),
                task_name: outcome.name.to_string(),
                job_run_id: id,
                error: outcome.text.as_ref().err().map(shown),
                output: outcome.text.as_ref().ok().map(|o| o.to_string()),
            }
        };
        proto::WorkflowRunEvent {
            workflow_run_id: self.run.to_string(),
            event_type: proto::WorkflowRunEventType::Finished.into(),
            event_timestamp: Some(self.at.to_wire()),
            results: self.results.iter().map(result).collect(),
        }
    }
}

struct Waiter {
    mailbox: Arc<SendQueue<Arc<RunResult>>>,
    asked: HashSet<RunId>,
}

/// Those who wait for the end of runs. A run is forgotten when it has been answered.
pub(crate) struct Waiters {
    gate: Arc<CommitBarrier>,
    count: SubscriberId,
    open: HashMap<SubscriberId, Waiter>,
    by_run: HashMap<RunId, Vec<SubscriberId>>,
}

impl Waiters {
    pub(crate) fn new(gate: &Arc<CommitBarrier>) -> Self {
        Self { gate: gate.clone(), count: 0, open: HashMap::new(), by_run: HashMap::new() }
    }

    pub(crate) fn open(&mut self) -> (SubscriberId, Arc<SendQueue<Arc<RunResult>>>) {
        self.count += 1;
        let mailbox = SendQueue::new(&self.gate, MAX_UNREAD, MAX_UNREAD_BYTES);
        self.open.insert(self.count, Waiter { mailbox: mailbox.clone(), asked: HashSet::new() });
        (self.count, mailbox)
    }

    /// Answers at once if the run has ended. A run that is not known will never be, as runs are made before their
    /// trigger is answered; asking for it is met with silence, as with a real engine.
    pub(crate) fn ask(&mut self, id: SubscriberId, run_id: RunId, state: &State) {
        let Some((run_id, run)) = state.run(run_id) else { return };
        let Some(waiter) = self.open.get_mut(&id) else { return };
        if run.finished.is_some() {
            let answer = Arc::new(RunResult::of(state, run_id, run));
            self.send(id, &answer);
        } else if waiter.asked.insert(run_id) {
            self.by_run.entry(run_id).or_default().push(id);
        }
    }

    pub(crate) fn settled(&mut self, run_id: RunId, state: &State) {
        let Some(waiting) = self.by_run.remove(&run_id) else { return };
        let Some((_, run)) = state.run(run_id) else { return };
        let answer = Arc::new(RunResult::of(state, run_id, run));
        for id in waiting {
            if let Some(waiter) = self.open.get_mut(&id) {
                waiter.asked.remove(&run_id);
            }
            self.send(id, &answer);
        }
    }

    fn send(&mut self, id: SubscriberId, answer: &Arc<RunResult>) {
        let Some(waiter) = self.open.get(&id) else { return };
        if waiter.mailbox.put(answer.clone(), answer.bytes()).is_err() {
            waiter.mailbox.fail(Status::resource_exhausted("answers were not read fast enough: subscribe again"));
            self.close(id);
        }
    }

    pub(crate) fn close(&mut self, id: SubscriberId) {
        let Some(waiter) = self.open.remove(&id) else { return };
        for run in waiter.asked {
            drop_from(&mut self.by_run, &run, id);
        }
    }

    pub(crate) fn hang_up(&mut self) {
        for waiter in self.open.values() {
            waiter.mailbox.close();
        }
    }
}

/// Something that happened to a run, as SubscribeToWorkflowEvents tells it.
#[derive(Debug, Clone)]
pub(crate) struct RunEvent {
    run: RunId,
    task: RunId,
    attempt: i32,
    at: Timestamp,
    what: HistoryEventKind,
    /// Whether the stream ends with it.
    hangup: bool,
}

#[derive(Debug, Clone)]
enum HistoryEventKind {
    Step(TaskEvent),
    End(RunStatus),
}

impl RunEvent {
    fn bytes(&self) -> usize {
        200 + match &self.what {
            HistoryEventKind::Step(
                TaskEvent::Chunk { text, .. } | TaskEvent::Completed(text) | TaskEvent::Failed(text),
            ) => text.len(),
            HistoryEventKind::Step(TaskEvent::Created | TaskEvent::Cancelled) | HistoryEventKind::End(_) => 0,
        }
    }

    pub(crate) fn message(self) -> proto::WorkflowEvent {
        use proto::{ResourceEventType as Event, ResourceType as Resource};
        let (event, payload, index) = match &self.what {
            HistoryEventKind::Step(TaskEvent::Created) => (Event::Started, "", None),
            HistoryEventKind::Step(TaskEvent::Chunk { text, index }) => (Event::Stream, &**text, *index),
            HistoryEventKind::Step(TaskEvent::Completed(output)) => (Event::Completed, &**output, None),
            HistoryEventKind::Step(TaskEvent::Failed(error)) => (Event::Failed, &**error, None),
            HistoryEventKind::Step(TaskEvent::Cancelled) => (Event::Cancelled, "", None),
            HistoryEventKind::End(RunStatus::Completed) => (Event::Completed, "", None),
            HistoryEventKind::End(RunStatus::Failed) => (Event::Failed, "", None),
            HistoryEventKind::End(
                RunStatus::Cancelled
                | RunStatus::Queued
                | RunStatus::Running
                | RunStatus::Evicted
                | RunStatus::Unknown(_),
            ) => (Event::Cancelled, "", None),
        };
        let (resource, id, retry_count) = match self.what {
            HistoryEventKind::Step(_) => (Resource::StepRun, self.task, Some(self.attempt)),
            HistoryEventKind::End(_) => (Resource::WorkflowRun, self.run, None),
        };
        proto::WorkflowEvent {
            workflow_run_id: self.run.to_string(),
            resource_type: resource.into(),
            event_type: event.into(),
            resource_id: id.to_string(),
            event_timestamp: Some(self.at.to_wire()),
            event_payload: payload.to_owned(),
            hangup: self.hangup,
            task_retries: None,
            retry_count,
            event_index: index,
        }
    }
}

/// What a watcher watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EventFilter {
    Run(RunId),
    /// All runs whose metadata have this pair.
    Pair(String, String),
}

struct Watcher {
    mailbox: Arc<SendQueue<RunEvent>>,
    watched: EventFilter,
    /// Of a pair: the runs that were seen and have not completed since.
    going: HashSet<RunId>,
}

impl Watcher {
    /// Whether the stream ends with this. That of a run ends with the run. That of a pair ends, as with a real engine,
    /// when every run that it has seen has completed: one that failed or was cancelled may be replayed.
    fn ends_with(&mut self, happening: &RunEvent) -> bool {
        match (&self.watched, &happening.what) {
            (EventFilter::Run(_), HistoryEventKind::Step(_)) => false,
            (EventFilter::Run(_), HistoryEventKind::End(_)) => true,
            (EventFilter::Pair(..), HistoryEventKind::End(RunStatus::Completed)) => {
                self.going.remove(&happening.run);
                self.going.is_empty()
            }
            (EventFilter::Pair(..), HistoryEventKind::Step(_) | HistoryEventKind::End(_)) => {
                self.going.insert(happening.run);
                false
            }
        }
    }
}

/// Those who watch runs.
pub(crate) struct Watchers {
    gate: Arc<CommitBarrier>,
    count: SubscriberId,
    open: HashMap<SubscriberId, Watcher>,
    by_run: HashMap<RunId, Vec<SubscriberId>>,
    by_pair: HashMap<String, HashMap<String, Vec<SubscriberId>>>,
}

impl Watchers {
    pub(crate) fn new(gate: &Arc<CommitBarrier>) -> Self {
        let gate = gate.clone();
        Self { gate, count: 0, open: HashMap::new(), by_run: HashMap::new(), by_pair: HashMap::new() }
    }

    /// Watches from now on. A run that has ended already is told of at once, by its last events.
    pub(crate) fn open(&mut self, watched: EventFilter, state: &State) -> (SubscriberId, Arc<SendQueue<RunEvent>>) {
        self.count += 1;
        let id = self.count;
        let mailbox = SendQueue::new(&self.gate, MAX_UNREAD, MAX_UNREAD_BYTES);
        if let EventFilter::Run(run) = &watched
            && let Some((run_id, run)) = state.run(*run).filter(|(_, run)| run.finished.is_some())
        {
            for happening in last_of(run_id, run, state) {
                let bytes = happening.bytes();
                // A new mailbox has room for what a run leaves.
                let _ = mailbox.put(happening, bytes);
            }
            mailbox.close();
            return (id, mailbox);
        }
        match &watched {
            EventFilter::Run(run) => self.by_run.entry(*run).or_default().push(id),
            EventFilter::Pair(key, value) => {
                self.by_pair.entry(key.clone()).or_default().entry(value.clone()).or_default().push(id);
            }
        }
        self.open.insert(id, Watcher { mailbox: mailbox.clone(), watched, going: HashSet::new() });
        (id, mailbox)
    }

    /// Tells of something that happened to a task.
    pub(crate) fn step(
        &mut self,
        run: RunId,
        task: RunId,
        attempt: i32,
        what: TaskEvent,
        at: Timestamp,
        state: &State,
    ) {
        self.tell(RunEvent { run, task, attempt, at, what: HistoryEventKind::Step(what), hangup: false }, state);
    }

    /// Tells of the end of a run.
    pub(crate) fn ended(&mut self, run: RunId, status: RunStatus, at: Timestamp, state: &State) {
        self.tell(
            RunEvent { run, task: run, attempt: 0, at, what: HistoryEventKind::End(status), hangup: false },
            state,
        );
    }

    fn tell(&mut self, happening: RunEvent, state: &State) {
        if self.open.is_empty() {
            return;
        }
        let mut ids = self.by_run.get(&happening.run).cloned().unwrap_or_default();
        if !self.by_pair.is_empty()
            && let Some((_, run)) = state.run(happening.run)
        {
            for (key, value) in metadata::pairs(&run.metadata) {
                ids.extend(self.by_pair.get(&key).and_then(|values| values.get(&value)).into_iter().flatten());
            }
        }
        for id in ids {
            let Some(watcher) = self.open.get_mut(&id) else { continue };
            let hangup = watcher.ends_with(&happening);
            if watcher.mailbox.put(RunEvent { hangup, ..happening.clone() }, happening.bytes()).is_err() {
                watcher.mailbox.fail(Status::resource_exhausted("events were not read fast enough: subscribe again"));
                self.close(id);
            } else if hangup {
                watcher.mailbox.close();
                self.close(id);
            }
        }
    }

    pub(crate) fn close(&mut self, id: SubscriberId) {
        let Some(watcher) = self.open.remove(&id) else { return };
        match watcher.watched {
            EventFilter::Run(run) => drop_from(&mut self.by_run, &run, id),
            EventFilter::Pair(key, value) => {
                if let Some(values) = self.by_pair.get_mut(&key) {
                    drop_from(values, &value, id);
                    if values.is_empty() {
                        self.by_pair.remove(&key);
                    }
                }
            }
        }
    }

    pub(crate) fn hang_up(&mut self) {
        for watcher in self.open.values() {
            watcher.mailbox.close();
        }
    }
}

/// What a run that has ended leaves to tell: the last event of each task, and the end.
fn last_of(run_id: RunId, run: &Run, state: &State) -> Vec<RunEvent> {
    let at = run.finished.map_or(run.created, |end| end.at);
    let last = |task: &RunId| {
        let it = state.task(*task)?;
        let what = match &it.phase {
            Phase::Completed(output) => TaskEvent::Completed(output.clone()),
            Phase::Failed(error) => TaskEvent::Failed(error.clone()),
            Phase::Cancelled(_) => TaskEvent::Cancelled,
            Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) => return None,
        };
        Some(RunEvent {
            run: run_id,
            task: *task,
            attempt: it.attempt,
            at,
            what: HistoryEventKind::Step(what),
            hangup: false,
        })
    };
    let what = HistoryEventKind::End(state.status(run));
    let end = RunEvent { run: run_id, task: run_id, attempt: 0, at, what, hangup: true };
    run.tasks.iter().filter_map(last).chain([end]).collect()
}

fn drop_from<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<SubscriberId>>, key: &K, id: SubscriberId) {
    if let Some(ids) = map.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            map.remove(key);
        }
    }
}
