//! A reference to a run: its status, details, outcome, result and events, and its replay.

use std::{fmt, marker::PhantomData, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::hatchet::{
    client::{
        Client, ClientError, ErrorKind, RunDetails, RunError, RunEvents, RunOutcome, StreamSelector,
        watcher::{LIST_AFTER, List, RunEvidence, fetch, listed},
    },
    transport::{Backoff, retry, when_temporary},
    wire::{RunId, RunStatus, TriggerId},
};

/// Bounds of the delay before a new run is requested again that the engine has not found.
const MIN_RETRY_DELAY: Duration = Duration::from_millis(100);
const MAX_RETRY_DELAY: Duration = Duration::from_millis(500);

/// A reference to a run with output type `O`: the run's id and its client. Cheap to clone.
///
/// Returned by [`Client::run_no_wait`] for a new run, and by [`Client::run_ref`] for the id of an earlier run.
///
/// ```no_run
/// use hatchet_quickstart::prelude::*;
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Input { seconds: f64 }
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # struct Output { slept_seconds: f64 }
/// # const STUB: Stub<Input, Output> = Stub::new("sync-sleep-task");
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let run = client.run_no_wait(&STUB, &Input { seconds: 60.0 }).await?;
/// println!("run {} is {}", run.id(), run.status().await?);
/// run.cancel().await?;
/// assert!(matches!(run.result().await, Err(RunError::Cancelled { .. })));
/// # Ok(())
/// # }
/// ```
pub struct RunRef<O = Value> {
    client: Client,
    id: RunId,
    /// The run's value of [`TRIGGER_KEY`](crate::hatchet::client::TRIGGER_KEY), if known.
    trigger: Option<TriggerId>,
    recovered: bool,
    evidence: RunEvidence,
    /// The task of a workflow whose output is the output of the run.
    output_task: Option<&'static str>,
    output: PhantomData<fn() -> O>,
}

impl<O> RunRef<O> {
    /// A run that this client has just triggered.
    pub(in crate::hatchet::client) fn triggered(client: Client, id: RunId) -> Self {
        Self { evidence: RunEvidence::triggered(), ..Self::given(client, id) }
    }

    /// A run that this client has just triggered, whose response was lost, and that was found in the engine's list.
    pub(in crate::hatchet::client) fn recovered(client: Client, id: RunId) -> Self {
        Self { recovered: true, ..Self::triggered(client, id) }
    }

    /// A run whose id was given.
    pub(super) fn given(client: Client, id: RunId) -> Self {
        let evidence = RunEvidence::given();
        Self { client, id, trigger: None, recovered: false, evidence, output_task: None, output: PhantomData }
    }

    /// Drops the output type.
    pub(super) fn untyped(self) -> RunRef {
        self.with_output()
    }

    /// Adds the output type, the task of a workflow that has the output, and the trigger id.
    pub(in crate::hatchet::client) fn typed<P>(
        self,
        trigger: TriggerId,
        output_task: Option<&'static str>,
    ) -> RunRef<P> {
        RunRef { trigger: Some(trigger), output_task, ..self.with_output() }
    }

    /// Sets the task of a workflow that has the output.
    pub(in crate::hatchet::client) fn with_output_task(self, output_task: Option<&'static str>) -> Self {
        Self { output_task, ..self }
    }

    fn with_output<P>(self) -> RunRef<P> {
        let Self { client, id, trigger, recovered, evidence, output_task, output: _ } = self;
        RunRef { client, id, trigger, recovered, evidence, output_task, output: PhantomData }
    }

    pub(super) fn evidence(&self) -> &RunEvidence {
        &self.evidence
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The client to which the run belongs.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the response to the run's trigger was lost, and the run was found by its
    /// [`TRIGGER_KEY`](crate::hatchet::client::TRIGGER_KEY).
    pub fn was_recovered(&self) -> bool {
        self.recovered
    }

    /// Returns the run's current status.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RunRef::details`].
    pub async fn status(&self) -> Result<RunStatus, ClientError> {
        Ok(self.details().await?.status)
    }

    /// Returns the run's current state. Retries temporary failures.
    ///
    /// A run of a workflow whose first tasks all wait for conditions has no tasks yet. A real engine then returns it
    /// only over the REST API, which is queried 2 s after the first attempt.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if the engine has not found the run for 10 s; for 2 s with an id from
    /// [`Client::run_ref`]; immediately if it has found the run before. Otherwise the error of the last attempt.
    pub async fn details(&self) -> Result<RunDetails, ClientError> {
        let started = Instant::now();
        let mut backoff = Backoff::new(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
        loop {
            let not_found = match retry(when_temporary, || self.details_once()).await {
                Err(error) if error.kind() == ErrorKind::NotFound => error,
                result => return result,
            };
            let mut list_error = None;
            if started.elapsed() >= LIST_AFTER || self.evidence.was_seen() {
                match self.listed().await {
                    Ok(Some(details)) => return Ok(details),
                    Ok(None) => {}
                    Err(error) => list_error = Some(error),
                }
            }
            if self.evidence.was_seen() {
                return Err(not_found);
            }
            let list = list_error.as_ref().map_or(List::Missing, List::Failed);
            if let Some(error) = self.evidence.not_found_error(self.id, started.elapsed(), list) {
                return Err(error);
            }
            sleep(backoff.next_delay()).await;
        }
    }

    /// Returns the run from the list of the REST API; `None` if it is not listed, or without a REST API.
    async fn listed(&self) -> Result<Option<RunDetails>, ClientError> {
        let Some(rest) = self.client.rest() else { return Ok(None) };
        let details = listed(rest, self.id).await?;
        if details.is_some() {
            self.evidence.mark_listed();
        }
        Ok(details)
    }

    /// Makes one attempt of [`RunRef::details`].
    pub(in crate::hatchet) async fn details_once(&self) -> Result<RunDetails, ClientError> {
        let details = fetch(self.client.connection(), self.id).await?;
        self.evidence.mark_found();
        Ok(details)
    }

    /// Waits until the run has finished, and returns its outcome.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::NotFound`] if the engine has neither found nor listed the run for 10 s (30 s if the list of the
    ///   REST API cannot be read); for 2 s with an id from [`Client::run_ref`]. A run whose first tasks all wait for
    ///   conditions is listed by a real engine and not found; without the address of the REST API, a wait for it fails.
    /// - [`ErrorKind::RunLost`] if the engine has found or listed the run before, but no longer for 10 s (5 minutes if
    ///   the list cannot be read, and the run was only listed before).
    /// - [`ErrorKind::Unreachable`], or the engine's own error, after 5 minutes without a useful response. A request of
    ///   the engine to slow down counts as a useful response.
    /// - [`ErrorKind::Unauthenticated`] as soon as the engine refuses the token.
    pub async fn outcome(&self) -> Result<RunOutcome, ClientError> {
        self.client.watcher().outcome(self.id, self.evidence.clone()).await
    }

    /// Subscribes to the run's events from now on: chunks, failed attempts, the end. To miss no event, subscribe before
    /// the trigger with [`RunNoWait::with_events`](crate::hatchet::client::RunNoWait::with_events).
    ///
    /// A subscription to a run that this client did not trigger may start up to 1 s late on a real engine, and ends
    /// after the first failed attempt there. [`RunEvents::next`] returns the error of a subscription that the engine
    /// refuses.
    pub async fn events(&self) -> RunEvents {
        // A subscription by metadata survives failed attempts.
        self.client.events(self.trigger.map_or(StreamSelector::Run(self.id), StreamSelector::trigger)).await
    }

    /// Requests that the engine runs the finished run again, under the same id. Does not change a run that has not
    /// finished. Returns `false` if the engine has no such run.
    ///
    /// # Errors
    ///
    /// Returns the error of the call, which is not repeated: see [`ClientError::kind`].
    pub async fn replay(&self) -> Result<bool, ClientError> {
        Ok(!self.client.replay_many(&[self.id]).await?.is_empty())
    }
}

impl<O: DeserializeOwned> RunRef<O> {
    /// Waits until the run has finished, and returns its output. The output of a workflow is the output of the task of
    /// [`Stub::output_of`](crate::hatchet::task::Stub::output_of), or an object of all outputs by task name.
    ///
    /// # Errors
    ///
    /// [`RunError::Failed`], [`RunError::Cancelled`] or [`RunError::Output`] by the outcome of the run, and
    /// [`RunError::Call`] with the errors of [`RunRef::outcome`].
    pub async fn result(&self) -> Result<O, RunError> {
        let outcome = self.outcome().await?;
        match self.output_task {
            Some(task) => outcome.output_of(task),
            None => outcome.output(),
        }
    }
}

impl Client {
    /// Returns a reference to a run by its id, with the output type that the caller expects. Sends nothing. If the
    /// engine has no such run, [`RunRef::status`], [`RunRef::details`], [`RunRef::outcome`] and [`RunRef::result`] fail
    /// after 2 s.
    pub fn run_ref<O>(&self, id: RunId) -> RunRef<O> {
        RunRef::given(self.clone(), id)
    }

    /// Returns a reference to a run that this client has just triggered.
    pub(in crate::hatchet) fn triggered_run<O>(&self, id: RunId) -> RunRef<O> {
        RunRef::triggered(self.clone(), id)
    }
}

impl<O> Clone for RunRef<O> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), evidence: self.evidence.clone(), ..*self }
    }
}

impl<O> fmt::Debug for RunRef<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunRef({})", self.id)
    }
}
