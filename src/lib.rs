//! Hatchet in Rust: a typed client library for the task queue [Hatchet](https://hatchet.run), a worker and a runner
//! built on it, and an embedded engine for development. The [`guide`] explains its use; this page is a map of the code
//! in reading order:
//!
//! - [`prelude`]: the items that a task file and a caller import
//! - [`hatchet::task`]: tasks with their types, options and errors
//! - [`hatchet::client`]: triggers runs and waits for their results
//! - [`hatchet::worker`]: registers tasks with an engine and runs them
//! - [`hatchet::testing`]: runs a task's body without an engine
//! - [`hatchet::wire`]: the protocol between client, worker and engine
//! - [`engine`]: the embedded engine, which is connected to the other modules by the protocol only
//! - [`mod@bench`]: triggers many runs and measures them
//! - [`cli`]: the command lines of the two binaries
//!
//! The binaries `worker` and `runner` contain the tasks of the application (`src/tasks`), pass them to [`cli::worker`]
//! and [`cli::runner`], and return their exit codes. A binary of another crate can do the same with its own tasks.

#![warn(missing_debug_implementations)]

pub mod bench;
pub mod cli;
#[cfg(feature = "engine")]
pub mod engine;
pub mod guide;
pub mod hatchet;
pub mod prelude;

// The tasks of the application belong to the binaries, see src/tasks. Here they are compiled for the unit tests only.
#[cfg(test)]
extern crate self as hatchet_quickstart;
#[cfg(test)]
mod tasks;
