//! Records of limits: of runs, of their placement, and of rate limits. The rules of [`records`](super::records) apply.

use prost::Message;

/// The limits of a run, as they were evaluated when it was triggered.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct LimitsRecord {
    #[prost(message, repeated, tag = "1")]
    pub(crate) workflow: Vec<GroupRecord>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) tasks: Vec<TaskLimitsRecord>,
}

/// The limits of a task of a run.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TaskLimitsRecord {
    #[prost(message, repeated, tag = "1")]
    pub(crate) groups: Vec<GroupRecord>,
    #[prost(string, optional, tag = "2")]
    pub(crate) error: Option<String>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) rates: Vec<RateDemandRecord>,
}

/// A concurrency group of a run or task.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GroupRecord {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(int32, tag = "2")]
    pub(crate) max_runs: i32,
}

/// Units of a rate limit that a task takes.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RateDemandRecord {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(int64, tag = "2")]
    pub(crate) units: i64,
    /// The limit that the task sets.
    #[prost(int64, optional, tag = "3")]
    pub(crate) limit: Option<i64>,
    /// The number of its window in the protocol.
    #[prost(uint32, tag = "4")]
    pub(crate) window: u32,
    /// Whether the key was computed.
    #[prost(bool, tag = "5")]
    pub(crate) is_dynamic: bool,
}

/// A worker label that a run requires or prefers.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DesiredLabelRecord {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(string, optional, tag = "2")]
    pub(crate) text: Option<String>,
    #[prost(int32, optional, tag = "3")]
    pub(crate) number: Option<i32>,
    /// The number of the comparator in the protocol.
    #[prost(int32, tag = "4")]
    pub(crate) comparator: i32,
    #[prost(bool, tag = "5")]
    pub(crate) required: bool,
    #[prost(int32, tag = "6")]
    pub(crate) weight: i32,
}

/// A rate limit with the remaining units of its window.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RateLimitRecord {
    #[prost(int64, tag = "1")]
    pub(crate) limit: i64,
    /// The number of the window in the protocol.
    #[prost(uint32, tag = "2")]
    pub(crate) window: u32,
    #[prost(int64, tag = "3")]
    pub(crate) value: i64,
    #[prost(uint64, tag = "4")]
    pub(crate) refilled: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) next_refill: u64,
    #[prost(uint64, optional, tag = "6")]
    pub(crate) paused_until: Option<u64>,
    /// Whether only rules with a computed key have declared the key.
    #[prost(bool, tag = "7")]
    pub(crate) is_dynamic: bool,
}
