//! Hatchet's embedded sidecar, from both sides: `worker` can serve the official SDKs as their sidecar ([`serve`]), and
//! can start an official sidecar instead of the embedded engine ([`start`]).
//!
//! The contract is defined by `hatchet_sdk/embedded.py` in hatchet-sdk 1.43.1: flags have one dash, the sidecar writes
//! a handshake file when it serves, and it exits when its stdin is closed.

mod serve;
mod start;

pub(super) use serve::{main, sidecar_args};
pub(super) use start::{OfficialSidecar, RunningSidecar, VARIABLES};
