//! Runs that have been triggered: status, outcome, cancellation, replay.
//!
//! Everything that waits for a run is a view of one [`RunWatcher`] per client:
//!
//! | view | gives |
//! |---|---|
//! | [`RunHandle::outcome`] | how one run ended |
//! | [`Outcomes`] | how each of many runs ended, in the order of their ends |
//! | [`RunUpdates`] | each status of one run, then how it ended |

mod cancel;
mod details;
mod find;
mod handle;
mod outcome;
mod outcomes;
mod recognition;
mod replay;
mod updates;
mod watcher;

pub(super) use self::watcher::RunWatcher;
pub use self::{
    details::{RunDetails, TaskDetails},
    handle::RunHandle,
    outcome::{RunFailed, RunOutcome},
    outcomes::Outcomes,
    updates::{RunUpdate, RunUpdates},
};
