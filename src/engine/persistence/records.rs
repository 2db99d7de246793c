//! Records: the stored form of each kind of value, as protobuf messages of our own.
//!
//! The stored form is stable. A new field gets a new tag, a tag is never reused, and a field that is absent in a file
//! of an earlier version has a meaningful default. The records are independent of the types that the state machine
//! uses; `state::snapshot` converts between them. Times are milliseconds since 1970, durations are milliseconds.

use std::collections::BTreeMap;

use prost::Message;
use uuid::Uuid;

use super::{
    limit_records::{DesiredLabelRecord, LimitsRecord},
    row::Damaged,
};

/// A UUID in 18 bytes, decoded without an allocation.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(crate) struct Id {
    #[prost(fixed64, tag = "1")]
    high: u64,
    #[prost(fixed64, tag = "2")]
    low: u64,
}

impl Id {
    pub(crate) fn of(id: Uuid) -> Option<Self> {
        let (high, low) = id.as_u64_pair();
        Some(Self { high, low })
    }

    pub(crate) fn uuid(self) -> Uuid {
        Uuid::from_u64_pair(self.high, self.low)
    }
}

/// Reads an id that must be present; `what` names it in the error.
pub(crate) fn required_id<T: From<Uuid>>(field: Option<Id>, what: &str) -> Result<T, Damaged> {
    field.map(|id| id.uuid().into()).ok_or_else(|| Damaged(format!("{what} is missing")))
}

/// Decodes a record.
pub(crate) fn decode<T: Message + Default>(head: &[u8]) -> Result<T, Damaged> {
    T::decode(head).map_err(|e| Damaged(e.to_string()))
}

/// The settings of a workflow.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SettingsRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) workflow: Option<Id>,
    #[prost(message, optional, tag = "2")]
    pub(crate) pause: Option<PauseRecord>,
    #[prost(bool, tag = "3")]
    pub(crate) is_deleted: bool,
}

/// The pause of a workflow.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PauseRecord {
    #[prost(bool, tag = "1")]
    pub(crate) drops_crons: bool,
    #[prost(bool, tag = "2")]
    pub(crate) drops_scheduled: bool,
    #[prost(uint64, tag = "3")]
    pub(crate) ttl: u64,
}

/// A version of a workflow.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct VersionRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(message, optional, tag = "2")]
    pub(crate) workflow: Option<Id>,
    #[prost(uint64, tag = "3")]
    pub(crate) created: u64,
    #[prost(uint64, tag = "4")]
    pub(crate) workflow_created: u64,
    #[prost(message, repeated, tag = "5")]
    pub(crate) tasks: Vec<Id>,
    /// The encoded declaration.
    #[prost(bytes = "vec", optional, tag = "6")]
    pub(crate) content: Option<Vec<u8>>,
}

/// A run. The texts of its row are the input and the metadata.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RunRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(int64, tag = "2")]
    pub(crate) version: i64,
    #[prost(int32, tag = "3")]
    pub(crate) priority: i32,
    #[prost(uint64, tag = "4")]
    pub(crate) created: u64,
    #[prost(message, optional, tag = "5")]
    pub(crate) parent: Option<ParentRecord>,
    #[prost(message, optional, tag = "6")]
    pub(crate) event: Option<Id>,
    #[prost(string, optional, tag = "7")]
    pub(crate) event_key: Option<String>,
    #[prost(message, optional, tag = "8")]
    pub(crate) schedule: Option<Id>,
    #[prost(bool, tag = "9")]
    pub(crate) cron: bool,
    /// Empty in a workflow of one task, which has the id of the run.
    #[prost(message, repeated, tag = "10")]
    pub(crate) tasks: Vec<Id>,
    #[prost(string, optional, tag = "11")]
    pub(crate) claim: Option<String>,
    /// The filter that the event matched, and the filter's payload.
    #[prost(message, optional, tag = "12")]
    pub(crate) filter: Option<Id>,
    #[prost(string, optional, tag = "13")]
    pub(crate) filter_payload: Option<String>,
    #[prost(message, optional, tag = "40")]
    pub(crate) limits: Option<LimitsRecord>,
    /// Number of concurrency groups of the workflow that have admitted it.
    #[prost(uint32, tag = "41")]
    pub(crate) admitted_groups: u32,
    /// Whether it has entered the concurrency groups of the workflow.
    #[prost(bool, tag = "42")]
    pub(crate) is_in_groups: bool,
    /// The worker that the trigger desires.
    #[prost(message, optional, tag = "43")]
    pub(crate) desired_worker: Option<Id>,
    /// The worker of the first assignment, if the workflow is sticky.
    #[prost(message, optional, tag = "44")]
    pub(crate) sticky_worker: Option<Id>,
    #[prost(message, repeated, tag = "45")]
    pub(crate) desired_labels: Vec<DesiredLabelRecord>,
}

/// The task that triggered a child run.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ParentRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) task: Option<Id>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) index: Option<i32>,
    #[prost(string, optional, tag = "3")]
    pub(crate) key: Option<String>,
}

/// The stage of a task. The text of its row is the output or the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum StageRecord {
    Unknown = 0,
    Waiting = 1,
    Queued = 2,
    BackOff = 3,
    Running = 4,
    Completed = 5,
    Failed = 6,
    Cancelled = 7,
    /// Cancelled by the schedule timeout.
    ScheduleTimedOut = 8,
    /// Waits for the admission to a concurrency group.
    Unadmitted = 40,
}

/// A task of a run.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TaskRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    /// Absent if the run has the same id.
    #[prost(message, optional, tag = "2")]
    pub(crate) run: Option<Id>,
    #[prost(uint32, tag = "3")]
    pub(crate) spec: u32,
    #[prost(enumeration = "StageRecord", tag = "4")]
    pub(crate) stage: i32,
    #[prost(int32, tag = "5")]
    pub(crate) attempt: i32,
    #[prost(uint32, tag = "6")]
    pub(crate) failures: u32,
    #[prost(uint32, tag = "7")]
    pub(crate) reassignments: u32,
    #[prost(uint64, tag = "8")]
    pub(crate) assignment: u64,
    #[prost(uint64, optional, tag = "9")]
    pub(crate) started: Option<u64>,
    #[prost(uint64, optional, tag = "10")]
    pub(crate) finished: Option<u64>,
    /// End of the schedule timeout, of the backoff or of the execution timeout.
    #[prost(uint64, tag = "11")]
    pub(crate) until: u64,
    /// The second part of its position in the queue.
    #[prost(uint64, tag = "12")]
    pub(crate) position: u64,
    #[prost(message, optional, tag = "13")]
    pub(crate) worker: Option<Id>,
    #[prost(bool, tag = "14")]
    pub(crate) holds_slots: bool,
    #[prost(bool, tag = "15")]
    pub(crate) acknowledged: bool,
    #[prost(message, optional, tag = "16")]
    pub(crate) history: Option<TaskHistoryRecord>,
    /// Sequence number of its latest end; 0 in files of earlier versions.
    #[prost(uint64, tag = "17")]
    pub(crate) finish_seq: u64,
    /// Number of concurrency groups that have admitted it.
    #[prost(uint32, tag = "40")]
    pub(crate) admitted_groups: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TaskHistoryRecord {
    /// [`HistoryEventRecord`]s, each prefixed with its length, so that they are decoded only on demand.
    #[prost(bytes, tag = "1")]
    pub(crate) events: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(crate) count: u32,
    /// Number of earlier events that were dropped.
    #[prost(uint64, tag = "3")]
    pub(crate) dropped: u64,
}

/// An event of a task's history.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HistoryEventRecord {
    #[prost(uint64, tag = "1")]
    pub(crate) at: u64,
    #[prost(int32, tag = "2")]
    pub(crate) attempt: i32,
    #[prost(enumeration = "HistoryKindRecord", tag = "3")]
    pub(crate) kind: i32,
    /// The error, shortened.
    #[prost(string, tag = "4")]
    pub(crate) text: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) worker: Option<Id>,
    #[prost(uint64, tag = "6")]
    pub(crate) wait: u64,
}

/// The kind of a history event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum HistoryKindRecord {
    Unknown = 0,
    Queued = 1,
    Assigned = 2,
    Started = 3,
    Finished = 4,
    Failed = 5,
    TimedOut = 6,
    ScheduleTimedOut = 7,
    Cancelled = 8,
    Reassigned = 9,
    Retrying = 10,
    Replayed = 11,
    Skipped = 12,
    Refreshed = 13,
    SlotReleased = 14,
    /// Cancelled by the strategy of a concurrency group.
    Displaced = 40,
    /// A rate limit has too few units.
    RateLimited = 41,
}

/// The progress of a task's conditions.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ConditionsRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) task: Option<Id>,
    #[prost(enumeration = "ConditionStageRecord", tag = "2")]
    pub(crate) stage: i32,
    /// The data of the met sleeps and events, by their indexes.
    #[prost(btree_map = "uint32, string", tag = "3")]
    pub(crate) met: BTreeMap<u32, String>,
    /// The ends of the open sleeps, by their indexes.
    #[prost(btree_map = "uint32, uint64", tag = "4")]
    pub(crate) sleeps: BTreeMap<u32, u64>,
}

/// The stage of a task's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum ConditionStageRecord {
    Unknown = 0,
    OnParents = 1,
    OnWaits = 2,
    Decided = 3,
}

/// A child run, by its parent and its key or index.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChildRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) parent: Option<Id>,
    #[prost(message, optional, tag = "2")]
    pub(crate) run: Option<Id>,
    #[prost(string, optional, tag = "3")]
    pub(crate) key: Option<String>,
    #[prost(int32, tag = "4")]
    pub(crate) index: i32,
}

/// A claimed idempotency key.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClaimRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) run: Option<Id>,
    #[prost(uint64, tag = "2")]
    pub(crate) ttl: u64,
    #[prost(bool, tag = "3")]
    pub(crate) until_end: bool,
    #[prost(uint64, tag = "4")]
    pub(crate) until: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WorkerRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) actions: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) slots: Vec<SlotRecord>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub(crate) labels: BTreeMap<String, Label>,
    #[prost(message, optional, tag = "6")]
    pub(crate) runtime: Option<Runtime>,
    #[prost(uint64, tag = "7")]
    pub(crate) registered: u64,
    #[prost(uint64, optional, tag = "8")]
    pub(crate) listened: Option<u64>,
    #[prost(bool, tag = "9")]
    pub(crate) paused: bool,
    #[prost(bool, tag = "10")]
    pub(crate) unsubscribed: bool,
    #[prost(bool, tag = "11")]
    pub(crate) in_process: bool,
}

/// A label of a worker: a text or a number.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub(crate) struct Label {
    #[prost(string, optional, tag = "1")]
    pub(crate) text: Option<String>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) number: Option<i32>,
}

/// The runtime that a worker reports at its registration.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Runtime {
    #[prost(string, optional, tag = "1")]
    pub(crate) sdk_version: Option<String>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) language: Option<i32>,
    #[prost(string, optional, tag = "3")]
    pub(crate) language_version: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(crate) os: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(crate) extra: Option<String>,
}

/// A slot type of a worker.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SlotRecord {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(int64, tag = "2")]
    pub(crate) limit: i64,
}

/// A log line. The texts of its row are the message and the metadata.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LineRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) task: Option<Id>,
    #[prost(uint64, tag = "2")]
    pub(crate) at: u64,
    #[prost(string, tag = "3")]
    pub(crate) level: String,
    #[prost(int32, tag = "4")]
    pub(crate) attempt: i32,
}
