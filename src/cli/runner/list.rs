//! `--list-tasks`: names, kinds and schemas of the tasks.

use serde_json::json;

use crate::{
    cli::{
        Exit,
        output::{OutputFormat, print_line},
    },
    hatchet::task::ErasedTask,
};

/// Prints these tasks.
pub(super) fn print(tasks: &[ErasedTask], format: OutputFormat) -> Result<(), Exit> {
    for task in tasks {
        match format {
            OutputFormat::Json => print_line(json!({
                "name": task.name(),
                "aliases": task.names().skip(1).collect::<Vec<_>>(),
                "kind": task.kind().as_str(),
                "description": task.description(),
                "default_input": default_input(task),
                "input_schema": task.input_schema(),
                "output_schema": task.output_schema(),
            }))?,
            OutputFormat::Human => print_human(task)?,
        }
    }
    Ok(())
}

/// The input of a run that is triggered without input. `None` unless every field of the task's input has a default.
fn default_input(task: &ErasedTask) -> Option<serde_json::Value> {
    serde_json::from_str(&task.complete_input("{}").ok()?).ok()
}

fn print_human(task: &ErasedTask) -> Result<(), Exit> {
    let aliases: Vec<&str> = task.names().skip(1).collect();
    let also = if aliases.is_empty() { String::new() } else { format!("  (also {})", aliases.join(", ")) };
    print_line(format!("{}  [{}]{also}", task.name(), task.kind().as_str()))?;
    if !task.description().is_empty() {
        print_line(format!("  {}", task.description()))?;
    }
    if let Some(input) = default_input(task) {
        print_line(format!("  default  {input}"))?;
    }
    print_line(format!("  input    {}", fields(task.input_schema())))?;
    print_line(format!("  output   {}", fields(task.output_schema())))
}

/// The fields of a schema in one line. `--output json` prints the whole schema.
fn fields(schema: &serde_json::Value) -> String {
    let Some(properties) = schema["properties"].as_object() else { return "{}".to_owned() };
    let fields: Vec<String> = properties
        .iter()
        .map(|(name, property)| format!("{name}: {}", property["type"].as_str().unwrap_or("any")))
        .collect();
    format!("{{ {} }}", fields.join(", "))
}
