//! Runs that have been triggered: status, outcome, cancellation, replay.
//!
//! Everything that waits for a run is a view of one [`RunWatcher`] per client:
//!
//! | view | gives |
//! |---|---|
//! | [`RunRef::outcome`](super::RunRef::outcome) | how one run ended |
//! | [`Outcomes`] | how each of many runs ended, in the order of their ends |
//! | [`RunUpdates`] | each status of one run, then how it ended |

mod cancel;
mod details;
mod find;
mod outcome;
mod outcomes;
mod recognition;
mod replay;
mod updates;
mod wait;
mod watcher;

pub use self::{
    details::{RunDetails, TaskDetails},
    outcome::RunOutcome,
    outcomes::Outcomes,
    updates::{RunUpdate, RunUpdates},
};
pub(super) use self::{recognition::Recognition, watcher::RunWatcher};
