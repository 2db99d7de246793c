//! Ids of the scheduler's parts. Those of groups and classes are indexes; pools are numbered, as they can be removed.

/// Identifies a fairness group, that is a workflow, in the order of first declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId(pub(super) usize);

/// Identifies a resource class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClassId(pub(super) usize);

/// Identifies a worker pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PoolId(pub(super) u64);
