//! Tests of the binaries `worker` and `runner`: their output and exit codes.
//!
//! Each test runs them in a [`Workspace`], a temporary folder with an empty environment.

mod command_line;
mod connection;
mod dev;
mod embedded;
mod program;
mod runner;
mod settings;
#[cfg(target_os = "linux")]
mod terminal;
mod worker;
mod workspace;

pub use program::{Program, ProgramOutput, run_async};
pub use workspace::{OPENER, Workspace};
