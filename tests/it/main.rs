//! The integration tests, in one binary.

// Nothing of a test binary can be reached from outside, so `pub` means the usual `pub(crate)` here.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod conformance;
mod examples;
#[cfg(all(unix, feature = "engine"))]
mod interop;
#[cfg(unix)]
mod readme;
mod support;
