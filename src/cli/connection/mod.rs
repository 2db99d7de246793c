//! The engine of a command: which it is, and how commands that reach it again are written.

pub(super) mod command;
pub(super) mod engine;
