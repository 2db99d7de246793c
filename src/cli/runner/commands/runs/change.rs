//! `runner runs cancel` and `runner runs replay`.

use serde_json::json;

use super::select;
use crate::{
    cli::{
        Exit,
        output::{OutputFormat, print_event, print_line},
        runner::{cancel, command_args::ReplayRuns, context::Context, display},
    },
    hatchet::{client::Client, wire::RunId},
};

/// Cancels runs by their ids, or by metadata. A single run is followed to its end.
pub(super) async fn cancel(context: &Context<'_>, runs: &[RunId], metadata: &[(String, String)]) -> Result<(), Exit> {
    match runs {
        [] => cancel::cancel_where(context, metadata).await,
        [run] => cancel::cancel(context, &context.client.run_ref(*run)).await,
        several => cancel_several(context, several).await,
    }
}

async fn cancel_several(context: &Context<'_>, runs: &[RunId]) -> Result<(), Exit> {
    let mut cancelled = 0;
    for batch in runs.chunks(Client::CANCEL_BATCH) {
        let consequence = format!("and it is not known whether {} of {} runs were cancelled", batch.len(), runs.len());
        let batch = context.require(&consequence, context.client.cancel_many(batch)).await?;
        display::show_cancelled(context.format, &batch)?;
        cancelled += batch.len();
    }
    let finished = runs.len() - cancelled;
    if finished > 0 {
        context.message(&format!("{finished} of {} runs have finished or are unknown: nothing to cancel", runs.len()));
    }
    match (context.format, cancelled) {
        (OutputFormat::Human, 0) => Ok(()),
        (format, cancelled) => display::show_cancelled_total(format, cancelled, &context.reattach.commands),
    }
}

/// Replays runs by their ids, or those that a filter selects.
pub(super) async fn replay(context: &Context<'_>, args: &ReplayRuns) -> Result<(), Exit> {
    let consequence = "and it is not known whether runs were replayed";
    let replayed = if args.runs.is_empty() {
        context.rest("replaying runs by filter")?;
        let filter = select::filter(context, &args.filter).await?;
        context.require(consequence, context.client.replay_where(&filter)).await?
    } else {
        context.require(consequence, context.client.replay_many(&args.runs)).await?
    };
    let commands = &context.reattach.commands;
    if replayed.is_empty() && !args.runs.is_empty() {
        let list = commands.render(&["runner", "runs", "list"]);
        return Err(Exit::usage(format!("the engine knows none of these runs: list the runs with `{list}`")));
    }
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
                    let watch = commands.render(&["runner", "runs", "watch", "ID"]);
                    format!("replaying {count} run{plural}; follow each with `{watch}`")
                }
            });
            Ok(())
        }
    }
}
