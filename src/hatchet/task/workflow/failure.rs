//! The failure of a task, as an on-failure body receives it.

use std::{collections::BTreeMap, fmt};

use crate::hatchet::wire::Failure;

/// The failure of a task of a workflow, after its last attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFailure {
    task: String,
    text: String,
}

impl TaskFailure {
    /// Reads the failures from error texts by task name.
    pub(super) fn read_all(errors: &BTreeMap<String, String>) -> Vec<Self> {
        errors.iter().map(|(task, text)| Self { task: task.clone(), text: text.clone() }).collect()
    }

    /// Returns the name of the failed task, in lower case.
    pub fn task(&self) -> &str {
        &self.task
    }

    /// Returns the error's type, such as `ParseIntError`; `None` if the text has no type.
    pub fn type_name(&self) -> Option<&str> {
        Failure::parse(&self.text).type_name
    }

    /// Returns the error's message, without its type and causes.
    pub fn message(&self) -> String {
        Failure::parse(&self.text).message.into_owned()
    }

    /// Returns the number of the last attempt, from 1; `None` if the worker did not report it. Workers of this crate
    /// do.
    pub fn attempts(&self) -> Option<u32> {
        Failure::parse(&self.text).attempt
    }

    /// Returns the whole error text: type, message, causes.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for TaskFailure {
    /// Task, type and message in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.task, Failure::parse(&self.text))
    }
}
