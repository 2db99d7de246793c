//! Runs that exist: their status, their outcome, cancellation and replay.

mod cancel;
mod details;
mod outcomes;
mod subscription;
mod wait;
mod watcher;

pub(super) use self::watcher::Results;
pub use self::{
    details::{RunDetails, TaskDetails},
    outcomes::Outcomes,
    wait::RunOutcome,
};
