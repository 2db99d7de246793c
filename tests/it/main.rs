//! The integration tests, in one binary.

// Nothing of a test binary can be reached from outside, so `pub` means `pub(crate)` here.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[cfg(feature = "engine")]
mod bench;
#[path = "../../src/build.rs"]
#[allow(dead_code, reason = "its tests run here")]
mod build_script;
mod calling;
#[cfg(all(unix, feature = "engine"))]
mod chaos;
mod conformance;
#[cfg(all(unix, feature = "engine"))]
mod dashboard;
mod documented;
mod examples;
#[cfg(feature = "engine")]
mod fake;
mod generated;
#[cfg(all(unix, feature = "engine"))]
mod http;
#[cfg(all(unix, feature = "engine"))]
mod interop;
#[cfg(all(unix, feature = "engine"))]
mod process;
#[cfg(unix)]
mod readme;
mod structure;
mod support;
#[path = "../../src/tasks/mod.rs"]
mod tasks;
#[cfg(feature = "testing")]
mod virtual_time;
#[cfg(feature = "engine")]
mod worker;
mod workflow;
