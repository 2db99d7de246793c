//! The filter of the commands that select runs.

use std::time::SystemTime;

use crate::{
    cli::{
        Exit,
        runner::{command_args::RunFilterArgs, commands::registered, context::Context},
    },
    hatchet::client::RunFilter,
};

/// Converts the flags. Looks the workflows up by their names. With a namespace and without names, selects the runs of
/// all workflows of the namespace: a command must not cancel or replay the runs of others that share the tenant.
pub(super) async fn filter(context: &Context<'_>, args: &RunFilterArgs) -> Result<RunFilter, Exit> {
    let since = SystemTime::now().checked_sub(args.since).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut filter = RunFilter::since(since.max(SystemTime::UNIX_EPOCH));
    for status in &args.status {
        filter = filter.status(*status);
    }
    for name in &args.workflow {
        filter = filter.workflow(registered::find_id(context, name).await?);
    }
    if args.workflow.is_empty() {
        for id in registered::ids_in_namespace(context).await? {
            filter = filter.workflow(id);
        }
    }
    for (key, value) in &args.metadata {
        filter = filter.metadata(key, value);
    }
    Ok(filter)
}
