//! The embedded development engine.

mod assignment;
mod driver;
mod error;
mod folder;
mod grpc;
mod idempotency;
mod mailbox;
mod metadata;
mod options;
mod rest;
mod running;
mod serve;
mod state;
mod subscriptions;
#[cfg(test)]
mod tests;
mod token;

pub use error::{EngineError, EngineErrorKind};
pub use folder::find;
pub use options::{EngineOptions, Timings};
pub use running::Engine;
