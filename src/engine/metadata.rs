//! Additional metadata: a JSON object that travels with a run.

use std::sync::Arc;

use serde_json::{Map, Value};

use uuid::Uuid;

use super::state::Moment;
use crate::hatchet::wire::RunId;

/// The metadata of a child: what was given, and where it comes from. What the parent's own metadata said about its
/// parent is overwritten: SDKs copy it.
pub(crate) fn of_child(given: &str, run: RunId, task: RunId) -> Arc<str> {
    let mut map: Map<String, Value> = serde_json::from_str(given).unwrap_or_default();
    map.insert("hatchet__parent_workflow_run_id".into(), run.to_string().into());
    map.insert("hatchet__parent_step_run_id".into(), task.to_string().into());
    Value::Object(map).to_string().into()
}

/// The metadata of a run that an event starts: what was given without what is the engine's to say, and the event.
pub(crate) fn of_event(given: &str, id: Uuid, key: &str) -> Arc<str> {
    let mut map: Map<String, Value> = serde_json::from_str(given).unwrap_or_default();
    map.retain(|name, _| !name.starts_with("hatchet__") || name.starts_with("hatchet__source_"));
    map.insert("hatchet__event_id".into(), id.to_string().into());
    map.insert("hatchet__event_key".into(), key.into());
    Value::Object(map).to_string().into()
}

/// The metadata of a run that a cron starts.
pub(crate) fn of_cron(given: &str, expression: &str, name: &str, due: Moment) -> Arc<str> {
    let mut map: Map<String, Value> = serde_json::from_str(given).unwrap_or_default();
    map.insert("hatchet__cron_expression".into(), expression.into());
    map.insert("hatchet__cron_scheduled_at".into(), due.timestamp().to_string().into());
    if !name.is_empty() {
        map.insert("hatchet__cron_name".into(), name.into());
    }
    Value::Object(map).to_string().into()
}

/// Whether metadata has a pair; a value that is no string is compared as it is written in JSON.
pub(crate) fn has_pair(metadata: &str, key: &str, value: &str) -> bool {
    // The key's letters must be in the text unless it is written with escapes: most runs are passed over unparsed.
    if !metadata.contains('\\') && !metadata.contains(key) {
        return false;
    }
    let map: Map<String, Value> = serde_json::from_str(metadata).unwrap_or_default();
    map.get(key).is_some_and(|found| in_text(found) == value)
}

/// All pairs of metadata, values as [`has_pair`] compares them.
pub(crate) fn pairs(metadata: &str) -> impl Iterator<Item = (String, String)> {
    let map: Map<String, Value> = serde_json::from_str(metadata).unwrap_or_default();
    map.into_iter().map(|(key, value)| (key, in_text(&value)))
}

fn in_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_compared_as_text() {
        let metadata = r#"{"k": "v", "n": 5, "\u0061": "x"}"#;
        assert!(has_pair(metadata, "k", "v") && has_pair(metadata, "n", "5") && has_pair(metadata, "a", "x"));
        assert!(!has_pair(metadata, "k", "w") && !has_pair(metadata, "v", "v") && !has_pair("{}", "k", "v"));
    }

    #[test]
    fn a_child_names_its_own_parent() {
        let (run, task) = (RunId::random(), RunId::random());
        let text = of_child(r#"{"a":1,"hatchet__parent_step_run_id":"old"}"#, run, task);
        assert!(has_pair(&text, "a", "1") && has_pair(&text, "hatchet__parent_step_run_id", &task.to_string()));
        assert!(has_pair(&text, "hatchet__parent_workflow_run_id", &run.to_string()));
    }
}
