//! `runner runs …`.

mod change;
mod get;
mod history;
mod list;
mod select;

use crate::cli::{
    Exit,
    runner::{attach, command_args::RunsCommand, context::Context, request::FollowMode},
};

pub(super) async fn execute(command: RunsCommand, context: &Context<'_>) -> Result<(), Exit> {
    match command {
        RunsCommand::List { filter, parent, event, limit, .. } => {
            list::list(context, &filter, parent, event, limit).await
        }
        RunsCommand::Get { run, .. } => get::get(context, run).await,
        RunsCommand::Watch { run, stream, .. } => {
            let mode = if stream { FollowMode::Stream } else { FollowMode::Wait };
            attach::attach(context, &context.client.run_ref(run), mode).await
        }
        RunsCommand::Cancel { runs, metadata, .. } => change::cancel(context, &runs, &metadata).await,
        RunsCommand::Replay(replay) => change::replay(context, &replay).await,
        RunsCommand::Logs(logs) => history::logs(context, &logs).await,
        RunsCommand::Events { run, .. } => history::events(context, run).await,
    }
}
