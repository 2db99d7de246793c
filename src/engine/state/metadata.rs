//! Additional metadata of runs: a JSON object with arbitrary keys. Keys that start with `hatchet__` are the engine's.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{engine::state::time::Timestamp, hatchet::wire::RunId};

/// Metadata of a schedule or cron that was created without any, which REST shows as null. Its runs have an empty
/// object.
pub(crate) const NO_METADATA: &str = "null";

/// Prefix of the keys that the engine sets.
const ENGINE_PREFIX: &str = "hatchet__";

/// Builds the metadata of a child run from the metadata of the parent's run, without the engine's keys, the given
/// metadata, and the ids of the parent's run and task. A given value replaces an inherited value. The parent's ids
/// replace given ids, since SDKs copy the metadata of the parent.
pub(crate) fn for_child(given: &str, inherited: &str, run: RunId, task: RunId) -> Arc<str> {
    edit(inherited, |map| {
        map.retain(|name, _| !name.starts_with(ENGINE_PREFIX));
        map.extend(serde_json::from_str::<Map<String, Value>>(given).unwrap_or_default());
        map.insert("hatchet__parent_workflow_run_id".into(), run.to_string().into());
        map.insert("hatchet__parent_step_run_id".into(), task.to_string().into());
    })
}

/// The metadata of a run that an event triggers: the given metadata without the engine's keys, plus the event.
pub(crate) fn for_event(given: &str, id: Uuid, key: &str) -> Arc<str> {
    edit(given, |map| {
        map.retain(|name, _| !name.starts_with(ENGINE_PREFIX) || name.starts_with("hatchet__source_"));
        map.insert("hatchet__event_id".into(), id.to_string().into());
        map.insert("hatchet__event_key".into(), key.into());
    })
}

/// The metadata of a run that a cron triggers: the given metadata plus the cron.
pub(crate) fn for_cron(given: &str, expression: &str, name: &str, due: Timestamp) -> Arc<str> {
    edit(given, |map| {
        map.insert("hatchet__cron_expression".into(), expression.into());
        map.insert("hatchet__cron_scheduled_at".into(), due.to_string().into());
        if !name.is_empty() {
            map.insert("hatchet__cron_name".into(), name.into());
        }
    })
}

fn edit(metadata: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Arc<str> {
    let mut map = serde_json::from_str(metadata).unwrap_or_default();
    change(&mut map);
    Value::Object(map).to_string().into()
}

/// The pairs that a [`PairFilter`] can match: those with string values.
pub(crate) fn pairs(metadata: &str) -> impl Iterator<Item = (String, String)> {
    let map: Map<String, Value> = serde_json::from_str(metadata).unwrap_or_default();
    map.into_iter().filter_map(|(key, value)| match value {
        Value::String(text) => Some((key, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// The pairs of a metadata filter. The last of several values for a key applies, as in a real engine. A filter without
/// pairs matches all metadata. A value of another type than a string never matches: real engines differ on whether a
/// filter of several pairs matches a number by its digits.
#[derive(Debug, Clone, Default)]
pub(crate) struct PairFilter(BTreeMap<String, String>);

impl PairFilter {
    pub(crate) fn add(&mut self, (key, value): (String, String)) {
        self.0.insert(key, value);
    }

    /// Whether metadata has at least one of the pairs.
    pub(crate) fn matches_any(&self, metadata: &str) -> bool {
        self.0.is_empty() || self.matches(metadata) > 0
    }

    /// Whether metadata has all of the pairs.
    pub(crate) fn matches_all(&self, metadata: &str) -> bool {
        self.0.is_empty() || self.matches(metadata) == self.0.len()
    }

    /// Counts the pairs that metadata has. The time depends on the length of the metadata, hardly on the number of
    /// pairs: a list with a filter of many pairs must not keep the state locked.
    fn matches(&self, metadata: &str) -> usize {
        // Avoids parsing most metadata: without escapes, a key occurs in the text as it is.
        if let Some((key, _)) = self.0.first_key_value()
            && self.0.len() == 1
            && !metadata.contains('\\')
            && !metadata.contains(key)
        {
            return 0;
        }
        let map: Map<String, Value> = serde_json::from_str(metadata).unwrap_or_default();
        map.iter()
            .filter(|(key, value)| value.is_string() && value.as_str() == self.0.get(*key).map(String::as_str))
            .count()
    }
}

impl FromIterator<(String, String)> for PairFilter {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_pair(metadata: &str, key: &str, value: &str) -> bool {
        PairFilter::from_iter([(key.to_owned(), value.to_owned())]).matches_all(metadata)
    }

    #[test]
    fn filter_matches_string_values_only() {
        let metadata = r#"{"k": "v", "n": 5, "\u0061": "x"}"#;
        assert!(has_pair(metadata, "k", "v") && has_pair(metadata, "a", "x"));
        assert!(!has_pair(metadata, "k", "w") && !has_pair(metadata, "v", "v") && !has_pair("{}", "k", "v"));
        assert!(!has_pair(metadata, "n", "5"), "a number");
        assert!(pairs(metadata).eq([("k".into(), "v".into()), ("a".into(), "x".into())]));
    }

    #[test]
    fn filter_matches_any_pair_or_all() {
        let metadata = r#"{"a": "1", "b": "2"}"#;
        for (pairs, any, all) in [
            (&[][..], true, true),
            (&[("a", "1"), ("b", "2")], true, true),
            (&[("a", "1"), ("b", "3")], true, false),
            (&[("a", "2"), ("b", "3")], false, false),
            // The last value of a key applies.
            (&[("a", "1"), ("a", "2")], false, false),
        ] {
            let filter: PairFilter = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
            assert_eq!((filter.matches_any(metadata), filter.matches_all(metadata)), (any, all), "{pairs:?}");
        }
    }

    #[test]
    fn child_metadata_names_its_own_parent() {
        let (run, task) = (RunId::random(), RunId::random());
        let text = for_child(r#"{"a":"1","hatchet__parent_step_run_id":"old"}"#, "{}", run, task);
        assert!(has_pair(&text, "a", "1") && has_pair(&text, "hatchet__parent_step_run_id", &task.to_string()));
        assert!(has_pair(&text, "hatchet__parent_workflow_run_id", &run.to_string()));
    }

    #[test]
    fn child_inherits_pairs_that_it_does_not_set() {
        let inherited = r#"{"a":"1","b":"2","n":3,"hatchet__cron_name":"c"}"#;
        let text = for_child(r#"{"b":"3","hatchet__own":"x"}"#, inherited, RunId::random(), RunId::random());
        let map: Map<String, Value> = serde_json::from_str(&text).unwrap();
        assert_eq!((&map["a"], &map["b"], &map["n"]), (&"1".into(), &"3".into(), &3.into()));
        assert!(map.contains_key("hatchet__own") && !map.contains_key("hatchet__cron_name"), "{text}");
    }
}
