//! The binary `runner`: triggers a task by name, then follows its status or streams its events; and its commands about
//! the runs, workers, workflows, events, crons and schedules of an engine.
//!
//! ```text
//! Args ──► Request ──► trigger | attach | cancel | list
//!   │                     └──► follow (status) or stream (events) ──► display ──► exit code
//!   └────► EngineCommand ──► commands ──► client library ──► table or JSON lines
//! ```

mod args;
mod attach;
mod cancel;
mod command_args;
mod commands;
mod context;
mod display;
mod follow;
mod input;
mod list;
mod queued;
mod reattach;
mod request;
mod setup;
mod stream;
mod trigger;

use std::process::ExitCode;

use self::{
    args::{Args, Command},
    context::Context,
    reattach::Reattach,
    request::{Action, Request},
    setup::Setup,
};
use super::{
    Exit, bench,
    connection::{CommandRenderer, choose_engine, client_config},
    deadline::Deadline,
    doctor,
    output::{Program, init_logging, print_message, print_warning},
    runtime,
    signals::Signals,
    task_registry::TaskRegistry,
};
use crate::hatchet::{client::Client, task::ErasedTask};

/// Maximum number of threads for blocking code: name resolution, files and stdin.
const BLOCKING_THREADS: usize = 16;

/// The `main` of the binary. `tasks` are those of the application, for their names, schemas and default inputs.
pub fn main(tasks: Vec<ErasedTask>) -> ExitCode {
    let tasks = TaskRegistry::new(tasks);
    let mut args = args::parse(std::env::args_os()).unwrap_or_else(|e| e.exit());
    match args.command.take() {
        Some(Command::Completions(completions)) => {
            return completions
                .print(args::definition(), &tasks.names())
                .map_or_else(Exit::report, |()| ExitCode::SUCCESS);
        }
        Some(Command::Doctor(args)) => return runtime::run(BLOCKING_THREADS, doctor::run(args, tasks)),
        Some(Command::Bench(args)) => {
            return match bench::Request::from_args(*args, &tasks) {
                Ok(request) => runtime::run(BLOCKING_THREADS, bench::run(request)),
                Err(exit) => exit.report(),
            };
        }
        Some(Command::Run(run)) => args = Args::from(*run),
        Some(Command::Engine(command)) => {
            return runtime::run(BLOCKING_THREADS, async {
                let setup = command.setup(tasks);
                init_logging(&setup.sources, Program::Runner)?;
                perform(&setup, async |context| commands::execute(command, context).await).await
            });
        }
        None => {}
    }
    if let Some(explained) = args.explain_config() {
        return explained.map_or_else(Exit::report, |()| ExitCode::SUCCESS);
    }
    match Request::from_args(args, tasks) {
        Ok(request) => runtime::run(BLOCKING_THREADS, run(request)),
        Err(exit) => exit.report(),
    }
}

async fn run(request: Request) -> Result<(), Exit> {
    let Request { action, warnings, setup } = request;
    init_logging(&setup.sources, Program::Runner)?;
    if let Action::List { tasks } = &action {
        return list::print(tasks, setup.format);
    }
    for warning in &warnings {
        print_warning(warning);
    }
    perform(&setup, async |context| act(&action, context).await).await
}

/// Connects to the engine and performs a command, until it returns or a signal arrives.
async fn perform(setup: &Setup, command: impl AsyncFnOnce(&Context<'_>) -> Result<(), Exit>) -> Result<(), Exit> {
    let choice = choose_engine(setup.embedded, &setup.sources)?;
    let config = client_config(&choice, &setup.sources)?;
    let mut signals = Signals::listen()?;
    if !setup.quiet {
        print_message(&format!("uses the {} at {}", choice.description(), config.host_port));
    }
    let client = Client::new(config)?;
    let reattach = Reattach::new(CommandRenderer::new(setup.embedded, &setup.sources));
    let context = Context {
        client: &client,
        tasks: &setup.tasks,
        deadline: Deadline::after(setup.timeout),
        format: setup.format,
        quiet: setup.quiet,
        reattach: &reattach,
    };
    tokio::select! {
        biased;
        result = command(&context) => result,
        () = signals.next() => Err(Exit::interrupted(reattach.interrupted())),
    }
}

async fn act(action: &Action, context: &Context<'_>) -> Result<(), Exit> {
    let client = context.client;
    match action {
        Action::List { tasks } => list::print(tasks, context.format),
        Action::Trigger { task, input, options, mode } => trigger::trigger(context, task, input, options, *mode).await,
        Action::TriggerByName { name, input, options, mode } => {
            commands::trigger_by_name(context, name, input, options, *mode).await
        }
        Action::Attach { run, mode } => attach::attach(context, &client.run_ref(*run), *mode).await,
        Action::Find { key, value, mode } => attach::find(context, key, value, *mode).await,
        Action::Cancel { run } => cancel::cancel(context, &client.run_ref(*run)).await,
        Action::CancelWhere { metadata } => {
            let workflows = commands::ids_in_namespace(context).await?;
            cancel::cancel_where(context, metadata, &workflows).await
        }
    }
}
