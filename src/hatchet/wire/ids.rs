//! Identifiers. On the wire each is a UUID in text; here each is a type of its own.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text that should have been a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: expected a UUID such as 01234567-89ab-cdef-0123-456789abcdef")]
pub struct BadId {
    what: &'static str,
    text: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new random id.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// The id as a UUID.
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
                Uuid::parse_str(text).map(Self).map_err(|_| BadId { what: $what, text: text.chars().take(80).collect() })
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
    /// A run: of a workflow, or of one task in it. In a workflow of one task both have the same id.
    RunId, "run id"
);
id!(
    /// A registered worker. Every registration makes a new one.
    WorkerId, "worker id"
);
id!(
    /// A trigger. It identifies a run before the engine has given it an id, as a part of its metadata.
    TriggerId, "trigger id"
);
id!(
    /// The tenant a token belongs to: the token's `sub`.
    TenantId, "tenant id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_id_is_named_and_cut() {
        let error = "x".repeat(500).parse::<RunId>().unwrap_err().to_string();
        assert!(error.contains("run id") && error.len() < 250, "{error}");
    }
}
