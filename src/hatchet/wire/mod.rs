//! The contract between a client, a worker and an engine, and the only door to the generated code.
//!
//! What crosses the wire is turned once, here, into types that cannot be wrong: ids, action ids, durations,
//! statuses, payloads. Facts come from Hatchet's contracts and from watching a real engine (v0.101.27).

mod action;
mod details;
mod duration;
mod failure;
mod ids;
mod payload;
mod status;
mod token;

pub use action::{ActionId, BadAction};
pub use details::{read_detail, write_detail};
pub use duration::{BadDuration, format_duration, parse_duration};
pub use failure::{Failure, failure_text, with_attempt};
pub use ids::{BadId, RunId, TenantId, TriggerId, WorkerId};
pub use payload::{BadPayload, check_object, has_nul};
pub use status::RunStatus;
pub use token::{BadToken, Claims};

use std::time::SystemTime;

/// Metadata of an UNAVAILABLE status: the call was executed and may take effect, though it could not be kept yet. Set by
/// the embedded engine, whose status otherwise means that nothing was done.
pub const MAY_TAKE_EFFECT: &str = "hatchet-may-take-effect";

/// Largest message that either side takes unless told otherwise, in bytes (4 MiB, the engine's default).
pub const DEFAULT_MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// The slot type that workers offer and tasks request, here and in the official SDKs. Engines take other types too, but a
/// real one notices a freed slot of another type only on a tick of 1.0 to 1.5 s.
pub const SLOT_TYPE: &str = "default";

/// Generated from `proto/`; packages as in the files, so the first generation of services has none.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/_.rs"));

    /// Package `v1`.
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/v1.rs"));
    }
}

/// The current time as the wire writes it.
pub fn timestamp_now() -> prost_types::Timestamp {
    SystemTime::now().into()
}
