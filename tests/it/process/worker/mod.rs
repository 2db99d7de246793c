//! The worker: draining, and its health server.

mod drain;
mod health;
