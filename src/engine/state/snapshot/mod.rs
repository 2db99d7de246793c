//! Conversion of the state to stored rows and back.
//!
//! | part of the state | at a restart |
//! |---|---|
//! | tracked collections: runs, tasks, workers, … | stored and restored |
//! | queues, timers, blockers, slots in use, indexes | recomputed |
//! | streams, subscribers, buffered chunks | lost |
//!
//! Deadlines are stored as times of the wall clock, the only clock that continues between two starts, and are converted
//! back to the monotonic clock. As the wall clock may have been set in between, no restored wait is longer than the
//! declared wait.

mod conditions;
mod limits;
mod restore;
mod restore_runs;
mod save;
mod text;
mod workflows;

#[cfg(any(feature = "durable", test))]
pub(crate) use self::restore::{Restore, Validate, ValidateFilter};
