//! Hatchet's embedded sidecar, from both sides: `worker` in its place for the official SDKs, and an official one in the
//! place of our engine.
//!
//! The contract is that of `hatchet_sdk/embedded.py` of hatchet-sdk 1.43.1: flags with one dash, a handshake file that
//! is there as soon as the engine serves, and an end with the end of stdin.

mod official;
mod serve;

pub(super) use official::{Official, Running, VARIABLES};
pub(super) use serve::{main, wanted};
