//! What an engine must do, said with raw stubs: one case, one rule, named by it.
//!
//! The engine under test is the target:
//!
//! - The embedded engine, always, each case with one of its own: `cargo test --test it conformance`
//! - The same with a folder that keeps everything: `HATCHET_TEST_TARGET=durable cargo test --test it conformance`
//! - A real Hatchet, when told so and where it is:
//!   `HATCHET_TEST_TARGET=real HATCHET_CLIENT_TOKEN=… cargo test --test it conformance`, for an engine without TLS
//!   with `HATCHET_CLIENT_TLS_STRATEGY=none`. `HATCHET_CLIENT_HOST_PORT` and `HATCHET_CLIENT_SERVER_URL` win over the
//!   addresses in the token. A token that merely happens to be set sends nothing to anyone.
//!
//! Most of the time is waiting, so `-- --test-threads=16` makes either several times faster.
//!
//! On a real Hatchet each case names what it makes with a random prefix and touches nothing else: it leaves behind a
//! few workflows and finished runs, and no worker that listens. Set `HATCHET_TEST_SLOW=1` to add the cases that wait
//! for an engine's own long times.
//!
//! The truth is what a real engine was seen to do (v0.101.27). Where the embedded engine differs on purpose, a case
//! asks [`deviations`], and nothing else, which of the two it may expect.

mod affinity;
mod assignment;
mod cancel;
mod children;
mod connection;
mod crons;
mod definitions;
mod deviations;
mod event_stream;
mod idempotency;
mod listen;
mod logs;
mod lost_worker;
mod metadata_filter;
mod metadata_stream;
mod multi_task;
mod outcome;
mod register;
mod replay;
mod rest;
mod retries;
mod run_details;
mod run_stream;
mod slots;
mod timeouts;
mod trigger;
mod triggered_by;
