//! Events, schedules and crons, which start runs, and the metadata and idempotency keys of the runs they start.

pub(in crate::engine) mod events;
pub(in crate::engine) mod idempotency;
pub(in crate::engine) mod metadata;
pub(in crate::engine) mod schedules;
