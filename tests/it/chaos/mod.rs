//! Faults: what must hold when links break, processes die and messages make no sense.
//!
//! `make test` runs each in a short form, and asserts no times there but that nothing hangs. `make chaos` runs them in
//! full, asserts times too, and prints a table of faults against what held; with `HATCHET_TEST_TARGET=real` it makes
//! those faults that can be made there to the engine that the environment names.

mod attempts;
mod blocked;
mod busy;
mod child;
#[cfg(feature = "durable")]
mod crash;
mod cuts;
mod doors;
mod fuzz;
mod junk;
mod kills;
mod memory;
mod outage;
mod overdue;
mod peers;
pub mod proxy;
mod restart;
mod sigterm;
mod site;
mod subscription;
mod suspend;
mod table;
