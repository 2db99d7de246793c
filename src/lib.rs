//! The Hatchet quickstart in Rust. The [`guide`] explains its use; this page is a map of the code in reading order:
//!
//! - [`tasks`]: what a user writes, one file for each task
//! - [`hatchet::task`]: what a task is
//! - [`hatchet::client`]: trigger a run and wait for it
//! - [`hatchet::worker`]: run tasks for an engine
//! - [`hatchet::wire`]: the contract between them and an engine
//! - [`engine`]: the embedded development engine, which meets the rest on the wire only
//! - [`mod@bench`]: the benchmark: submits many runs and measures them
//! - [`cli`]: the command line of the binaries
//!
//! The binaries `worker` and `runner` are [`cli::worker`] and [`cli::runner`] with an exit code.

pub mod bench;
pub mod cli;
#[cfg(feature = "engine")]
pub mod engine;
pub mod guide;
pub mod hatchet;
pub mod tasks;
