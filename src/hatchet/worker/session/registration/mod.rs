//! Registration of workflows and workers with the engine.

mod definition;
mod register;
mod workflow_request;

pub(in crate::hatchet::worker) use definition::worker_definitions;
pub(super) use {definition::WorkerDefinition, register::register};
