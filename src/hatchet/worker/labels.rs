//! The labels of a worker, which can change while it runs.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{mpsc, oneshot};

use super::session::SessionStates;
use crate::hatchet::{
    client::Client,
    task::LabelValue,
    transport::{ClientError, DEFAULT_TIMEOUT, ErrorKind, with_timeout},
    wire::proto::{UpsertWorkerLabelsRequest, WorkerLabels},
};

/// Maximum number of changes that wait to be sent. A further one waits in its caller.
const MAX_QUEUED_CHANGES: usize = 16;

type Labels = BTreeMap<String, LabelValue>;

/// The current labels. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct LabelStore {
    labels: Arc<Mutex<Labels>>,
    changes: mpsc::Sender<Change>,
}

/// The changes to send to the engine.
pub(super) type Changes = mpsc::Receiver<Change>;

/// Changed labels, with the sender of the result.
#[derive(Debug)]
pub(super) struct Change {
    labels: Labels,
    result: oneshot::Sender<Result<(), ClientError>>,
}

impl LabelStore {
    pub(super) fn new(labels: Labels) -> (Self, Changes) {
        let (changes, receiver) = mpsc::channel(MAX_QUEUED_CHANGES);
        (Self { labels: Arc::new(Mutex::new(labels)), changes }, receiver)
    }

    /// The current labels as they are registered.
    pub(super) fn to_wire(&self) -> HashMap<String, WorkerLabels> {
        to_wire(&self.labels.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes labels, and waits until the engine has accepted them.
    pub(super) async fn change(&self, labels: Labels) -> Result<(), ClientError> {
        if labels.keys().any(|key| key.trim().is_empty()) {
            return Err(ClientError::new(ErrorKind::Config, "invalid label \"\": use a key that is not empty"));
        }
        self.labels.lock().unwrap_or_else(PoisonError::into_inner).extend(labels.clone());
        let ended = || ClientError::new(ErrorKind::Engine, "changing labels failed: the worker has ended");
        let (result, response) = oneshot::channel();
        self.changes.send(Change { labels, result }).await.map_err(|_| ended())?;
        response.await.map_err(|_| ended())?
    }
}

/// Sends changes to the engine, for each worker of the process.
pub(super) async fn send_changes(client: &Client, states: &SessionStates, mut changes: Changes) -> Infallible {
    while let Some(change) = changes.recv().await {
        let mut result = Ok(());
        for worker in states.workers() {
            let request =
                UpsertWorkerLabelsRequest { worker_id: worker.id.to_string(), labels: to_wire(&change.labels) };
            let mut dispatcher = client.connection().dispatcher();
            if let Err(status) = dispatcher.upsert_worker_labels(with_timeout(DEFAULT_TIMEOUT, request)).await {
                result = Err(client.connection().call_error("changing labels", status));
            }
        }
        // Fails if the caller no longer waits.
        let _ = change.result.send(result);
    }
    // The handle was dropped, which ends the worker.
    std::future::pending().await
}

fn to_wire(labels: &Labels) -> HashMap<String, WorkerLabels> {
    let value = |value: &LabelValue| match value {
        LabelValue::Text(text) => WorkerLabels { str_value: Some(text.clone()), int_value: None },
        LabelValue::Number(number) => WorkerLabels { str_value: None, int_value: Some(*number) },
    };
    labels.iter().map(|(key, label)| (key.clone(), value(label))).collect()
}
