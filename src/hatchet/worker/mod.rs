//! Executes tasks for an engine.
//!
//! ```text
//!                 connection thread                                  executors of bodies
//!  engine ─▶ session ─▶ attempt: dispatch ─▶ execute ── slot ──▶ async | blocking | cpu
//!         ◀──────────── attempt: report ◀─── outcome ◀───────────────────┘
//! ```
//!
//! | part | purpose |
//! |---|---|
//! | `builder`, `options` | [`Worker`] and [`WorkerOptions`]: the tasks and settings of a worker before its start |
//! | `handle` | [`RunningWorker`]: stops and observes a started worker |
//! | `lifecycle` | starts the connection thread, connects the other parts, shuts down |
//! | `session` | registers with the engine, receives assignments, sends heartbeats, reconnects |
//! | `attempt` | executes one assignment, from slot permit to acknowledged outcome |
//! | `drain` | stops the intake, waits for running attempts, cancels the others |
//! | `children` | starts, awaits and cancels the child runs of attempts |
//! | `run_log` | `tracing` events about the start and the end of each attempt |
//! | `watchdog` | warns about async bodies that block their thread |
//! | `health` | counters, health checks and metrics over HTTP |
//! | `labels` | the labels of the worker, and their changes |
//! | `state` | [`WorkerState`], the source of readiness |
//! | `message_size`, `name_list` | the size check before a call, and lists of names in log lines |
//!
//! No user code runs on the connection thread, so heartbeats, reports and health checks continue while tasks block
//! every other thread. The path of that thread from a message to a running body contains no await on a call or lock.
//!
//! Dependencies go one way: `lifecycle` → `drain`, `watchdog` → `session` → `attempt` → `children`, `run_log` →
//! `health` → `state`.

mod attempt;
mod builder;
mod children;
mod drain;
mod handle;
mod health;
mod labels;
mod lifecycle;
mod message_size;
mod name_list;
mod options;
mod run_log;
mod session;
mod state;
mod watchdog;

pub use builder::Worker;
pub use drain::DrainOutcome;
pub use handle::RunningWorker;
pub use health::{AttemptEnd, Durations, Slots, TaskStats, WorkerStats};
pub(crate) use name_list::list_names;
pub use options::WorkerOptions;
pub use state::{RegisteredWorker, Registration, WorkerState};
