//! What a worker counts, and how it shows that over HTTP.

mod histogram;
mod prometheus;
mod server;
mod stats;

pub use histogram::Durations;
pub(super) use server::serve;
pub use stats::{AttemptEnd, Slots, TaskStats, WorkerStats};
pub(super) use stats::{OnItsWay, Stats};
