//! Assigning queued tasks to workers: one queue for each kind of work, one pool for each kind of worker.

pub(super) mod pool;
pub(super) mod queues;
