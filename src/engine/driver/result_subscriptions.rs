//! Subscriptions to the results of runs: `SubscribeToWorkflowRuns`.
//!
//! A client opens one stream and requests the results of many runs on it. Each request is answered once, when its run
//! has finished.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use prost::Message;
use tonic::Status;

use super::{
    send_queue::{SendQueue, SendQueues},
    subscribers::{MAX_SUBSCRIPTION_BYTES, MAX_SUBSCRIPTION_MESSAGES, SubscriberId, remove_subscriber},
};
use crate::{
    engine::state::{Phase, Run, State, Timestamp},
    hatchet::wire::{RunId, proto},
};

/// Bytes of an error in a message whose results are too large together. Our choice.
const MAX_ERROR_BYTES: usize = 1024;

/// Replaces an error that is too large; the text of a real engine.
const ERROR_TOO_LARGE: &str = "Error is too large to send over the Hatchet stream.";

/// Estimated bytes of a result besides its texts.
const RESULT_BYTES: usize = 200;

/// The result of a finished run.
#[derive(Debug)]
pub(crate) struct RunResult {
    run: RunId,
    at: Timestamp,
    tasks: Vec<TaskResult>,
}

#[derive(Debug)]
struct TaskResult {
    task: RunId,
    name: Arc<str>,
    /// The output or the error.
    outcome: Result<Arc<str>, Arc<str>>,
}

impl RunResult {
    fn of(state: &State, id: RunId, run: &Run) -> Self {
        let task_result = |task: &RunId| {
            let outcome = match &state.task(*task)?.phase {
                Phase::Completed(output) => Ok(output.clone()),
                Phase::Failed(error) => Err(error.clone()),
                Phase::Cancelled(_) => Err("".into()),
                Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) => return None,
            };
            Some(TaskResult { task: *task, name: state.spec(*task)?.definition.name.clone(), outcome })
        };
        let at = run.finished.map_or(run.created, |finish| finish.at);
        Self { run: id, at, tasks: run.tasks.iter().filter_map(task_result).collect() }
    }

    fn bytes(&self) -> usize {
        let text = |task: &TaskResult| task.outcome.as_ref().map_or_else(|error| error.len(), |output| output.len());
        RESULT_BYTES + self.tasks.iter().map(text).sum::<usize>()
    }

    /// The result as a message of at most `max` bytes. As in a real engine, large errors are replaced if it would be
    /// larger, and if that is not enough all results are left out.
    pub(crate) fn message(&self, max: usize) -> proto::WorkflowRunEvent {
        let whole = self.message_with(usize::MAX);
        if self.tasks.len() == 1 || whole.encoded_len() <= max {
            return whole;
        }
        let mut shortened = self.message_with(MAX_ERROR_BYTES);
        if shortened.encoded_len() > max {
            shortened.results.clear();
        }
        shortened
    }

    fn message_with(&self, max_error: usize) -> proto::WorkflowRunEvent {
        let error_text =
            |error: &Arc<str>| if error.len() > max_error { ERROR_TOO_LARGE.to_owned() } else { error.to_string() };
        let result = |task: &TaskResult| {
            let id = task.task.to_string();
            proto::StepRunResult {
                task_run_external_id: id.clone(),
                task_name: task.name.to_string(),
                job_run_id: id,
                error: task.outcome.as_ref().err().map(error_text),
                output: task.outcome.as_ref().ok().map(|output| output.to_string()),
            }
        };
        proto::WorkflowRunEvent {
            workflow_run_id: self.run.to_string(),
            event_type: proto::WorkflowRunEventType::Finished.into(),
            event_timestamp: Some(self.at.to_wire()),
            results: self.tasks.iter().map(result).collect(),
        }
    }
}

struct Subscriber {
    queue: Arc<SendQueue<Arc<RunResult>>>,
    /// Unfinished runs whose results were requested.
    requested: HashSet<RunId>,
}

/// All subscribers to results.
///
/// Invariant: `by_run` lists a subscriber under exactly the runs in its `requested` set.
pub(super) struct ResultSubscriptions {
    queues: Arc<SendQueues>,
    last_id: SubscriberId,
    subscribers: HashMap<SubscriberId, Subscriber>,
    by_run: HashMap<RunId, Vec<SubscriberId>>,
}

impl ResultSubscriptions {
    pub(super) fn new(queues: &Arc<SendQueues>) -> Self {
        Self { queues: queues.clone(), last_id: 0, subscribers: HashMap::new(), by_run: HashMap::new() }
    }

    /// Opens a stream of results.
    pub(super) fn open(&mut self) -> (SubscriberId, Arc<SendQueue<Arc<RunResult>>>) {
        self.last_id += 1;
        let queue = self.queues.open(MAX_SUBSCRIPTION_MESSAGES, MAX_SUBSCRIPTION_BYTES);
        self.subscribers.insert(self.last_id, Subscriber { queue: queue.clone(), requested: HashSet::new() });
        (self.last_id, queue)
    }

    /// Requests a run's result; sends it at once if the run has finished. A request for an unknown run is ignored, as in
    /// a real engine: runs are created before their trigger is answered, so the run will never exist.
    pub(super) fn request(&mut self, id: SubscriberId, run_id: RunId, state: &State) {
        let Some((run_id, run)) = state.run(run_id) else { return };
        let Some(subscriber) = self.subscribers.get_mut(&id) else { return };
        if run.finished.is_some() {
            let result = Arc::new(RunResult::of(state, run_id, run));
            self.send(id, &result);
        } else if subscriber.requested.insert(run_id) {
            self.by_run.entry(run_id).or_default().push(id);
        }
    }

    /// Sends the result of a run that has finished.
    pub(super) fn run_finished(&mut self, run_id: RunId, state: &State) {
        let Some(subscribers) = self.by_run.remove(&run_id) else { return };
        let Some((_, run)) = state.run(run_id) else { return };
        let result = Arc::new(RunResult::of(state, run_id, run));
        for id in subscribers {
            if let Some(subscriber) = self.subscribers.get_mut(&id) {
                subscriber.requested.remove(&run_id);
            }
            self.send(id, &result);
        }
    }

    fn send(&mut self, id: SubscriberId, result: &Arc<RunResult>) {
        let Some(subscriber) = self.subscribers.get(&id) else { return };
        if subscriber.queue.push(result.clone(), result.bytes()).is_err() {
            subscriber.queue.fail(Status::resource_exhausted("answers were not read fast enough: subscribe again"));
            self.close(id);
        }
    }

    pub(super) fn close(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.remove(&id) else { return };
        for run in subscriber.requested {
            remove_subscriber(&mut self.by_run, &run, id);
        }
    }

    /// Ends all streams after their queued messages.
    pub(super) fn close_streams(&self) {
        self.subscribers.values().for_each(|subscriber| subscriber.queue.close());
    }
}
