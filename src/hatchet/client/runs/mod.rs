//! Operations on triggered runs: status, outcome, events, cancellation, replay, search by metadata.
//!
//! All waits for runs use the one [`RunWatcher`](super::watcher::RunWatcher) of the client:
//!
//! | wait | returns |
//! |---|---|
//! | [`RunRef::outcome`] | the outcome of one run |
//! | [`Outcomes`] | the outcomes of many runs, in the order in which they finish |
//! | [`RunUpdates`] | each status of one run, then its outcome |

mod cancel;
mod find;
mod outcomes;
mod run_ref;
mod updates;

pub use self::{
    outcomes::Outcomes,
    run_ref::RunRef,
    updates::{RunUpdate, RunUpdates},
};
