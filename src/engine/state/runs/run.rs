//! A run of a workflow.

use std::{fmt, sync::Arc};

use uuid::Uuid;

use crate::{
    engine::{
        persistence::{
            row::RowKey,
            tracked::{ENTRY_BYTES, Stored},
        },
        state::{
            time::{MonotonicInstant, Timestamp},
            workflows::Version,
        },
    },
    hatchet::wire::RunId,
};

/// A run of a workflow.
#[derive(Debug)]
pub(crate) struct Run {
    /// Number among all runs, in the order of creation; set by [`Runs::insert`](super::Runs::insert).
    pub(crate) seq: u64,
    pub(crate) version: Arc<Version>,
    /// A JSON object exactly as it was received, or `null`.
    pub(crate) input: Arc<str>,
    /// A JSON object.
    pub(crate) metadata: Arc<str>,
    pub(crate) priority: i32,
    pub(crate) parent: Option<Parent>,
    pub(crate) origin: Origin,
    pub(crate) created: Timestamp,
    /// In the order of the version's tasks. In a workflow of one task, run and task have the same id.
    pub(crate) tasks: Vec<RunId>,
    /// Number of tasks that have not finished.
    pub(crate) open: usize,
    /// Set while all tasks have finished.
    pub(crate) finished: Option<Finish>,
    /// The idempotency key that the run has claimed.
    pub(crate) idempotency_key: Option<Arc<str>>,
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finish {
    /// Display time.
    pub(crate) at: Timestamp,
    /// Number among all ends, in their order, independent of the wall clock.
    pub(crate) seq: u64,
    /// The end of the time for which the run is retained.
    pub(crate) retained_until: MonotonicInstant,
}

/// The trigger of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A call, by the task [`Run::parent`] if that is set.
    Call,
    Event {
        id: Uuid,
        key: Arc<str>,
    },
    Schedule(Uuid),
    Cron,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call => f.write_str("a call"),
            Self::Event { id, key } => write!(f, "event {id} (`{key}`)"),
            Self::Schedule(id) => write!(f, "schedule {id}"),
            Self::Cron => f.write_str("its cron"),
        }
    }
}

/// The task that triggered a child run.
#[derive(Debug, Clone)]
pub(crate) struct Parent {
    pub(crate) task: RunId,
    pub(crate) index: Option<i32>,
    pub(crate) key: Option<Arc<str>>,
}

/// Identifies a child run among those of its parent. A second trigger with the same key returns the existing run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ChildKey {
    Key(Arc<str>),
    Index(i32),
}

impl Parent {
    /// The child's key: a given key takes precedence over the index.
    pub(crate) fn child_key(&self) -> Option<ChildKey> {
        self.key.clone().map(ChildKey::Key).or(self.index.map(ChildKey::Index))
    }
}

impl Stored<RunId> for Run {
    fn row_key(&self, _: &RunId) -> RowKey {
        RowKey::Number(self.seq)
    }

    fn bytes(&self) -> usize {
        self.input.len() + self.metadata.len() + ENTRY_BYTES
    }
}

/// The id of a child run, by its parent task and key.
impl Stored<(RunId, ChildKey)> for RunId {
    fn row_key(&self, (parent, key): &(RunId, ChildKey)) -> RowKey {
        let mut bytes = parent.uuid().into_bytes().to_vec();
        match key {
            ChildKey::Key(key) => {
                bytes.push(0);
                bytes.extend(key.as_bytes());
            }
            ChildKey::Index(index) => {
                bytes.push(1);
                bytes.extend(index.to_be_bytes());
            }
        }
        RowKey::Bytes(bytes)
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES
    }
}
