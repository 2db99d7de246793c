//! The registrations of a worker process with the engine, each with its stream of assignments and its heartbeats.

mod first_registration;
mod registration;
mod state;
mod stream;

pub(super) use first_registration::first_registration;
pub(super) use registration::{Registration, register, registrations};
pub(super) use state::Links;
pub(super) use stream::{Ended, run};
