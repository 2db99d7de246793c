//! Fault tests: broken links, killed processes, invalid messages.
//!
//! `make test` runs a short form of each, which asserts the outcome but no times. `make chaos` runs them in full,
//! asserts times, and prints a table of faults and results. With `HATCHET_TEST_TARGET=real` it injects the faults that
//! are possible there on the engine that the environment names.

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
