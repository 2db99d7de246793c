//! Chooses and finds the engine of a command, and renders the commands that messages suggest.

mod args;
mod choice;
mod commands;
mod handshake;

pub(super) use args::{ConnectionArgs, EmbeddedMode, long_help};
pub(super) use choice::{EngineChoice, choose_engine};
pub(super) use commands::{CommandRenderer, render_command};
#[cfg(feature = "engine")]
pub(super) use handshake::wait_for_handshake;
pub(super) use handshake::{client_config, find_handshake, not_running};
