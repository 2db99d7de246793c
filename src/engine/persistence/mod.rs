//! Persistence: records, collections that track their changes, the commit barrier and the database.

pub(super) mod barrier;
pub(super) mod records;
pub(super) mod row;
#[cfg(feature = "durable")]
pub(super) mod store;
pub(super) mod tracked;
