//! Settings and inputs: how they are read, and how `--explain-config` shows them.

pub(super) mod bounded;
pub(super) mod explain;
