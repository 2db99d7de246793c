//! The Hatchet client library. It does not depend on the tasks, the command line or the embedded engine.
//!
//! - [`task`]: tasks with their types, options and errors; uses no transport
//! - [`client`]: triggers runs and waits for their results
//! - [`worker`]: registers tasks with an engine and runs them
//! - [`testing`]: runs a task's body without an engine
//! - [`wire`]: the protocol, and the only module that names generated code

pub mod client;
pub(crate) mod os_error;
pub mod task;
pub mod testing;
pub mod wire;
pub mod worker;
