//! Child runs: runs that a body starts.
//!
//! A child is made once, however often its parent is retried: the engine identifies it by its parent and by its
//! [key](ChildRun::key), or by the position of the call in the body. A retried body that makes the same calls in the same
//! order therefore gets the runs of its earlier attempts.
//!
//! ```text
//!  Context::run ──▶ ChildRun ── await ──▶ ChildRunner::start ──▶ ChildRunner::outcome ──▶ O
//!                                          │ worker: its client
//!                                          └ test: the outputs that the test states
//! ```

mod call;
mod error;
mod runner;

pub use call::{ChildItem, ChildRef, ChildRun, ChildRunMany, ChildRunManyNoWait, ChildRunNoWait};
pub use error::ChildError;
pub(in crate::hatchet::task) use runner::Children;
pub(in crate::hatchet) use runner::{ChildOutcome, ChildRequest, ChildRunner};
