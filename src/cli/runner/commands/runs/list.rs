//! `runner runs list`.

use std::time::SystemTime;

use serde_json::json;

use super::select;
use crate::{
    cli::{
        Exit,
        output::{Cell, OutputFormat, Table, parse_rfc3339, print_line, relative_time},
        runner::{command_args::RunFilterArgs, context::Context, display::status_style},
    },
    hatchet::{
        client::RunSummary,
        wire::{EventId, RunId, RunStatus, readable_duration},
    },
};

/// Lists the runs that the flags select, most recent first.
pub(super) async fn list(
    context: &Context<'_>,
    args: &RunFilterArgs,
    parent: Option<RunId>,
    event: Option<EventId>,
    limit: usize,
) -> Result<(), Exit> {
    let mut filter = select::filter(context, args).await?;
    if let Some(parent) = parent {
        filter = filter.parent(parent);
    }
    if let Some(event) = event {
        filter = filter.event(event);
    }
    // One more row shows whether there are more runs.
    let mut pages = context.rest("listing runs")?.runs(&filter).page_size(limit.saturating_add(1));
    let mut runs = Vec::new();
    while runs.len() <= limit
        && let Some(page) = context.require("and the runs were not listed", pages.next()).await?
    {
        runs.extend(page);
    }
    let has_more = runs.len() > limit;
    runs.truncate(limit);
    match context.format {
        OutputFormat::Json => runs.iter().try_for_each(print_json),
        OutputFormat::Human => {
            print_table(&runs)?;
            if runs.is_empty() {
                context.message(
                    "no run is selected; look further back with --since. An engine may list a new run after about a \
                     second",
                );
            } else if has_more {
                context.message(&format!("the latest {limit} runs are shown; see more with --limit"));
            }
            Ok(())
        }
    }
}

fn print_json(run: &RunSummary) -> Result<(), Exit> {
    print_line(json!({
        "run_id": run.workflow_run_external_id,
        "task": run.workflow_name,
        "status": run.status,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "error": Some(&run.error_message).filter(|error| !error.is_empty()),
        "parent_task_id": run.parent_task_external_id,
        "metadata": run.additional_metadata,
    }))
}

fn print_table(runs: &[RunSummary]) -> Result<(), Exit> {
    let mut table = Table::new(["ID", "STATUS", "~TASK", "CREATED", "DURATION"]);
    for run in runs {
        let status = match RunStatus::from_name(&run.status) {
            Some(status) => Cell::styled(status.as_str(), status_style(status)),
            None => run.status.as_str().into(),
        };
        table.row([
            run.workflow_run_external_id.as_str().into(),
            status,
            run.workflow_name.as_str().into(),
            relative_time(run.created_at.as_deref()).into(),
            duration(run.started_at.as_deref(), run.finished_at.as_deref()).into(),
        ]);
    }
    table.print()
}

/// The time from the start to the end; until now for a run that has not finished, and `-` before its start.
pub(super) fn duration(started: Option<&str>, finished: Option<&str>) -> String {
    let Some(started) = started.and_then(parse_rfc3339) else { return "-".to_owned() };
    let end = finished.and_then(parse_rfc3339).unwrap_or_else(SystemTime::now);
    end.duration_since(started).map_or_else(|_| "-".to_owned(), readable_duration)
}
