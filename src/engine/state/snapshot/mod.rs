//! The stored form of the state: its changes as rows, and a state restored from rows.
//!
//! Stored is what cannot be recomputed: runs, tasks, workers and the rest of the tracked collections. Recomputed at a
//! restart are the queues, timers, blockers, slots in use and all indexes. Not preserved are streams, subscribers and
//! buffered chunks.
//!
//! Deadlines are stored as times of the wall clock, the only clock that goes on between two starts, and become instants
//! of the monotonic clock again. As somebody may have set the wall clock in between, no restored wait is longer than
//! what was declared.

mod restore;
mod restore_runs;
mod save;
mod texts;

#[cfg(any(feature = "durable", test))]
pub(crate) use self::restore::Restore;
