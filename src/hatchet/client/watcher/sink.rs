//! The channels that return the results of waits.

use tokio::sync::{mpsc, oneshot, watch};

use super::{outcome::RunOutcome, run_evidence::RunEvidence};
use crate::hatchet::{
    transport::{ClientError, ErrorKind},
    wire::{RunId, RunStatus},
};

/// The result of a wait.
pub(in crate::hatchet::client) type WaitResult = Result<RunOutcome, ClientError>;

/// The state of a run as published to a follower.
#[derive(Debug, Clone, Default)]
pub(in crate::hatchet::client) struct Progress {
    /// The latest status of the unfinished run.
    pub(in crate::hatchet::client) status: Option<RunStatus>,
    pub(in crate::hatchet::client) result: Option<WaitResult>,
}

/// The result of a wait, with the index that the caller gave it.
pub(super) type Indexed = (usize, WaitResult);

/// The channel for the result of a wait.
pub(super) enum Sink {
    Outcome(oneshot::Sender<WaitResult>),
    Group(GroupSink),
    Progress(watch::Sender<Progress>),
}

impl Sink {
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Outcome(sender) => sender.is_closed(),
            Self::Group(sink) => sink.is_closed(),
            Self::Progress(sender) => sender.is_closed(),
        }
    }

    pub(super) fn publish(&self, status: RunStatus) {
        if let Self::Progress(sender) = self {
            sender.send_if_modified(|progress| progress.status.replace(status) != Some(status));
        }
    }

    fn end(self, result: WaitResult) {
        match self {
            // Fails if the wait was dropped.
            Self::Outcome(sender) => drop(sender.send(result)),
            Self::Group(mut sink) => sink.send(result),
            Self::Progress(sender) => sender.send_modify(|progress| progress.result = Some(result)),
        }
    }
}

/// One wait for a run.
pub(super) struct Waiter {
    pub(super) evidence: RunEvidence,
    pub(super) sink: Sink,
}

impl Waiter {
    pub(super) fn end(self, result: WaitResult) {
        if result.is_ok() {
            self.evidence.mark_found();
        }
        self.sink.end(result);
    }
}

/// Sends the result of one wait to its group. If it is dropped before, because the watcher's task has ended, it sends
/// an error, so that the group does not wait forever.
pub(super) struct GroupSink {
    index: usize,
    run: RunId,
    /// `None` after the result was sent.
    sender: Option<mpsc::UnboundedSender<Indexed>>,
}

impl GroupSink {
    pub(super) fn new(index: usize, run: RunId, sender: mpsc::UnboundedSender<Indexed>) -> Self {
        Self { index, run, sender: Some(sender) }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.as_ref().is_none_or(mpsc::UnboundedSender::is_closed)
    }

    pub(super) fn send(&mut self, result: WaitResult) {
        if let Some(sender) = self.sender.take() {
            // Fails if the group was dropped.
            let _ = sender.send((self.index, result));
        }
    }
}

impl Drop for GroupSink {
    fn drop(&mut self) {
        if self.sender.is_some() {
            self.send(Err(closed(self.run)));
        }
    }
}

/// The error of a wait whose watcher task has ended.
pub(in crate::hatchet::client) fn closed(run: RunId) -> ClientError {
    let message = format!("waiting for run {run} failed: the runtime of the client has shut down");
    ClientError::new(ErrorKind::Unreachable, message)
}
