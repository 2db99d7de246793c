//! Load generation: submits the runs of a plan on schedule and waits until they finish.
//!
//! [`generator`] is the only loop. It drives the other parts: the order and times of submissions ([`schedule`]), the
//! calls ([`submit`]), the detection of outages ([`outage`]), the progress ([`progress`], [`histogram`]), and the slots
//! of the workers ([`slots`]).

mod generator;
mod histogram;
mod outage;
mod progress;
mod schedule;
mod slots;
mod submit;

pub(super) use generator::LoadGenerator;
pub use slots::serves;
