//! Load generation: submits the runs of a plan on schedule and waits for their ends.
//!
//! [`generator`] is the only loop; the other files are the state that it drives: what to submit next ([`schedule`]) and
//! how ([`submit`]), whether the engine answers ([`outage`]), what the caller sees ([`progress`], [`histogram`]), and the
//! slots of the workers ([`slots`]).

mod generator;
mod histogram;
mod outage;
mod progress;
mod schedule;
mod slots;
mod submit;

pub(super) use generator::LoadGenerator;
pub use slots::serves;
