//! Tests of the binaries `worker` and `runner`: what they print, and how they end.
//!
//! Each test runs them in a [`Workspace`], a temporary folder with an empty environment.

mod connection;
mod embedded;
mod program;
mod runner;
mod settings;
mod worker;
mod workspace;

pub use program::{Ended, Program, run_async};
pub use workspace::Workspace;
