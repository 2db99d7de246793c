//! The Hatchet client library: it knows nothing of the tasks, the command line or the embedded engine.
//!
//! - [`wire`]: the contract, and the only door to generated code
//! - [`task`]: what a task is; knows no transport
//! - `transport`: the connection to an engine: settings, TLS, authentication, retries, liveness
//! - [`client`]: talks to an engine
//! - [`worker`]: runs tasks for an engine

pub mod client;
pub(crate) mod os_error;
pub mod task;
mod transport;
pub mod wire;
pub mod worker;
