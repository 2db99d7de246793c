//! The status of a run.

use std::fmt;

use super::proto::v1;

/// Where a run stands, by the engine's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Waits for a worker, or between two attempts.
    Queued,
    /// Assigned to a worker.
    Running,
    /// Ended with an output.
    Completed,
    /// Ended with an error.
    Failed,
    /// Cancelled, or never taken by a worker within its schedule timeout.
    Cancelled,
    /// A durable task that waits without a worker.
    Evicted,
    /// A number this version does not know; the run is treated as not final.
    Unknown(i32),
}

impl RunStatus {
    /// Whether no more can come. `done` in the run's details is the authority; this is the status' own part.
    pub fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Cancelled => true,
            Self::Queued | Self::Running | Self::Evicted | Self::Unknown(_) => false,
        }
    }

    /// The upper-case word that REST and the filters use.
    pub fn word(self) -> &'static str {
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

    /// From the number on the wire.
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
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(number) => write!(f, "UNKNOWN({number})"),
            known => f.write_str(known.word()),
        }
    }
}
