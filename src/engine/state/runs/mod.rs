//! Parts of a task: its history and the chunks that it streams.

pub(super) mod chunks;
pub(super) mod history;
