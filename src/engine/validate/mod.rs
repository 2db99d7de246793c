//! Validation of requests.

pub(super) mod definition;
mod parents;
pub(super) mod payload;
pub(super) mod trigger;
