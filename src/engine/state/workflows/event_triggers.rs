//! The workflows that an event key triggers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The workflows by the event keys that trigger them. The cost of a look-up is O(1) for exact keys and O(n) for patterns.
#[derive(Debug, Default)]
pub(crate) struct EventTriggers {
    exact: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    patterns: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl EventTriggers {
    /// Replaces the keys that trigger a workflow.
    pub(crate) fn replace(&mut self, workflow: &Arc<str>, before: &[Arc<str>], now: &[Arc<str>]) {
        for key in before {
            let (exact, patterns) = (self.exact.get_mut(key), self.patterns.get_mut(key));
            for workflows in exact.into_iter().chain(patterns) {
                workflows.remove(workflow);
            }
        }
        self.exact.retain(|_, workflows| !workflows.is_empty());
        self.patterns.retain(|_, workflows| !workflows.is_empty());
        for key in now {
            let workflows = if key.contains('*') {
                self.patterns.entry(key.clone()).or_default()
            } else {
                self.exact.entry(key.clone()).or_default()
            };
            workflows.insert(workflow.clone());
        }
    }

    /// The workflows that a key triggers, each once.
    pub(crate) fn matching(&self, key: &str) -> BTreeSet<Arc<str>> {
        let by_pattern = self.patterns.iter().filter(|(pattern, _)| matches(pattern, key)).map(|(_, names)| names);
        self.exact.get(key).into_iter().chain(by_pattern).flatten().cloned().collect()
    }
}

/// Whether a key matches a pattern, in which `*` matches any text.
fn matches(pattern: &str, key: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| key.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcard_matches_any_text() {
        for (pattern, key, expected) in [
            ("a:b", "a:b", true),
            ("a:b", "a:bc", false),
            ("a:*", "a:", true),
            ("a:*", "a:b:c", true),
            ("a:*", "A:b", false),
            ("*", "", true),
            ("*:end", "x:end", true),
            ("*:end", "x:end:", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a**a", "aa", true),
        ] {
            assert_eq!(matches(pattern, key), expected, "{pattern} {key}");
        }
    }
}
