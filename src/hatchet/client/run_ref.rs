//! A reference to a run.

use std::{fmt, marker::PhantomData};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Client, ClientError, RunError, RunEvents, StreamSelector, TRIGGER_KEY, runs::Recognition};
use crate::hatchet::wire::{RunId, RunStatus, TriggerId};

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
    /// The run's value of [`TRIGGER_KEY`], if known.
    trigger: Option<TriggerId>,
    /// The response to the trigger was lost, and the run was found in the engine's list.
    found: bool,
    recognition: Recognition,
    output: PhantomData<fn() -> O>,
}

impl<O> RunRef<O> {
    /// A run that this client has just triggered.
    pub(super) fn triggered(client: Client, id: RunId) -> Self {
        Self { recognition: Recognition::triggered(), ..Self::given(client, id) }
    }

    /// A run that this client has just triggered, whose response was lost, and that was found in the engine's list.
    pub(super) fn found(client: Client, id: RunId) -> Self {
        Self { found: true, ..Self::triggered(client, id) }
    }

    /// A run whose id was given.
    pub(super) fn given(client: Client, id: RunId) -> Self {
        let recognition = Recognition::given();
        Self { client, id, trigger: None, found: false, recognition, output: PhantomData }
    }

    /// The same run without its output type.
    pub(super) fn untyped(self) -> RunRef {
        let Self { client, id, trigger, found, recognition, output: _ } = self;
        RunRef { client, id, trigger, found, recognition, output: PhantomData }
    }

    /// The same run with its output type and trigger id.
    pub(super) fn typed<P>(self, trigger: TriggerId) -> RunRef<P> {
        let Self { client, id, trigger: _, found, recognition, output: _ } = self;
        RunRef { client, id, trigger: Some(trigger), found, recognition, output: PhantomData }
    }

    pub(super) fn recognition(&self) -> &Recognition {
        &self.recognition
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The client to which the run belongs.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the response to the run's trigger was lost, and the run was found by its [`TRIGGER_KEY`].
    pub fn was_found(&self) -> bool {
        self.found
    }

    /// The run's current status.
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
    /// Never fails. [`RunEvents::next`] returns the error that ended the subscription, such as a refused token.
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
    /// A reference to a run by its id, with the output type that the caller expects. If the engine does not know the id,
    /// [`RunRef::status`], [`RunRef::details`], [`RunRef::outcome`] and [`RunRef::result`] fail after 2 s.
    pub fn run_ref<O>(&self, id: RunId) -> RunRef<O> {
        RunRef::given(self.clone(), id)
    }
}

impl<O> Clone for RunRef<O> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            id: self.id,
            trigger: self.trigger,
            found: self.found,
            recognition: self.recognition.clone(),
            output: PhantomData,
        }
    }
}

impl<O> fmt::Debug for RunRef<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunRef({})", self.id)
    }
}
