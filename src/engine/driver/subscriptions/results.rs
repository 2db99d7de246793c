//! Subscriptions to the results of runs: `SubscribeToWorkflowRuns`.
//!
//! A client opens one stream and requests the results of many runs on it. Each request receives one result, when its
//! run has finished.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tonic::Status;

use super::{MAX_SUBSCRIPTION_BYTES, MAX_SUBSCRIPTION_MESSAGES, SubscriberId, remove_subscriber};
use crate::{
    engine::{
        driver::send_queue::{SendQueue, SendQueues},
        state::{Phase, Run, State, Timestamp},
    },
    hatchet::wire::RunId,
};

/// Estimated bytes of a result in addition to its texts.
const RESULT_BYTES: usize = 200;

/// The result of a finished run.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) run: RunId,
    pub(crate) at: Timestamp,
    pub(crate) tasks: Vec<TaskResult>,
}

/// The result of a finished task.
#[derive(Debug)]
pub(crate) struct TaskResult {
    pub(crate) task: RunId,
    pub(crate) name: Arc<str>,
    /// The output or the error.
    pub(crate) outcome: Result<Arc<str>, Arc<str>>,
}

impl RunResult {
    fn of(state: &State, id: RunId, run: &Run) -> Self {
        let task_result = |task: &RunId| {
            let outcome = match &state.task(*task)?.phase {
                Phase::Completed(output) => Ok(output.clone()),
                Phase::Failed(error) => Err(error.clone()),
                Phase::Cancelled(_) => Err("".into()),
                Phase::Waiting(_) | Phase::Unadmitted | Phase::Queued(_) | Phase::BackOff => return None,
                Phase::Running(_) => return None,
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
}

struct Subscriber {
    queue: Arc<SendQueue<Arc<RunResult>>>,
    /// Unfinished runs whose results were requested.
    requested: HashSet<RunId>,
}

/// All subscribers to results.
///
/// Invariant: `by_run` lists a subscriber under exactly the runs in its `requested` set.
pub(crate) struct ResultSubscriptions {
    queues: Arc<SendQueues>,
    last_id: SubscriberId,
    subscribers: HashMap<SubscriberId, Subscriber>,
    by_run: HashMap<RunId, Vec<SubscriberId>>,
}

impl ResultSubscriptions {
    pub(crate) fn new(queues: &Arc<SendQueues>) -> Self {
        Self { queues: queues.clone(), last_id: 0, subscribers: HashMap::new(), by_run: HashMap::new() }
    }

    /// Opens a stream of results.
    pub(crate) fn open(&mut self) -> (SubscriberId, Arc<SendQueue<Arc<RunResult>>>) {
        self.last_id += 1;
        let queue = self.queues.open(MAX_SUBSCRIPTION_MESSAGES, MAX_SUBSCRIPTION_BYTES);
        self.subscribers.insert(self.last_id, Subscriber { queue: queue.clone(), requested: HashSet::new() });
        (self.last_id, queue)
    }

    /// Requests a run's result, and sends it immediately if the run has finished. As in a real engine, a request for an
    /// unknown run is ignored: a run is created before its trigger returns, so an unknown run will never exist.
    pub(crate) fn request(&mut self, id: SubscriberId, run_id: RunId, state: &State) {
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
    pub(crate) fn run_finished(&mut self, run_id: RunId, state: &State) {
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
            subscriber.queue.fail(Status::resource_exhausted("results were not read fast enough: subscribe again"));
            self.close(id);
        }
    }

    pub(crate) fn close(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.remove(&id) else { return };
        for run in subscriber.requested {
            remove_subscriber(&mut self.by_run, &run, id);
        }
    }

    /// Ends all streams after their queued messages.
    pub(crate) fn close_streams(&self) {
        self.subscribers.values().for_each(|subscriber| subscriber.queue.close());
    }
}
