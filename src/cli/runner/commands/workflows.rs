//! `runner workflows …`.

use serde_json::{Value, json};

use super::{registered, schema};
use crate::{
    cli::{
        Exit,
        output::{Cell, OutputFormat, Style, Table, print_line, relative_time},
        runner::context::Context,
    },
    hatchet::client::WorkflowSummary,
};

/// Lists the workflows whose names contain a text, most recent first.
pub(super) async fn list(context: &Context<'_>, search: &str, limit: usize) -> Result<(), Exit> {
    let rest = context.rest("listing workflows")?;
    let mut workflows = context.require("and the workflows were not listed", rest.workflows(search)).await?;
    let count = workflows.len();
    workflows.truncate(limit);
    if context.format == OutputFormat::Json {
        return workflows.iter().try_for_each(|workflow| print_line(json(workflow)));
    }
    let mut table = Table::new(["~NAME", "STATE", "CREATED", "~DESCRIPTION"]);
    for workflow in &workflows {
        let state = if workflow.is_paused {
            Cell::styled("paused", Style::Yellow)
        } else {
            Cell::styled("active", Style::Green)
        };
        table.row([
            workflow.name.as_str().into(),
            state,
            relative_time(workflow.metadata.created_at.as_deref()).into(),
            workflow.description.as_str().into(),
        ]);
    }
    table.print()?;
    if workflows.is_empty() {
        context.message("no workflow is selected; a worker registers the workflows of its tasks when it starts");
    } else if count > limit {
        context.message(&format!("the latest {limit} of {count} workflows are shown; see more with --limit"));
    }
    Ok(())
}

/// Shows a workflow with the fields of its input.
pub(super) async fn get(context: &Context<'_>, name: &str) -> Result<(), Exit> {
    let (id, workflow) = registered::find(context, name).await?;
    let call = context.rest("reading a workflow")?.input_schema(id);
    let input = context.require("and the workflow was not read", call).await?;
    if context.format == OutputFormat::Json {
        let mut shown = json(&workflow);
        shown["input_schema"] = input.unwrap_or_default();
        return print_line(shown);
    }
    let paused = if workflow.is_paused { "  [paused]" } else { "" };
    print_line(format!("{}{paused}", Cell::from(workflow.name.as_str()).text()))?;
    if !workflow.description.is_empty() {
        print_line(format!("  {}", Cell::from(workflow.description.as_str()).text()))?;
    }
    print_line(format!("  id       {}", Cell::from(workflow.metadata.id.as_str()).text()))?;
    print_line(format!("  created  {}", relative_time(workflow.metadata.created_at.as_deref())))?;
    let fields = input.as_ref().map(schema::fields).unwrap_or_default();
    if fields.is_empty() {
        return print_line(match &input {
            Some(schema) if schema::combines_others(schema) => "  input    see its JSON Schema with --output json",
            Some(_) | None => "  input    any JSON object",
        });
    }
    print_line("  input")?;
    let mut table = Table::new(["    FIELD", "TYPE", "REQUIRED"]);
    for (field, types, is_required) in fields {
        table.row([format!("    {field}").into(), types.into(), if is_required { "yes" } else { "no" }.into()]);
    }
    table.print()
}

fn json(workflow: &WorkflowSummary) -> Value {
    json!({
        "workflow_id": workflow.metadata.id,
        "name": workflow.name,
        "description": workflow.description,
        "paused": workflow.is_paused,
        "created_at": workflow.metadata.created_at,
    })
}
