//! Identifiers. On the wire, each is the text of a UUID. Here each has a separate type, so that they cannot be
//! confused.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::text::excerpt;

/// A text that is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {kind} \"{text}\": expected a UUID such as 01234567-89ab-cdef-0123-456789abcdef")]
pub struct BadId {
    kind: &'static str,
    text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Creates a random id.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// Returns the id as a UUID.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::parse_str(text).map(Self).map_err(|_| BadId { kind: $kind, text: excerpt(text) })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// Id of the run of a workflow or of one of its tasks. If a workflow has a single task, both runs have the same id.
    RunId, "run id"
);
id!(
    /// Id of a registered worker. Each registration creates a new id.
    WorkerId, "worker id"
);
id!(
    /// Id of a trigger call, sent in the run's metadata. It identifies the run before its own id is known.
    TriggerId, "trigger id"
);
id!(
    /// Id of a workflow. All its versions have the same id.
    WorkflowId, "workflow id"
);
id!(
    /// Id of a scheduled run.
    ScheduleId, "schedule id"
);
id!(
    /// Id of a cron.
    CronId, "cron id"
);
id!(
    /// Id of an event.
    EventId, "event id"
);
id!(
    /// Id of a filter of event triggers.
    FilterId, "filter id"
);
id!(
    /// Id of the tenant to which a token belongs: the token's `sub`.
    TenantId, "tenant id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_truncates_a_long_id() {
        let error = "x".repeat(500).parse::<RunId>().unwrap_err().to_string();
        assert!(error.contains("run id") && error.len() < 250, "{error}");
    }
}
