//! Worker and client of the library: against the embedded engine in memory, and against a scripted one where an
//! engine has to misbehave.

mod bodies;
mod capacity;
mod drain;
mod health;
mod heartbeat;
mod link;
mod liveness;
mod lost_answer;
mod overdue;
mod registrations;
mod report;
mod retries;
mod stand;
mod survival;
mod token;
mod trigger;
mod wait;

pub use stand::{Stand, options, within};
