//! The data of an attempt, as JSON.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The input of an attempt with the results of other tasks of its run, as the engine sends them.
#[derive(Debug, Clone, Default)]
pub(in crate::hatchet) struct AttemptInput {
    /// The run's input, a JSON object.
    pub(in crate::hatchet) input: String,
    /// The outputs of the task's parents by task name.
    pub(in crate::hatchet) parents: BTreeMap<String, Box<RawValue>>,
    /// The error texts of the failed tasks by task name. Only in an on-failure task.
    pub(in crate::hatchet) errors: BTreeMap<String, String>,
}

#[cfg(test)]
impl AttemptInput {
    /// Creates the data of an attempt without parents.
    pub(super) fn new(input: &str) -> Self {
        Self { input: input.to_owned(), ..Self::default() }
    }
}
