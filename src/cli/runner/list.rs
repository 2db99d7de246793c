//! `--list-tasks`.

use serde_json::json;

use super::super::{
    Exit,
    output::{Format, data},
};
use crate::{hatchet::task::ErasedTask, tasks};

pub(super) fn print(only: Option<&ErasedTask>, format: Format) -> Result<(), Exit> {
    let all = only.map_or_else(tasks::all, |task| vec![task.clone()]);
    for task in &all {
        match format {
            Format::Json => data(json!({
                "name": task.name(),
                "aliases": task.names().skip(1).collect::<Vec<_>>(),
                "kind": task.kind().as_str(),
                "description": task.description(),
                "default_input": default_input(task),
                "input_schema": task.input_schema(),
                "output_schema": task.output_schema(),
            }))?,
            Format::Human => human(task)?,
        }
    }
    Ok(())
}

/// The input that is sent where none is given, if the task has one.
fn default_input(task: &ErasedTask) -> Option<serde_json::Value> {
    serde_json::from_str(&task.complete_input("{}").ok()?).ok()
}

fn human(task: &ErasedTask) -> Result<(), Exit> {
    let aliases: Vec<&str> = task.names().skip(1).collect();
    let also = if aliases.is_empty() { String::new() } else { format!("  (also {})", aliases.join(", ")) };
    data(format!("{}  [{}]{also}", task.name(), task.kind().as_str()))?;
    if !task.description().is_empty() {
        data(format!("  {}", task.description()))?;
    }
    if let Some(input) = default_input(task) {
        data(format!("  default  {input}"))?;
    }
    data(format!("  input    {}", fields(task.input_schema())))?;
    data(format!("  output   {}", fields(task.output_schema())))
}

/// The fields of a schema in one line; `--output json` has it whole.
fn fields(schema: &serde_json::Value) -> String {
    let Some(properties) = schema["properties"].as_object() else { return "{}".to_owned() };
    let fields: Vec<String> = properties
        .iter()
        .map(|(name, property)| format!("{name}: {}", property["type"].as_str().unwrap_or("any")))
        .collect();
    format!("{{ {} }}", fields.join(", "))
}
