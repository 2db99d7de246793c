//! The runner's commands about an engine: each calls the client library and prints a table or JSON lines.
//!
//! | module | commands |
//! |---|---|
//! | `by_name` | `run` of a task that is not part of this program |
//! | `runs` | `runs …` |
//! | `workers`, `workflows` | `workers list`, `workflows list`, `workflows get` |
//! | `events`, `crons`, `schedules` | `events push`, `cron …`, `scheduled …` |
//! | `open` | `open` |
//! | `registered` | the workflows of the engine, found by name |
//! | `schema` | validation of inputs by JSON Schema |

mod by_name;
mod crons;
mod events;
mod open;
mod registered;
mod runs;
mod schedules;
mod schema;
mod template;
mod workers;
mod workflows;

pub(super) use self::{by_name::trigger_by_name, registered::ids_in_namespace};
use super::{
    command_args::{EngineCommand, EventsCommand, WorkersCommand, WorkflowsCommand},
    context::Context,
};
use crate::cli::Exit;

/// Performs a command.
pub(super) async fn execute(command: EngineCommand, context: &Context<'_>) -> Result<(), Exit> {
    match command {
        EngineCommand::Runs(command) => runs::execute(command, context).await,
        EngineCommand::Workers(WorkersCommand::List { all, .. }) => workers::list(context, all).await,
        EngineCommand::Workflows(WorkflowsCommand::List { search, limit, .. }) => {
            workflows::list(context, &search, limit).await
        }
        EngineCommand::Workflows(WorkflowsCommand::Get { task_name, .. }) => workflows::get(context, &task_name).await,
        EngineCommand::Events(EventsCommand::Push(event)) => events::push(context, event).await,
        EngineCommand::Cron(command) => crons::execute(command, context).await,
        EngineCommand::Scheduled(command) => schedules::execute(command, context).await,
        EngineCommand::Open { print_only, .. } => open::open(context, print_only).await,
    }
}
