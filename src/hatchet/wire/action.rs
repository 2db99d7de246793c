//! Action ids: what a task is matched to a worker by.

use std::{fmt, str::FromStr};

/// `workflow:task`, lower-case.
///
/// Engines match and deliver action ids in lower case, and a real one fails with INTERNAL on some upper-case
/// positions; so the case is folded when the id is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionId(String);

/// Text that is no action id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an action id: expected <workflow>:<task>")]
pub struct BadAction(String);

impl ActionId {
    /// The action of a task in a workflow.
    pub fn new(workflow: &str, task: &str) -> Result<Self, BadAction> {
        format!("{workflow}:{task}").parse()
    }

    /// The id as it goes on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ActionId {
    type Err = BadAction;

    /// Two or three parts, the first two not empty: the rule of a real engine.
    fn from_str(text: &str) -> Result<Self, BadAction> {
        let mut parts = text.split(':');
        let two = parts.next().is_some_and(|p| !p.is_empty()) && parts.next().is_some_and(|p| !p.is_empty());
        parts.next();
        if two && parts.next().is_none() {
            Ok(Self(text.to_lowercase()))
        } else {
            Err(BadAction(text.chars().take(200).collect()))
        }
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
    fn parts_and_case() {
        assert_eq!("Flow:Task".parse::<ActionId>().unwrap().as_str(), "flow:task");
        assert!("a:b:c".parse::<ActionId>().is_ok());
        for bad in ["", "a", ":b", "a:", "a:b:c:d"] {
            assert!(bad.parse::<ActionId>().is_err(), "{bad}");
        }
    }
}
