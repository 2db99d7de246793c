//! Persistence of the state across restarts.
//!
//! | module | provides |
//! |---|---|
//! | `tracked` | collections that track their changes |
//! | `records` | the stored form of each kind of value |
//! | `limit_records`, `trigger_records` | the stored form of limits, and of triggers |
//! | `row` | rows and batches of row changes |
//! | `barrier` | the commit barrier, which withholds responses until a batch is written |
//! | `writer` | writing a batch, with retries |
//! | `store` | the database file |
//!
//! No module here depends on the state machine, which converts its values to records and back.

pub(super) mod barrier;
pub(super) mod limit_records;
pub(super) mod records;
pub(super) mod row;
#[cfg(feature = "durable")]
pub(super) mod store;
pub(super) mod tracked;
pub(super) mod trigger_records;
#[cfg(feature = "durable")]
pub(super) mod writer;
