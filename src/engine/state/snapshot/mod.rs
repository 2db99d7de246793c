//! The stored form of the state: writing its changes as rows, and restoring the state from rows.

pub(super) mod load;
mod save;
