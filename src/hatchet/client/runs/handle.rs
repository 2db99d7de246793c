//! Handles on runs.

use std::fmt;

use super::recognition::Recognition;
use crate::hatchet::{
    client::{Client, ClientError, RunOutcome},
    wire::RunId,
};

/// A run, triggered by this client or named by its id. Cheap to clone.
#[derive(Clone)]
pub struct RunHandle {
    client: Client,
    id: RunId,
    /// The answer to the trigger was lost, and the run was found in the engine's list.
    found: bool,
    recognition: Recognition,
}

impl RunHandle {
    /// A run that this client has just triggered.
    pub(in crate::hatchet::client) fn triggered(client: Client, id: RunId) -> Self {
        Self { client, id, found: false, recognition: Recognition::triggered() }
    }

    /// A run that this client has just triggered, whose answer was lost, and that was found in the engine's list.
    pub(in crate::hatchet::client) fn found(client: Client, id: RunId) -> Self {
        Self { found: true, ..Self::triggered(client, id) }
    }

    /// A run whose id was given by the caller.
    pub(in crate::hatchet::client) fn given(client: Client, id: RunId) -> Self {
        Self { client, id, found: false, recognition: Recognition::given() }
    }

    pub(super) fn recognition(&self) -> &Recognition {
        &self.recognition
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Whether the answer to its trigger was lost, and the run was found by [`TRIGGER_KEY`](super::super::TRIGGER_KEY).
    pub fn was_found(&self) -> bool {
        self.found
    }

    /// The client that made this handle.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Backoff until the run has finished.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::NotFound`](super::super::ErrorKind::NotFound) after 10 s in which the engine does not know the run;
    ///   after 2 s for an id from [`Client::run`].
    /// - [`ErrorKind::RunLost`](super::super::ErrorKind::RunLost) after 10 s in which the engine no longer knows the run.
    /// - [`ErrorKind::Unreachable`](super::super::ErrorKind::Unreachable), or the engine's own error, after 5 minutes
    ///   without a useful answer. An engine that asks to slow down is waited for without limit.
    /// - At once if the engine refuses the token.
    pub async fn outcome(&self) -> Result<RunOutcome, ClientError> {
        self.client.watcher().outcome(self.id, self.recognition.clone()).await
    }
}

impl fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunHandle({})", self.id)
    }
}
