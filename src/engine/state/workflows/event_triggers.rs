//! The workflows that an event key triggers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Names of workflows.
type Names = BTreeSet<Arc<str>>;

/// The workflows by the event keys that trigger them. A lookup considers the exact key, and the patterns whose text
/// before the first `*` is a prefix of the key.
#[derive(Debug, Default)]
pub(crate) struct EventTriggers {
    exact: HashMap<Arc<str>, Names>,
    /// The patterns, by their text before the first `*`.
    patterns: HashMap<Box<str>, BTreeMap<Arc<str>, Names>>,
    /// The lengths of these texts.
    prefix_lengths: BTreeSet<usize>,
}

impl EventTriggers {
    /// Replaces the keys that trigger a workflow.
    pub(crate) fn replace(&mut self, workflow: &Arc<str>, before: &[Arc<str>], now: &[Arc<str>]) {
        for key in before {
            match prefix(key) {
                Some(prefix) => {
                    let Some(patterns) = self.patterns.get_mut(prefix) else { continue };
                    remove(patterns.get_mut(key), workflow);
                    patterns.retain(|_, workflows| !workflows.is_empty());
                }
                None => remove(self.exact.get_mut(key), workflow),
            }
        }
        self.exact.retain(|_, workflows| !workflows.is_empty());
        self.patterns.retain(|_, patterns| !patterns.is_empty());
        for key in now {
            let workflows = match prefix(key) {
                Some(prefix) => self.patterns.entry(prefix.into()).or_default().entry(key.clone()).or_default(),
                None => self.exact.entry(key.clone()).or_default(),
            };
            workflows.insert(workflow.clone());
        }
        self.prefix_lengths = self.patterns.keys().map(|prefix| prefix.len()).collect();
    }

    /// Returns the workflows that a key triggers, without duplicates.
    pub(crate) fn matching(&self, key: &str) -> Names {
        let prefixes = self.prefix_lengths.range(..=key.len()).filter_map(|length| key.get(..*length));
        let patterns = prefixes.filter_map(|prefix| self.patterns.get(prefix)).flatten();
        let by_pattern = patterns.filter(|(pattern, _)| matches(pattern, key)).map(|(_, names)| names);
        self.exact.get(key).into_iter().chain(by_pattern).flatten().cloned().collect()
    }
}

/// The text of a pattern before its first `*`. `None` for an exact key.
fn prefix(key: &str) -> Option<&str> {
    key.split_once('*').map(|(prefix, _)| prefix)
}

fn remove(workflows: Option<&mut Names>, workflow: &Arc<str>) {
    if let Some(workflows) = workflows {
        workflows.remove(workflow);
    }
}

/// Whether a key matches a pattern, in which `*` matches any text.
fn matches(pattern: &str, key: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| key.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(position) = rest.find(part) else { return false };
        rest = &rest[position + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookup_finds_exact_keys_and_patterns_of_all_prefixes() {
        let mut triggers = EventTriggers::default();
        let to_keys = |keys: &[&str]| keys.iter().map(|key| Arc::from(*key)).collect::<Vec<Arc<str>>>();
        let before = to_keys(&["a:b", "a:*", "ä*"]);
        triggers.replace(&"one".into(), &[], &before);
        triggers.replace(&"two".into(), &[], &to_keys(&["*b", "a:*:c"]));
        let found = |triggers: &EventTriggers, key: &str| {
            triggers.matching(key).iter().map(|name| name.to_string()).collect::<Vec<String>>()
        };
        for (key, expected) in [
            ("a:b", &["one", "two"][..]),
            ("a:c", &["one"]),
            ("a:b:c", &["one", "two"]),
            ("ä", &["one"]),
            ("öb", &["two"]),
            ("", &[]),
        ] {
            assert_eq!(found(&triggers, key), expected, "{key}");
        }
        triggers.replace(&"one".into(), &before, &to_keys(&["a:*"]));
        assert_eq!((found(&triggers, "ä"), found(&triggers, "a:c")), (vec![], vec!["one".to_owned()]));
        triggers.replace(&"one".into(), &to_keys(&["a:*"]), &[]);
        triggers.replace(&"two".into(), &to_keys(&["*b", "a:*:c"]), &[]);
        assert!(triggers.exact.is_empty() && triggers.patterns.is_empty() && triggers.prefix_lengths.is_empty());
    }

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
