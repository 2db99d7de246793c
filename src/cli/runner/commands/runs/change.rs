//! `runner runs cancel` and `runner runs replay`.

use std::collections::HashSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::select;
use crate::{
    cli::{
        Exit,
        output::{OutputFormat, print_event, print_line},
        runner::{cancel, command_args::ReplayRuns, commands::registered, context::Context, display},
    },
    hatchet::{
        client::{Client, ErrorKind},
        wire::RunId,
    },
};

/// Concurrent queries of the status of runs.
const STATUS_QUERIES: usize = 16;

/// The status of a run, as far as it can be cancelled or replayed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Unknown,
    Open,
    Finished,
}

/// Cancels runs by their ids, or by metadata. A single run is followed to its end.
pub(super) async fn cancel(context: &Context<'_>, runs: &[RunId], metadata: &[(String, String)]) -> Result<(), Exit> {
    match &distinct(runs)[..] {
        [] => cancel::cancel_where(context, metadata, &registered::ids_in_namespace(context).await?).await,
        [run] => cancel::cancel(context, &context.client.run_ref(*run)).await,
        several => cancel_several(context, several).await,
    }
}

async fn cancel_several(context: &Context<'_>, runs: &[RunId]) -> Result<(), Exit> {
    let mut cancelled = HashSet::new();
    for batch in runs.chunks(Client::CANCEL_BATCH) {
        let consequence = format!("and it is not known whether {} of {} runs were cancelled", batch.len(), runs.len());
        let batch = context.require(&consequence, context.client.cancel_many(batch)).await?;
        display::show_cancelled(context.format, &batch)?;
        cancelled.extend(batch);
    }
    let others: Vec<RunId> = runs.iter().copied().filter(|run| !cancelled.contains(run)).collect();
    let others = find(context, "and it is not known why the other runs were not cancelled", &others).await?;
    let unknown = with_status(&others, Found::Unknown);
    let finished = others.len() - unknown.len();
    if finished > 0 {
        context.message(&format!("{finished} of {} runs have finished: nothing to cancel", runs.len()));
    }
    if context.format == OutputFormat::Json || !cancelled.is_empty() {
        display::show_cancelled_total(context.format, cancelled.len(), &context.reattach.commands)?;
    }
    if unknown.is_empty() { Ok(()) } else { Err(unchanged(context, "cancelling", runs.len(), &unknown, &[])) }
}

/// Replays runs by their ids, or those that a filter selects.
pub(super) async fn replay(context: &Context<'_>, args: &ReplayRuns) -> Result<(), Exit> {
    let consequence = "and it is not known whether runs were replayed";
    if args.runs.is_empty() {
        context.rest("replaying runs by filter")?;
        let filter = select::filter(context, &args.filter).await?;
        let replayed = context.require(consequence, context.client.replay_where(&filter)).await?;
        return show_replayed(context, &replayed);
    }
    // An engine also confirms runs that have not finished, and does not replay them.
    let runs = find(context, "and no run was replayed", &distinct(&args.runs)).await?;
    let finished = with_status(&runs, Found::Finished);
    if !finished.is_empty() {
        let replayed = context.require(consequence, context.client.replay_many(&finished)).await?;
        show_replayed(context, &replayed)?;
    }
    if finished.len() == runs.len() {
        return Ok(());
    }
    let (unknown, open) = (with_status(&runs, Found::Unknown), with_status(&runs, Found::Open));
    Err(unchanged(context, "replaying", runs.len(), &unknown, &open))
}

fn show_replayed(context: &Context<'_>, replayed: &[RunId]) -> Result<(), Exit> {
    match context.format {
        OutputFormat::Json => {
            let ids: Vec<String> = replayed.iter().map(RunId::to_string).collect();
            print_event("replayed", json!({ "count": ids.len(), "run_ids": ids }))
        }
        OutputFormat::Human => {
            replayed.iter().try_for_each(print_line)?;
            context.message(&match replayed.len() {
                0 => "no run is selected: nothing to replay".to_owned(),
                count => {
                    let plural = if count == 1 { "" } else { "s" };
                    let watch = context.reattach.commands.render(&["runner", "runs", "watch", "ID"]);
                    format!("replaying {count} run{plural}; follow each with `{watch}`")
                }
            });
            Ok(())
        }
    }
}

/// Returns the ids without repetitions, in their order.
fn distinct(runs: &[RunId]) -> Vec<RunId> {
    let mut seen = HashSet::new();
    runs.iter().copied().filter(|run| seen.insert(*run)).collect()
}

/// Queries the status of each run. `consequence`: see [`Context::require`].
async fn find(context: &Context<'_>, consequence: &str, runs: &[RunId]) -> Result<Vec<(RunId, Found)>, Exit> {
    let queries = runs.iter().copied().map(|id| async move {
        match context.client.run_ref::<()>(id).details().await {
            Ok(details) => Ok((id, if details.done { Found::Finished } else { Found::Open })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok((id, Found::Unknown)),
            Err(error) => Err(error),
        }
    });
    context.require(consequence, stream::iter(queries).buffered(STATUS_QUERIES).try_collect()).await
}

fn with_status(runs: &[(RunId, Found)], status: Found) -> Vec<RunId> {
    runs.iter().filter(|(_, found)| *found == status).map(|(id, _)| *id).collect()
}

/// The exit of an operation that did not change `unknown` and `open` among `total` runs.
fn unchanged(context: &Context<'_>, operation: &str, total: usize, unknown: &[RunId], open: &[RunId]) -> Exit {
    let list = |ids: &[RunId]| ids.iter().map(RunId::to_string).collect::<Vec<_>>().join(", ");
    let mut causes = Vec::new();
    if !unknown.is_empty() {
        causes.push(format!("the engine does not know {}", list(unknown)));
    }
    if !open.is_empty() {
        let verb = if open.len() == 1 { "has" } else { "have" };
        causes.push(format!("{} {verb} not finished", list(open)));
    }
    let (count, causes) = (unknown.len() + open.len(), causes.join("; "));
    let plural = if total == 1 { "" } else { "s" };
    let command = context.reattach.commands.render(&["runner", "runs", "list"]);
    Exit::usage(format!("{operation} {count} of {total} run{plural} failed: {causes}. List the runs with `{command}`"))
}
