//! Counters of a worker, and the HTTP server that exposes them with the worker's health.
//!
//! [`Counters`] is written by all parts of the worker with relaxed atomics, so counting never blocks. [`WorkerStats`]
//! is a snapshot of them, which [`RunningWorker::stats`](super::RunningWorker::stats), the Prometheus text and the
//! health endpoints show.

mod counters;
mod histogram;
mod primitives;
mod prometheus;
mod server;
mod stats;

pub(super) use counters::Counters;
pub use histogram::Durations;
pub(super) use primitives::DeliveryGuard;
pub(super) use server::serve;
pub use stats::{AttemptEnd, Slots, TaskStats, WorkerStats};
