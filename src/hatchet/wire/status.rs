//! The status of a run or task, with its names and numbers on the wire.

use std::fmt;

use super::proto::v1;

/// Status of a run or of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RunStatus {
    /// Waiting for a worker, or between two attempts.
    Queued,
    /// Assigned to a worker.
    Running,
    /// Finished with an output.
    Completed,
    /// Finished with an error.
    Failed,
    /// Cancelled, or not assigned to a worker within its schedule timeout.
    Cancelled,
    /// A durable task that waits without occupying a worker.
    Evicted,
    /// A value unknown to this version. Treated as not final.
    Unknown(i32),
}

impl RunStatus {
    /// Whether the status is terminal. Unlike `done` in a run's details, this does not show whether the run has more
    /// tasks.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Running | Self::Evicted | Self::Unknown(_) => false,
        }
    }

    /// The name in REST responses and filters, such as `COMPLETED`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Evicted => "EVICTED",
            Self::Unknown(_) => "UNKNOWN",
        }
    }

    /// Parses a name that [`as_str`](Self::as_str) returns.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Completed, Self::Failed, Self::Cancelled, Self::Evicted]
            .into_iter()
            .find(|status| status.as_str() == name)
    }

    /// Converts the enum's number in protobuf messages.
    pub fn from_wire(number: i32) -> Self {
        match v1::RunStatus::try_from(number) {
            Ok(v1::RunStatus::Queued) => Self::Queued,
            Ok(v1::RunStatus::Running) => Self::Running,
            Ok(v1::RunStatus::Completed) => Self::Completed,
            Ok(v1::RunStatus::Failed) => Self::Failed,
            Ok(v1::RunStatus::Cancelled) => Self::Cancelled,
            Ok(v1::RunStatus::Evicted) => Self::Evicted,
            Err(_) => Self::Unknown(number),
        }
    }

    /// The enum's number in protobuf messages.
    pub fn to_wire(self) -> i32 {
        match self {
            Self::Queued => v1::RunStatus::Queued.into(),
            Self::Running => v1::RunStatus::Running.into(),
            Self::Completed => v1::RunStatus::Completed.into(),
            Self::Failed => v1::RunStatus::Failed.into(),
            Self::Cancelled => v1::RunStatus::Cancelled.into(),
            Self::Evicted => v1::RunStatus::Evicted.into(),
            Self::Unknown(number) => number,
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(number) => write!(f, "UNKNOWN({number})"),
            known => f.write_str(known.as_str()),
        }
    }
}
