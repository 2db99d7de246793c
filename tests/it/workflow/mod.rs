//! Workflows and options of this library: real workers on the engine under test.
//!
//! `HATCHET_TEST_TARGET` chooses the engine, as for the conformance suite: the embedded one by default, `durable` or
//! `real`.

mod concurrency;
mod conditions;
mod control;
mod dag;
mod fixture;
mod placement;
mod rate_limits;
mod triggers;
