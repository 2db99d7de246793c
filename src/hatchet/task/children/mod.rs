//! The interface through which a context starts child runs, and their errors.
//!
//! ```text
//!  Context::run ──▶ ChildRun ── await ──▶ ChildRunner::start ──▶ ChildRunner::outcome ──▶ output
//!                                          │ worker: its client
//!                                          └ test: the outputs that the test states
//! ```

mod error;
mod runner;

pub use error::ChildError;
pub(in crate::hatchet::task) use runner::Children;
pub(in crate::hatchet) use runner::{ChildOutcome, ChildRequest, ChildRunner};
