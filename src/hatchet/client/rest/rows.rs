//! Rows of the engine's lists, with the fields that are read here.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::pages::Row;

/// A worker, as the engine lists it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerSummary {
    /// Ids and times.
    pub metadata: Metadata,
    /// The name it registered with.
    pub name: String,
    /// `ACTIVE`, `INACTIVE` or `PAUSED`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub status: String,
    /// The actions it runs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub actions: Vec<String>,
    /// Slots by type.
    #[serde(default, deserialize_with = "null_is_default")]
    pub slot_config: BTreeMap<String, SlotUse>,
}

/// Slots of one type.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct SlotUse {
    /// Free now.
    #[serde(default)]
    pub available: i64,
    /// In all.
    #[serde(default)]
    pub limit: i64,
}

/// Id of a thing in REST.
#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    /// The id.
    pub id: String,
}

/// A run in a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// The run's id.
    pub workflow_run_external_id: String,
    /// The status' word.
    pub status: String,
    /// The run's parent task, of a child.
    #[serde(default)]
    pub parent_task_external_id: Option<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339, where it has started.
    pub started_at: Option<String>,
    /// RFC 3339, where it has ended.
    pub finished_at: Option<String>,
    /// The pairs that it was started with.
    #[serde(default, deserialize_with = "null_is_default")]
    pub additional_metadata: serde_json::Map<String, Value>,
}

/// A workflow in a list.
#[derive(Deserialize)]
pub(super) struct WorkflowSummary {
    metadata: Metadata,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(super) name: String,
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(super) struct Rows<T> {
    #[serde(default = "Vec::new", deserialize_with = "null_is_default")]
    pub(super) rows: Vec<T>,
}

/// A real engine writes null for an empty list.
fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(value: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(value)?.unwrap_or_default())
}

impl Row for WorkerSummary {
    fn id(&self) -> &str {
        &self.metadata.id
    }
}

impl Row for RunSummary {
    fn id(&self) -> &str {
        &self.workflow_run_external_id
    }
}

impl Row for WorkflowSummary {
    fn id(&self) -> &str {
        &self.metadata.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_empty_lists() {
        let list: Rows<WorkerSummary> = serde_json::from_str(
            r#"{"rows":[{"metadata":{"id":"x"},"name":"w","actions":null,"slotConfig":null,"status":null}]}"#,
        )
        .unwrap();
        assert!(list.rows[0].actions.is_empty());
        let none: Rows<WorkerSummary> = serde_json::from_str(r#"{"rows":null}"#).unwrap();
        assert!(none.rows.is_empty());
    }
}
