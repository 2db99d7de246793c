//! The conformance suite: required behavior of an engine, tested with raw gRPC stubs and REST. One test checks one
//! rule.
//!
//! `HATCHET_TEST_TARGET` chooses the engine under test, the target:
//!
//! - By default the embedded engine in memory, one for each test: `cargo test --test it conformance`
//! - The embedded engine with a folder: `HATCHET_TEST_TARGET=durable cargo test --test it conformance`
//! - A real Hatchet: `HATCHET_TEST_TARGET=real HATCHET_CLIENT_TOKEN=… cargo test --test it conformance`, with
//!   `HATCHET_CLIENT_TLS_STRATEGY=none` for an engine without TLS. `HATCHET_CLIENT_HOST_PORT` and
//!   `HATCHET_CLIENT_SERVER_URL` override the addresses in the token. Without `HATCHET_TEST_TARGET=real`, a token in
//!   the environment is not used.
//!
//! On a real Hatchet each test adds a random prefix to its workflows and workers and touches nothing else. It leaves a
//! few workflows and finished runs, and no listening worker. `HATCHET_TEST_SLOW=1` adds the tests that wait for long
//! timeouts of the engine.
//!
//! The reference is the observed behavior of real engines (v0.101.27, v0.104.7). Where the embedded engine differs on purpose, a
//! test queries [`deviations`] for the expected behavior.

mod affinity;
mod assignment;
mod cancel;
mod children;
mod concurrency;
mod conditions;
mod connection;
mod crons;
mod definitions;
mod deviations;
mod event_stream;
mod filters;
mod idempotency;
mod listen;
mod logs;
mod lost_worker;
mod metadata_filter;
mod metadata_stream;
mod multi_task;
mod outcome;
mod rate_limits;
mod register;
mod replay;
mod rest;
mod rest_details;
mod rest_lists;
mod retries;
mod run_details;
mod run_stream;
mod slots;
mod sticky;
mod timeouts;
mod trigger;
mod triggered_by;
mod workflows;
