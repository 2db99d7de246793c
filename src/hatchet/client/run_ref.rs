//! A reference to a run.

use std::{
    fmt,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Client, ClientError, ErrorKind, RunError, RunEvents, StreamSelector, TRIGGER_KEY};
use crate::hatchet::wire::{RunId, RunStatus, TriggerId};

/// Time for which an unknown run is asked for again if this client triggered it. A busy real engine was seen to need 1 s
/// until it knew a run that it had accepted.
const TRIGGERED_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for an id that the caller gave, who waits for the answer that it is wrong.
const GIVEN_TIMEOUT: Duration = Duration::from_secs(2);

/// A reference to a run with output type `O`: its id, and the client to ask about it. Cheap to clone.
///
/// [`Client::run_no_wait`] returns one; [`Client::run_ref`] makes one from an id.
///
/// ```no_run
/// use hatchet_quickstart::{prelude::*, tasks::sync_sleep};
///
/// # async fn example(client: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let run = client.run_no_wait(&sync_sleep::STUB, &sync_sleep::Input { seconds: 60.0 }).await?;
/// println!("run {} is {}", run.id(), run.status().await?);
/// run.cancel().await?;
/// assert!(matches!(run.result().await, Err(RunError::Cancelled { .. })));
/// # Ok(())
/// # }
/// ```
pub struct RunRef<O = Value> {
    client: Client,
    id: RunId,
    /// This client triggered the run.
    triggered: bool,
    /// The run's value of [`TRIGGER_KEY`], if known.
    trigger: Option<TriggerId>,
    /// The answer to the trigger was lost, and the run was found in the engine's list.
    found: bool,
    /// The engine has shown that it knows the run, to this reference or a clone.
    seen: Arc<AtomicBool>,
    output: PhantomData<fn() -> O>,
}

impl<O> RunRef<O> {
    /// A run that this client has just triggered.
    pub(super) fn triggered(client: Client, id: RunId) -> Self {
        Self { triggered: true, ..Self::given(client, id) }
    }

    /// A run that this client has just triggered without an answer, and found in the engine's list.
    pub(super) fn found(client: Client, id: RunId) -> Self {
        Self { found: true, ..Self::triggered(client, id) }
    }

    /// A run whose id was given.
    pub(super) fn given(client: Client, id: RunId) -> Self {
        Self { client, id, triggered: false, trigger: None, found: false, seen: Arc::default(), output: PhantomData }
    }

    /// The same run without its output type.
    pub(super) fn untyped(self) -> RunRef {
        let Self { client, id, triggered, trigger, found, seen, output: _ } = self;
        RunRef { client, id, triggered, trigger, found, seen, output: PhantomData }
    }

    /// The same run with its output type and trigger id.
    pub(super) fn typed<P>(self, trigger: TriggerId) -> RunRef<P> {
        let Self { client, id, triggered, trigger: _, found, seen, output: _ } = self;
        RunRef { client, id, triggered, trigger: Some(trigger), found, seen, output: PhantomData }
    }

    /// Time for which the engine may not know the run, before the run counts as unknown.
    pub(super) fn unknown_timeout(&self) -> Duration {
        if self.triggered || self.was_seen() { TRIGGERED_TIMEOUT } else { GIVEN_TIMEOUT }
    }

    /// Records that the engine knows the run.
    pub(super) fn saw(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// Whether the engine has ever shown that it knows the run.
    pub(super) fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// The error of a run that the engine does not know.
    pub(super) fn unknown(&self) -> ClientError {
        let id = self.id;
        if self.was_seen() {
            return ClientError::new(
                ErrorKind::RunLost,
                format!(
                    "the engine no longer knows run {id}, which it knew before: it was restarted without its data, or \
                     has dropped the run since: start it again if its work is still wanted"
                ),
            );
        }
        let remedy = if self.triggered {
            "no workflow has the name that it was triggered by: start a worker that registers it"
        } else {
            "check the id, and that the run is one of this engine"
        };
        let timeout = self.unknown_timeout();
        let message = format!("run {id} is not known to the engine, which was asked for {timeout:?}: {remedy}");
        ClientError::new(ErrorKind::NotFound, message)
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The client to which the run belongs.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the answer to the run's trigger was lost, and the run was found by its [`TRIGGER_KEY`].
    pub fn was_found(&self) -> bool {
        self.found
    }

    /// The run's present status.
    ///
    /// # Errors
    ///
    /// Those of [`RunRef::details`].
    pub async fn status(&self) -> Result<RunStatus, ClientError> {
        Ok(self.details().await?.status)
    }

    /// Subscribes to the run's events from now on: chunks, failed attempts, the end. To miss no event, subscribe before
    /// the trigger with [`RunNoWait::with_events`](super::RunNoWait::with_events).
    ///
    /// A subscription to a run that this client did not trigger may start up to 1 s late on a real engine, and ends after
    /// the first failed attempt there.
    ///
    /// # Errors
    ///
    /// The returned [`RunEvents`] reports what ends it.
    pub async fn events(&self) -> Result<RunEvents, ClientError> {
        let selector = match self.trigger {
            // A subscription by metadata survives failed attempts.
            Some(trigger) => StreamSelector::Metadata { key: TRIGGER_KEY.to_owned(), value: trigger.to_string() },
            None => StreamSelector::Run(self.id),
        };
        self.client.events(selector).await
    }
}

impl<O: DeserializeOwned> RunRef<O> {
    /// Waits until the run has finished, and returns its output.
    ///
    /// # Errors
    ///
    /// [`RunError::Failed`], [`RunError::Cancelled`] or [`RunError::Output`] by the outcome of the run, and
    /// [`RunError::Call`] with the errors of [`RunRef::outcome`].
    pub async fn result(&self) -> Result<O, RunError> {
        self.outcome().await?.output()
    }
}

impl Client {
    /// A reference to a run by its id, with the output type that the caller expects. An id that the engine does not know
    /// is refused after 2 s, by the first method that asks the engine.
    pub fn run_ref<O>(&self, id: RunId) -> RunRef<O> {
        RunRef::given(self.clone(), id)
    }
}

impl<O> Clone for RunRef<O> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            id: self.id,
            triggered: self.triggered,
            trigger: self.trigger,
            found: self.found,
            seen: self.seen.clone(),
            output: PhantomData,
        }
    }
}

impl<O> fmt::Debug for RunRef<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunRef({})", self.id)
    }
}
