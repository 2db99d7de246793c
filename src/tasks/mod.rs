//! The tasks of this application, one file for each, and the list of all of them.
//!
//! To add a task: write its file, add a `mod` line, and add its `task()` to [`all`].
//!
//! The tasks are compiled into each binary and not into the library, so that a changed task does not rebuild the
//! library.

// Each binary uses a part of the tasks' items.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod cpu_heavy;
pub mod externally_triggered;
pub mod sync_sleep;

use hatchet_quickstart::hatchet::task::ErasedTask;

/// Returns all tasks, in the order of `runner --list-tasks`.
pub fn all() -> Vec<ErasedTask> {
    vec![
        externally_triggered::task().erase(),
        sync_sleep::task().erase(),
        cpu_heavy::task().erase(),
        // Your tasks go here.
    ]
}
