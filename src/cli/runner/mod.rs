//! The binary `runner`: triggers a task by name, then follows its status or streams its events.
//!
//! ```text
//! Args ──► Request ──► trigger | attach | cancel | list
//!                         └──► follow (status) or stream (events) ──► display ──► exit code
//! ```

mod args;
mod attach;
mod cancel;
mod context;
mod display;
mod follow;
mod list;
mod queued;
mod reattach;
mod request;
mod stream;
mod trigger;

use std::process::ExitCode;

use self::{
    args::Command,
    context::Context,
    reattach::Reattach,
    request::{Action, Request},
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
            return completions.print(args::definition(), &tasks).map_or_else(Exit::report, |()| ExitCode::SUCCESS);
        }
        Some(Command::Doctor(args)) => return runtime::run(BLOCKING_THREADS, doctor::run(args, tasks)),
        Some(Command::Bench(args)) => {
            return match bench::Request::from_args(*args, &tasks) {
                Ok(request) => runtime::run(BLOCKING_THREADS, bench::run(request)),
                Err(exit) => exit.report(),
            };
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
    init_logging(&request.sources, Program::Runner)?;
    if let Action::List { tasks } = &request.action {
        return list::print(tasks, request.format);
    }
    for warning in &request.warnings {
        print_warning(warning);
    }
    let choice = choose_engine(request.embedded, &request.sources)?;
    let config = client_config(&choice, &request.sources)?;
    let mut signals = Signals::listen()?;
    if !request.quiet {
        print_message(&format!("uses the {} at {}", choice.description(), config.host_port));
    }
    let client = Client::new(config)?;
    let reattach = Reattach::new(CommandRenderer::new(request.embedded, &request.sources));
    tokio::select! {
        biased;
        result = act(&request, &client, &reattach) => result,
        () = signals.next() => Err(Exit::interrupted(reattach.interrupted())),
    }
}

async fn act(request: &Request, client: &Client, reattach: &Reattach) -> Result<(), Exit> {
    let (deadline, format, quiet) = (Deadline::after(request.timeout), request.format, request.quiet);
    let context = Context { client, tasks: &request.tasks, deadline, format, quiet, reattach };
    match &request.action {
        Action::List { tasks } => list::print(tasks, request.format),
        Action::Trigger { task, input, options, mode } => trigger::trigger(&context, task, input, options, *mode).await,
        Action::Attach { run, mode } => attach::attach(&context, &client.run_ref(*run), *mode).await,
        Action::Find { key, value, mode } => attach::find(&context, key, value, *mode).await,
        Action::Cancel { run } => cancel::cancel(&context, &client.run_ref(*run)).await,
        Action::CancelWhere { metadata } => cancel::cancel_where(&context, metadata).await,
    }
}
