//! Records of triggers: events, event filters, schedules and crons. The rules of [`records`](super::records) apply.

use prost::Message;

use super::records::Id;

/// A pushed event. The texts of its row are the payload and the metadata.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct EventRecord {
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

/// An event filter. The texts of its row are the expression and the payload.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FilterRecord {
    #[prost(message, optional, tag = "1")]
    pub(crate) id: Option<Id>,
    #[prost(message, optional, tag = "2")]
    pub(crate) workflow: Option<Id>,
    #[prost(string, tag = "3")]
    pub(crate) scope: String,
    #[prost(bool, tag = "4")]
    pub(crate) declared: bool,
    #[prost(uint64, tag = "5")]
    pub(crate) created: u64,
    #[prost(uint64, tag = "6")]
    pub(crate) updated: u64,
}

/// A scheduled run. The texts of its row are the input and the metadata.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ScheduleRecord {
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
    /// The run that the schedule has triggered. Set only by earlier versions, which did not remove such schedules.
    #[prost(message, optional, tag = "6")]
    pub(crate) run: Option<Id>,
}

/// A cron. The texts of its row are the input and the metadata.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CronRecord {
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
