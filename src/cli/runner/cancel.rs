//! Cancels runs, by id or by metadata.

use std::time::Duration;

use super::{
    attach::task_of,
    context::Context,
    display::{self, RunDisplay},
    follow,
};
use crate::{
    cli::{Exit, output::print_message},
    hatchet::{
        client::{Client, RunRef},
        wire::{RunStatus, WorkflowId},
    },
};

/// Interval of cancellations until the run has finished: 3 s. A cancelled run ends within about 50 ms, but a real
/// engine can lose the cancellation of a run that is being assigned.
const RESEND_INTERVAL: Duration = Duration::from_secs(3);

/// Cancels a run and waits for its end.
pub(super) async fn cancel(context: &Context<'_>, run: &RunRef) -> Result<(), Exit> {
    let deadline = context.deadline;
    let details = context.require("and nothing was cancelled", run.details()).await?;
    let mut display = RunDisplay::new(context, task_of(&details, context.tasks), run.id());
    // A real engine would overwrite the outcome of a finished run with CANCELLED.
    let outcome = if details.done {
        print_message(&format!("run {} has already finished: nothing to cancel", run.id()));
        follow::wait_for_outcome(run, &mut display, deadline).await?
    } else {
        let resend = async {
            loop {
                run.cancel().await?;
                tokio::time::sleep(RESEND_INTERVAL).await;
            }
        };
        tokio::select! {
            outcome = follow::wait_for_outcome(run, &mut display, deadline) => outcome?,
            failed = resend => return failed,
        }
    };
    display.show_result(&outcome)?;
    if outcome.status == RunStatus::Cancelled {
        Ok(())
    } else {
        Err(Exit::failed(format!("run {} finished before it was cancelled: {}", run.id(), outcome.status)))
    }
}

/// Cancels all open runs with these metadata pairs: of these workflows, or of all if none is given. Prints the ids of
/// each batch when the engine has confirmed it.
pub(super) async fn cancel_where(
    context: &Context<'_>,
    metadata: &[(String, String)],
    workflows: &[WorkflowId],
) -> Result<(), Exit> {
    let pairs: Vec<(&str, &str)> = metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let open = context.require("and nothing was cancelled", context.client.open_runs(&pairs, workflows)).await?;
    let mut cancelled = 0;
    for batch in open.chunks(Client::CANCEL_BATCH) {
        let consequence = format!("and it is not known whether {} of {} runs were cancelled", batch.len(), open.len());
        let runs = context.require(&consequence, context.client.cancel_many(batch)).await?;
        display::show_cancelled(context.format, &runs)?;
        cancelled += runs.len();
    }
    display::show_cancelled_total(context.format, cancelled, &context.reattach.commands)
}
