//! Attaches to an existing run, by its id or by its metadata.

use std::time::{Duration, SystemTime};

use super::{
    context::{Context, explain_error},
    display::{self, RunDisplay},
    follow,
    request::{FollowMode, NamedTask},
    stream,
};
use crate::{
    cli::{Exit, task_registry::TaskRegistry},
    hatchet::client::{RunDetails, RunRef},
};

/// Maximum age of the runs that `--find` searches: 30 days, longer than an engine retains runs by default.
const FIND_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);
/// Maximum number of run ids in an error.
const MAX_IDS: usize = 10;

/// Attaches to a run and follows it.
pub(super) async fn attach(context: &Context<'_>, run: &RunRef, mode: FollowMode) -> Result<(), Exit> {
    let deadline = context.deadline;
    let details = match deadline.before(run.details()).await {
        Some(Ok(details)) => Some(details),
        // The deadline has passed: `follow` immediately returns the exit of a timeout.
        None => None,
        Some(Err(error)) => return Err(explain_error(run.client(), error, deadline).await),
    };
    let mut display =
        RunDisplay::new(context, details.as_ref().and_then(|details| task_of(details, context.tasks)), run.id());
    match (mode, details) {
        (FollowMode::Stream, Some(details)) => stream::attach(run, &details, &mut display, deadline).await,
        (FollowMode::Stream | FollowMode::Wait | FollowMode::NoWait, _) => {
            follow::follow(run, &mut display, deadline).await
        }
    }
}

/// Attaches to the only run with a metadata pair.
pub(super) async fn find(context: &Context<'_>, key: &str, value: &str, mode: FollowMode) -> Result<(), Exit> {
    let search = context.client.find_runs(key, value, SystemTime::now() - FIND_WINDOW);
    let runs = context.require("and it is not known whether such a run exists", search).await?;
    match runs.as_slice() {
        [run] if mode == FollowMode::NoWait => display::show_found(context.format, run),
        [run] => attach(context, run, mode).await,
        [] => Err(Exit::unconfirmed(format!(
            "the engine lists no run with the metadata {key}={value}: it is not known whether a run was started. Try \
             again in a minute, since an engine that was unavailable lists runs late"
        ))),
        several => {
            let ids: Vec<String> = several.iter().take(MAX_IDS).map(|run| run.id().to_string()).collect();
            Err(Exit::usage(format!(
                "--find: {} runs have {key}={value}: choose a run with --run-id: {}",
                several.len(),
                ids.join(" ")
            )))
        }
    }
}

/// The task of an existing run. `None` for a task of another program.
pub(super) fn task_of(details: &RunDetails, tasks: &TaskRegistry) -> Option<NamedTask> {
    let name = &details.tasks.first()?.name;
    Some(NamedTask { task: Some(tasks.find(name).ok()?), name: name.clone() })
}
