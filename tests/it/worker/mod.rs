//! Tests of the worker and the client, against the embedded engine in memory and against a scripted engine that
//! misbehaves.

mod bodies;
mod calls;
mod capacity;
mod declaration;
mod drain;
mod fixture;
mod health;
mod heartbeat;
mod invalid_messages;
mod liveness;
mod lost_assignments;
mod lost_response;
mod reconnect;
mod registrations;
mod report;
mod retries;
mod timeouts;
mod token;
mod trigger;
mod wait;

pub use fixture::{Fixture, listening_worker, options, until_paused, within};
