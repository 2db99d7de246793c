//! Faults: what must hold when links break, processes die and messages make no sense.
//!
//! `make test` runs each in a short form, and asserts no times there but that nothing hangs. `make chaos` runs them in
//! full, asserts times too, and prints a table of faults against what held; with `HATCHET_TEST_TARGET=real` it makes
//! those faults that can be made there to the engine that the environment names.

mod attempts;
mod blocked_thread;
mod busy_cores;
mod child_worker;
#[cfg(feature = "durable")]
mod crash;
mod engine_restart;
mod execution_timeout;
mod fixture;
mod grpc_fuzz;
mod invalid_assignments;
mod link_faults;
mod link_outages;
mod memory;
mod parser_fuzz;
pub mod proxy;
mod sdk_comparison;
mod sigterm;
mod suspend;
mod table;
mod waiting_client;
mod worker_kills;
