//! Action ids, by which an engine assigns tasks to workers.

use std::{fmt, str::FromStr};

use super::text::excerpt;

/// An action id: `workflow:task` in lower case.
///
/// Engines match and deliver action ids in lower case. A real engine fails with INTERNAL for upper case in some
/// positions. So the text is converted to lower case when the id is created.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionId(String);

/// A text that is not an action id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid action id \"{0}\": expected <workflow>:<task>")]
pub struct BadAction(String);

impl ActionId {
    /// The action of a task in a workflow.
    pub fn new(workflow: &str, task: &str) -> Result<Self, BadAction> {
        format!("{workflow}:{task}").parse()
    }

    /// The text of the id on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ActionId {
    type Err = BadAction;

    /// Accepts the same ids as a real engine: two or three parts, of which the first two are not empty.
    fn from_str(text: &str) -> Result<Self, BadAction> {
        let mut parts = text.split(':');
        let has_two = parts.next().is_some_and(|p| !p.is_empty()) && parts.next().is_some_and(|p| !p.is_empty());
        parts.next();
        if has_two && parts.next().is_none() { Ok(Self(text.to_lowercase())) } else { Err(BadAction(excerpt(text))) }
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_id_has_two_or_three_parts_in_lower_case() {
        assert_eq!("Flow:Task".parse::<ActionId>().unwrap().as_str(), "flow:task");
        assert!("a:b:c".parse::<ActionId>().is_ok());
        for bad in ["", "a", ":b", "a:", "a:b:c:d"] {
            assert!(bad.parse::<ActionId>().is_err(), "{bad}");
        }
    }
}
