//! One attempt of a task, from its assignment to the engine's acknowledgement of its outcome.
//!
//! ```text
//!  stream message ─▶ dispatch ─▶ execute ── slot permit ──▶ body: async | blocking | cpu
//!                       │           │  emissions ◀─ logs, chunks ─┤
//!                       │           └─ supervise ◀─ outcome ──────┘
//!                       │                 │
//!                     table             outcome ─▶ report ─▶ engine
//! ```
//!
//! - `dispatch` never waits: no call, no lock across an await. It parses the message and spawns the attempt.
//! - An attempt is in the `table` from its assignment until its outcome is acknowledged. A second assignment of the
//!   same attempt is ignored, even after the attempt has finished.
//! - A body has a slot permit while it runs. The permit is released when the body ends, not when the attempt is
//!   reported: a body on a thread that ignores its cancellation keeps its slot.
//! - STARTED, log lines and chunks are informative, so sending them is retried for seconds at most. The outcome
//!   determines the status of the run, so its report is retried for 5 minutes.

mod assignment;
mod body;
mod control;
mod cpu_pool;
mod dispatch;
mod emissions;
mod execute;
mod outcome;
mod report;
mod resources;
mod span;
mod supervise;
mod table;

pub(super) use cpu_pool::CpuPool;
pub(super) use dispatch::{dispatch, start};
pub(super) use resources::{WorkerResources, action_id};
#[cfg(test)]
pub(super) use table::RunningAttempt;
pub(super) use table::{AttemptKey, AttemptTable, Outstanding};
