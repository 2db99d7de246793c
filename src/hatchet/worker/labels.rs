//! The labels of a worker, which can change while it runs.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{mpsc, oneshot};

use crate::hatchet::{
    task::LabelValue,
    transport::{ClientError, ErrorKind},
    wire::proto::WorkerLabels,
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

impl Change {
    /// Converts the changed labels for the engine.
    pub(super) fn to_wire(&self) -> HashMap<String, WorkerLabels> {
        to_wire(&self.labels)
    }

    /// Returns the result to the caller, if it still waits.
    pub(super) fn finish(self, result: Result<(), ClientError>) {
        let _ = self.result.send(result);
    }
}

impl LabelStore {
    pub(super) fn new(labels: Labels) -> (Self, Changes) {
        let (changes, receiver) = mpsc::channel(MAX_QUEUED_CHANGES);
        (Self { labels: Arc::new(Mutex::new(labels)), changes }, receiver)
    }

    /// Converts the current labels for a registration.
    pub(super) fn to_wire(&self) -> HashMap<String, WorkerLabels> {
        to_wire(&self.labels.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes labels, and waits until the engine has accepted them.
    pub(super) async fn change(&self, labels: Labels) -> Result<(), ClientError> {
        if labels.keys().any(|key| key.trim().is_empty()) {
            return Err(ClientError::new(ErrorKind::Config, "invalid label \"\": use a key that is not empty"));
        }
        self.labels.lock().unwrap_or_else(PoisonError::into_inner).extend(labels.clone());
        let worker_ended = || ClientError::new(ErrorKind::Engine, "changing labels failed: the worker has ended");
        let (result, response) = oneshot::channel();
        self.changes.send(Change { labels, result }).await.map_err(|_| worker_ended())?;
        response.await.map_err(|_| worker_ended())?
    }
}

fn to_wire(labels: &Labels) -> HashMap<String, WorkerLabels> {
    let wire_value = |value: &LabelValue| match value {
        LabelValue::Text(text) => WorkerLabels { str_value: Some(text.clone()), int_value: None },
        LabelValue::Number(number) => WorkerLabels { str_value: None, int_value: Some(*number) },
    };
    labels.iter().map(|(key, label)| (key.clone(), wire_value(label))).collect()
}
