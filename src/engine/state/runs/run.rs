//! A run of a workflow: its data, its tasks, its trigger and its finish.

use std::{fmt, sync::Arc};

use uuid::Uuid;

use crate::{
    engine::{
        persistence::{
            row::RowKey,
            tracked::{ENTRY_BYTES, Stored},
        },
        state::{
            limits::RunLimits,
            placement::DesiredLabel,
            time::{MonotonicInstant, Timestamp},
            workflows::Version,
        },
    },
    hatchet::wire::{RunId, WorkerId},
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
    /// The limits of the run; `None` for a workflow without limits.
    pub(crate) limits: Option<Arc<RunLimits>>,
    /// Number of concurrency groups of the workflow that have admitted the run.
    pub(crate) admitted_groups: usize,
    /// Whether the run has entered the concurrency groups of its workflow, admitted or not.
    pub(crate) is_in_groups: bool,
    /// The worker that the trigger desires, for a sticky workflow.
    pub(crate) desired_worker: Option<WorkerId>,
    /// The worker of the first assignment, for a sticky workflow of several tasks.
    pub(crate) sticky_worker: Option<WorkerId>,
    /// The worker labels that the trigger requires or prefers. Sorted by key.
    pub(crate) desired_labels: Vec<DesiredLabel>,
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

impl Run {
    /// Whether the worker of the next assignment becomes the worker of all tasks.
    pub(crate) fn awaits_worker(&self) -> bool {
        self.version.definition.sticky.is_some() && self.sticky_worker.is_none() && self.tasks.len() > 1
    }

    /// Whether the run may add requirements to the requirements that its tasks declare.
    pub(crate) fn may_need_temporary_queue(&self) -> bool {
        self.limits.is_some() || self.version.definition.sticky.is_some() || !self.desired_labels.is_empty()
    }
}

/// The trigger of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A call, by the task [`Run::parent`] if that is set.
    Call,
    Event {
        id: Uuid,
        key: Arc<str>,
        /// The filter that the event matched, if the workflow has filters.
        filter: Option<Arc<TriggeringFilter>>,
    },
    Schedule(Uuid),
    Cron,
}

/// The filter through which an event has triggered a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TriggeringFilter {
    pub(crate) id: Uuid,
    /// The payload of the filter, a JSON object.
    pub(crate) payload: Arc<str>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call => f.write_str("a call"),
            Self::Event { id, key, .. } => write!(f, "event {id} (`{key}`)"),
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

/// Identifies a child run among the children of its parent. A second trigger with the same key returns the existing
/// run.
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
        let limits = self.limits.as_ref().map_or(0, |limits| limits.bytes());
        self.input.len() + self.metadata.len() + limits + ENTRY_BYTES
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
