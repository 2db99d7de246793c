//! Ids of the scheduler's parts: indexes into its vectors, except for pools, which are removed with their last worker.

/// Identifies a fairness group, that is a workflow, in the order of first declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId(pub(super) usize);

/// Identifies a resource class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClassId(pub(super) usize);

/// Identifies a worker pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PoolId(pub(super) u64);
