//! Triggers: calls that start runs.
//!
//! A trigger must not start a run twice, and must report whether a run was started. So each failure is classified by
//! whether it proves that nothing was started ([`failure`]), and after a lost response the client searches for the run
//! ([`lost_response`]):
//!
//! ```text
//!  validate ──▶ connect ──▶ send ──▶ accepted ─────────────────────▶ run
//!                            │ ▲
//!                            │ └── not started, temporary: repeated, up to 5 attempts
//!                            ├──▶ refused ─────────────────────────▶ error
//!                            └──▶ may have started: search the list of runs
//!                                         ├──▶ found ──────────────▶ run
//!                                         └──▶ not found ──────────▶ Unconfirmed
//! ```

mod batches;
mod bulk;
mod call;
mod collision;
mod failure;
mod lost_response;
mod reachable;
mod request;
mod single;

pub(in crate::hatchet::client) use self::{
    bulk::BULK_CALLS,
    failure::{failed as trigger_failed, may_be_repeated},
};
pub(crate) use self::{
    failure::may_have_started,
    request::{Parent, TriggerOptions},
};
