//! The Hatchet client library: it knows nothing of the tasks, the command line or the embedded engine.
//!
//! - [`wire`]: the protocol; the only module that names generated types
//! - [`system`]: private files, host names, errors of the operating system; no protocol
//! - [`task`]: what a task is; knows no transport
//! - `transport`: the connection to an engine: settings, TLS, authentication, retries, liveness
//! - [`client`]: talks to an engine
//! - [`worker`]: runs tasks for an engine

pub mod client;
pub mod system;
pub mod task;
mod transport;
pub mod wire;
pub mod worker;
