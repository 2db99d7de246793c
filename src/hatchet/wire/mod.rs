//! Hatchet's protocol: the generated message types, and typed, validated forms of their fields.
//!
//! The generated messages contain ids, durations and statuses as texts and numbers, which the types here validate.
//! Rules and limits come from Hatchet's contracts and from observing real engines (v0.101.27 and v0.104.7).
//!
//! | module | contents |
//! |---|---|
//! | [`proto`] | code generated from `proto/` |
//! | `ids`, `action`, `status`, `duration`, `timestamp` | types of single fields |
//! | `declaration` | workflow declarations |
//! | `payload` | checks of JSON payloads |
//! | `cron` | cron expressions |
//! | `failure` | the error text of a failed attempt |
//! | `token` | the claims of a client token |
//! | `details` | error details of a gRPC status |
//! | `readable_duration`, `text` | durations and excerpts in messages |

mod action;
mod cron;
mod declaration;
mod details;
mod duration;
mod failure;
mod ids;
mod payload;
mod readable_duration;
mod status;
mod text;
#[cfg(feature = "engine")]
mod timestamp;
mod token;

pub use action::{ActionId, BadAction};
pub(crate) use cron::CronExpression;
#[cfg(feature = "engine")]
pub(crate) use cron::{CronFields, CronTimes};
pub use declaration::Declaration;
pub use details::{decode_detail, encode_detail};
pub use duration::{BadDuration, format_duration, parse_duration};
pub use failure::{Failure, failure_text, with_attempt};
pub use ids::{BadId, CronId, EventId, FilterId, RunId, ScheduleId, TenantId, TriggerId, WorkerId, WorkflowId};
pub(crate) use payload::canonical_object;
pub use payload::{BadPayload, check_object, has_nul, is_skipped};
pub use readable_duration::readable_duration;
pub(crate) use readable_duration::readable_seconds;
pub use status::RunStatus;
#[cfg(feature = "engine")]
pub(crate) use text::excerpt;
#[cfg(feature = "engine")]
pub(crate) use timestamp::{Timestamp, millis};
pub use token::{BadToken, Claims};

use std::time::SystemTime;

/// Metadata key of an UNAVAILABLE status of the embedded engine. `true`: the call was executed and may take effect, but
/// the change is not persisted yet. `false`: the call was not executed. A status without the key proves neither,
/// because a proxy in front of the engine may have sent it.
pub const MAY_TAKE_EFFECT: &str = "hatchet-may-take-effect";

/// Default maximum size of a message that either side accepts, in bytes: 4 MiB, as in Hatchet.
pub const DEFAULT_MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// The slot type that workers offer and tasks request, as in the official SDKs. Engines accept other types too, but a
/// real engine detects a freed slot of another type only on a tick of 1.0 to 1.5 s.
pub const SLOT_TYPE: &str = "default";

/// Messages, clients and services, generated from `proto/` by `make proto`. Each package of the `.proto` files is a
/// module. Services without a package, the first version of the API, are in this module.
#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
pub mod proto {
    include!("generated/hatchet.rs");

    /// Generated types of the package `v1`.
    pub mod v1 {
        include!("generated/v1.rs");
    }
}

/// The current time as a protobuf timestamp.
pub fn timestamp_now() -> prost_types::Timestamp {
    SystemTime::now().into()
}
