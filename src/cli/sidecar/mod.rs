//! Hatchet's embedded sidecar, from both sides: `worker` can be one for the official SDKs ([`serve`]), and can start an
//! official one in place of the embedded engine ([`start`]).
//!
//! The contract is that of `hatchet_sdk/embedded.py` in hatchet-sdk 1.43.1: flags with one dash, a handshake file that
//! appears when the engine serves, and an end of the sidecar when its stdin ends.

mod serve;
mod start;

pub(super) use serve::{main, sidecar_args};
pub(super) use start::{OfficialSidecar, RunningSidecar, VARIABLES};
