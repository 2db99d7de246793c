//! Observation of attempts: the current attempt, hooks before and after a body, and a `tracing` layer for logs of runs.

mod current;
mod hooks;
mod log_layer;

pub(in crate::hatchet) use hooks::Hooks;
pub use hooks::{AttemptOutcome, AttemptReport};
pub use log_layer::LogLayer;
