//! OpenTelemetry spans of attempts and of calls that start runs, with the names and attributes of the official SDKs.
//!
//! Without the feature `opentelemetry` the functions do nothing, and attributes are not computed.

#[cfg(not(feature = "opentelemetry"))]
mod disabled;
#[cfg(feature = "opentelemetry")]
mod enabled;

#[cfg(not(feature = "opentelemetry"))]
use disabled as implementation;
#[cfg(feature = "opentelemetry")]
use enabled as implementation;

pub(in crate::hatchet) use implementation::{AttemptSpan, Attributes, CallSpan, current_traceparent};
