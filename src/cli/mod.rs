//! The command line: the binaries `worker` and `runner`.
//!
//! This is the only module that puts client, worker and engine together. Each command validates its arguments
//! twice: as typed (`Args`, by clap), and as a `Request`, which is complete and correct. Later steps see the request
//! only.
//!
//! | module | contents |
//! |---|---|
//! | [`runner`] | triggers a task and follows its run; lists and changes the resources of an engine |
//! | `bench`, `doctor` | the commands `runner bench` and `runner doctor` |
//! | [`worker`] | registers tasks and runs them, with the embedded engine if requested |
//! | `sidecar` | serving as Hatchet's embedded sidecar, and starting an official sidecar |
//! | `connection` | choice of the engine, and its flags |
//! | `dashboard`, `browser` | the dashboard of an engine, and opening it |
//! | `completions` | completion scripts for shells |
//! | `task_registry` | the tasks of the application, found by name |
//! | `online_workers` | the workers that serve a task, from the engine's list |
//! | `settings` | reading of inputs, and `--explain-config` |
//! | `output` | stdout, stderr and logs |
//! | `exit`, `deadline`, `signals`, `runtime` | exit codes, `--timeout`, signals, and the tokio runtime of a command |

mod bench;
mod browser;
mod completions;
mod connection;
mod dashboard;
mod deadline;
mod doctor;
mod exit;
mod online_workers;
mod output;
pub mod runner;
mod runtime;
mod settings;
#[cfg(feature = "engine")]
mod sidecar;
mod signals;
mod task_registry;
pub mod worker;

pub use exit::Exit;
