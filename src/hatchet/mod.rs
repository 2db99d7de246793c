//! The Hatchet client library. It does not depend on the tasks, the command line or the embedded engine.
//!
//! - [`task`]: tasks with their types, options and errors; uses no transport
//! - [`client`]: triggers runs and waits for their results
//! - [`worker`]: registers tasks with an engine and runs them
//! - [`testing`]: runs a task's body without an engine
//! - `transport`: the connection to an engine: settings, TLS, authentication, retries, liveness
//! - [`wire`]: the protocol; the only module that names generated types
//! - [`system`]: private files, host names, connection limits, operating system errors; no protocol

pub mod client;
pub mod system;
pub mod task;
pub mod testing;
mod transport;
pub mod wire;
pub mod worker;
