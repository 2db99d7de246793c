//! The small records of what is kept. A new field takes a new number; a number is never used again.

use std::{collections::BTreeMap, time::Duration};

use prost::Message;
use uuid::Uuid;

use crate::engine::state::{HistoryEvent, HistoryEventKind, Timestamp};
use crate::{
    engine::persistence::row::Damaged,
    hatchet::wire::{proto, proto::v1},
};

/// An id, without a heap.
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

/// An id that must be there.
pub(crate) fn id<T: From<Uuid>>(field: Option<Id>, what: &str) -> Result<T, Damaged> {
    field.map(|id| id.uuid().into()).ok_or_else(|| Damaged(format!("{what} is missing")))
}

pub(crate) fn read<T: Message + Default>(head: &[u8]) -> Result<T, Damaged> {
    T::decode(head).map_err(|e| Damaged(e.to_string()))
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct VersionHead {
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
    #[prost(message, optional, tag = "6")]
    pub(crate) content: Option<v1::CreateWorkflowVersionRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RunHead {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(int64, tag = "2")]
    pub(crate) version: i64,
    #[prost(int32, tag = "3")]
    pub(crate) priority: i32,
    #[prost(uint64, tag = "4")]
    pub(crate) created: u64,
    #[prost(message, optional, tag = "5")]
    pub(crate) parent: Option<ParentHead>,
    #[prost(message, optional, tag = "6")]
    pub(crate) event: Option<Id>,
    #[prost(string, optional, tag = "7")]
    pub(crate) event_key: Option<String>,
    #[prost(message, optional, tag = "8")]
    pub(crate) schedule: Option<Id>,
    #[prost(bool, tag = "9")]
    pub(crate) cron: bool,
    /// Empty for a single task, which has the run's id.
    #[prost(message, repeated, tag = "10")]
    pub(crate) tasks: Vec<Id>,
    #[prost(string, optional, tag = "11")]
    pub(crate) claim: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ParentHead {
    #[prost(message, optional, tag = "1")]
    pub(crate) task: Option<Id>,
    #[prost(int32, optional, tag = "2")]
    pub(crate) index: Option<i32>,
    #[prost(string, optional, tag = "3")]
    pub(crate) key: Option<String>,
}

/// Where a task stands. The text beside it is its output or its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum StageHead {
    Unknown = 0,
    Waiting = 1,
    Queued = 2,
    BackOff = 3,
    Running = 4,
    Completed = 5,
    Failed = 6,
    Cancelled = 7,
    /// Cancelled because no worker took it.
    Untaken = 8,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TaskHead {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    /// Absent where the run has the same id.
    #[prost(message, optional, tag = "2")]
    pub(crate) run: Option<Id>,
    #[prost(uint32, tag = "3")]
    pub(crate) spec: u32,
    #[prost(enumeration = "StageHead", tag = "4")]
    pub(crate) stage: i32,
    #[prost(int32, tag = "5")]
    pub(crate) attempt: i32,
    #[prost(uint32, tag = "6")]
    pub(crate) failures: u32,
    #[prost(uint32, tag = "7")]
    pub(crate) reassignments: u32,
    #[prost(uint64, tag = "8")]
    pub(crate) assigned: u64,
    #[prost(uint64, optional, tag = "9")]
    pub(crate) started: Option<u64>,
    #[prost(uint64, optional, tag = "10")]
    pub(crate) finished: Option<u64>,
    /// The end of its present wait or of its attempt.
    #[prost(uint64, tag = "11")]
    pub(crate) until: u64,
    /// Its place in the queue.
    #[prost(uint64, tag = "12")]
    pub(crate) place: u64,
    #[prost(message, optional, tag = "13")]
    pub(crate) worker: Option<Id>,
    #[prost(bool, tag = "14")]
    pub(crate) holds: bool,
    #[prost(bool, tag = "15")]
    pub(crate) heard: bool,
    #[prost(message, optional, tag = "16")]
    pub(crate) history: Option<TrailHead>,
    /// The how-manieth end of all its last one was; zero in files of earlier versions.
    #[prost(uint64, tag = "17")]
    pub(crate) end: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct TrailHead {
    /// [`MarkHead`]s, each behind its length: most are never looked at.
    #[prost(bytes, tag = "1")]
    pub(crate) written: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(crate) count: u32,
    /// Steps that went before those.
    #[prost(uint64, tag = "3")]
    pub(crate) gone: u64,
}

/// A step of a task.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct MarkHead {
    #[prost(uint64, tag = "1")]
    pub(crate) at: u64,
    #[prost(int32, tag = "2")]
    pub(crate) attempt: i32,
    #[prost(enumeration = "MarkKind", tag = "3")]
    pub(crate) kind: i32,
    /// An error, cut to [`MarkHead::TEXT`].
    #[prost(string, tag = "4")]
    pub(crate) text: String,
    #[prost(message, optional, tag = "5")]
    pub(crate) worker: Option<Id>,
    /// Milliseconds.
    #[prost(uint64, tag = "6")]
    pub(crate) wait: u64,
}

impl MarkHead {
    /// Characters of an error that are kept for a step: the row is written anew with each of them.
    const TEXT: usize = 500;

    pub(crate) fn of(event: &HistoryEvent) -> Self {
        let mut head = Self { at: event.at.0, attempt: event.attempt, ..Self::default() };
        let text = |text: &str| text.chars().take(Self::TEXT).collect();
        let millis = |wait: &Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let kind = match &event.kind {
            HistoryEventKind::Queued => MarkKind::Queued,
            HistoryEventKind::Assigned(worker) => {
                head.worker = Id::of(worker.uuid());
                MarkKind::Assigned
            }
            HistoryEventKind::Started => MarkKind::Started,
            HistoryEventKind::Finished => MarkKind::Finished,
            HistoryEventKind::Failed(error) => {
                head.text = text(error);
                MarkKind::Failed
            }
            HistoryEventKind::TimedOut(error) => {
                head.text = text(error);
                MarkKind::TimedOut
            }
            HistoryEventKind::NotTaken => MarkKind::NotTaken,
            HistoryEventKind::Cancelled => MarkKind::Cancelled,
            HistoryEventKind::Reassigned => MarkKind::Reassigned,
            HistoryEventKind::Retrying(wait) => {
                head.wait = millis(wait);
                MarkKind::Retrying
            }
            HistoryEventKind::Replayed => MarkKind::Replayed,
            HistoryEventKind::Skipped => MarkKind::Skipped,
            HistoryEventKind::Refreshed(by) => {
                head.wait = millis(by);
                MarkKind::Refreshed
            }
            HistoryEventKind::SlotReleased => MarkKind::SlotReleased,
        };
        head.set_kind(kind);
        head
    }

    pub(crate) fn mark(self) -> Result<HistoryEvent, Damaged> {
        let wait = Duration::from_millis(self.wait);
        let what = match self.kind() {
            MarkKind::Queued => HistoryEventKind::Queued,
            MarkKind::Assigned => HistoryEventKind::Assigned(id(self.worker, "the step's worker")?),
            MarkKind::Started => HistoryEventKind::Started,
            MarkKind::Finished => HistoryEventKind::Finished,
            MarkKind::Failed => HistoryEventKind::Failed(self.text.into()),
            MarkKind::TimedOut => HistoryEventKind::TimedOut(self.text.into()),
            MarkKind::NotTaken => HistoryEventKind::NotTaken,
            MarkKind::Cancelled => HistoryEventKind::Cancelled,
            MarkKind::Reassigned => HistoryEventKind::Reassigned,
            MarkKind::Retrying => HistoryEventKind::Retrying(wait),
            MarkKind::Replayed => HistoryEventKind::Replayed,
            MarkKind::Skipped => HistoryEventKind::Skipped,
            MarkKind::Refreshed => HistoryEventKind::Refreshed(wait),
            MarkKind::SlotReleased => HistoryEventKind::SlotReleased,
            MarkKind::Unknown => return Err(Damaged(format!("step {} is not known", self.kind))),
        };
        Ok(HistoryEvent { at: Timestamp(self.at), attempt: self.attempt, kind: what })
    }
}

/// Which step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum MarkKind {
    Unknown = 0,
    Queued = 1,
    Assigned = 2,
    Started = 3,
    Finished = 4,
    Failed = 5,
    TimedOut = 6,
    NotTaken = 7,
    Cancelled = 8,
    Reassigned = 9,
    Retrying = 10,
    Replayed = 11,
    Skipped = 12,
    Refreshed = 13,
    SlotReleased = 14,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ChildHead {
    #[prost(message, optional, tag = "1")]
    pub(crate) parent: Option<Id>,
    #[prost(message, optional, tag = "2")]
    pub(crate) run: Option<Id>,
    #[prost(string, optional, tag = "3")]
    pub(crate) key: Option<String>,
    #[prost(int32, tag = "4")]
    pub(crate) index: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ClaimHead {
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
pub(crate) struct WorkerHead {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) actions: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) slots: Vec<SlotHead>,
    #[prost(btree_map = "string, message", tag = "5")]
    pub(crate) labels: BTreeMap<String, proto::WorkerLabels>,
    #[prost(message, optional, tag = "6")]
    pub(crate) runtime: Option<proto::RuntimeInfo>,
    #[prost(uint64, tag = "7")]
    pub(crate) registered: u64,
    #[prost(uint64, optional, tag = "8")]
    pub(crate) listened: Option<u64>,
    #[prost(bool, tag = "9")]
    pub(crate) paused: bool,
    #[prost(bool, tag = "10")]
    pub(crate) gone: bool,
    #[prost(bool, tag = "11")]
    pub(crate) inside: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SlotHead {
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(int64, tag = "2")]
    pub(crate) limit: i64,
}

/// The texts beside it are the message and the metadata.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LineHead {
    #[prost(message, optional, tag = "1")]
    pub(crate) task: Option<Id>,
    #[prost(uint64, tag = "2")]
    pub(crate) at: u64,
    #[prost(string, tag = "3")]
    pub(crate) level: String,
    #[prost(int32, tag = "4")]
    pub(crate) attempt: i32,
}

/// The texts beside it, and those of the next two, are the input and the metadata.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EventHead {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(string, tag = "2")]
    pub(crate) key: String,
    #[prost(string, optional, tag = "3")]
    pub(crate) scope: Option<String>,
    #[prost(uint64, tag = "4")]
    pub(crate) at: u64,
    #[prost(message, repeated, tag = "5")]
    pub(crate) runs: Vec<Id>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ScheduleHead {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(string, tag = "2")]
    pub(crate) workflow: String,
    #[prost(int32, optional, tag = "3")]
    pub(crate) priority: Option<i32>,
    #[prost(uint64, tag = "4")]
    pub(crate) at: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) created: u64,
    /// The run that it has started. Set by earlier versions only, which kept a schedule as long as its run.
    #[prost(message, optional, tag = "6")]
    pub(crate) run: Option<Id>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CronHead {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(string, tag = "2")]
    pub(crate) workflow: String,
    #[prost(int32, optional, tag = "3")]
    pub(crate) priority: Option<i32>,
    #[prost(string, tag = "4")]
    pub(crate) rule: String,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(bool, tag = "6")]
    pub(crate) declared: bool,
    #[prost(bool, tag = "7")]
    pub(crate) enabled: bool,
    #[prost(uint64, tag = "8")]
    pub(crate) created: u64,
}
