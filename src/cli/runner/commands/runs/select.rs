//! The filter of the commands that select runs.

use std::time::SystemTime;

use crate::{
    cli::{
        Exit,
        runner::{command_args::RunFilterArgs, commands::registered, context::Context},
    },
    hatchet::client::RunFilter,
};

/// Converts the flags. Looks the workflows up by their names.
pub(super) async fn filter(context: &Context<'_>, args: &RunFilterArgs) -> Result<RunFilter, Exit> {
    let since = SystemTime::now().checked_sub(args.since).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut filter = RunFilter::since(since.max(SystemTime::UNIX_EPOCH));
    for status in &args.status {
        filter = filter.status(*status);
    }
    for name in &args.workflow {
        if let Some(id) = registered::find(context, name).await?.id() {
            filter = filter.workflow(id);
        }
    }
    for (key, value) in &args.metadata {
        filter = filter.metadata(key, value);
    }
    Ok(filter)
}
