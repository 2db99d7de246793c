//! `runner workers list`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{
    cli::{
        Exit,
        output::{Cell, OutputFormat, Style, Table, print_line, relative_time},
        runner::context::Context,
    },
    hatchet::client::WorkerSummary,
};

/// Status of a worker that has stopped or does not respond.
const INACTIVE: &str = "INACTIVE";

/// Lists the workers, most recent first; without `all` only those that are online.
pub(super) async fn list(context: &Context<'_>, all: bool) -> Result<(), Exit> {
    let rest = context.rest("listing workers")?;
    let mut workers = context.require("and the workers were not listed", rest.workers()).await?;
    let count = workers.len();
    workers.retain(|worker| all || worker.status != INACTIVE);
    match context.format {
        OutputFormat::Json => workers.iter().try_for_each(print_json),
        OutputFormat::Human => {
            print_table(&workers)?;
            let inactive = count - workers.len();
            if workers.is_empty() {
                let start = context.reattach.commands.render(&["worker"]);
                context.message(&format!("no worker is online; start one with `{start}`"));
            }
            if inactive > 0 {
                context.message(&format!("{inactive} worker(s) that have stopped are not shown; show them with --all"));
            }
            Ok(())
        }
    }
}

fn print_json(worker: &WorkerSummary) -> Result<(), Exit> {
    let slots = worker.slot_config.iter();
    let slots: Map<String, Value> =
        slots.map(|(kind, slots)| (kind.clone(), json!({ "free": slots.available, "limit": slots.limit }))).collect();
    print_line(json!({
        "worker_id": worker.metadata.id,
        "name": worker.name,
        "status": worker.status,
        "slots": slots,
        "tasks": tasks(worker),
        "created_at": worker.metadata.created_at,
    }))
}

fn print_table(workers: &[WorkerSummary]) -> Result<(), Exit> {
    let mut table = Table::new(["ID", "~NAME", "STATUS", "SLOTS USED", "~TASKS", "STARTED"]);
    for worker in workers {
        let slots = worker.slot_config.values();
        let (used, limit) =
            slots.fold((0, 0), |(used, limit), slots| (used + slots.limit - slots.available, limit + slots.limit));
        let style = match worker.status.as_str() {
            "ACTIVE" => Style::Green,
            "PAUSED" => Style::Yellow,
            _ => Style::Dim,
        };
        table.row([
            worker.metadata.id.as_str().into(),
            worker.name.as_str().into(),
            Cell::styled(worker.status.clone(), style),
            format!("{used}/{limit}").into(),
            tasks(worker).into_iter().collect::<Vec<_>>().join(", ").into(),
            relative_time(worker.metadata.created_at.as_deref()).into(),
        ]);
    }
    table.print()
}

/// The names of the workflows that a worker serves: an action is `workflow:task`.
fn tasks(worker: &WorkerSummary) -> BTreeSet<&str> {
    worker.actions.iter().map(|action| action.split(':').next().unwrap_or(action)).collect()
}
