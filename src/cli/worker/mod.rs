//! The binary `worker`: registers tasks with an engine and runs them.

mod args;
mod banner;
#[cfg(feature = "engine")]
mod embedded_engine;
mod health_args;
mod request;
mod run_keys;
mod serve;

use std::process::ExitCode;

use super::task_registry::TaskRegistry;
use crate::hatchet::task::ErasedWorkflow;

pub(super) use health_args::ENABLED as HEALTH_ENABLED;

/// Runs the binary with the tasks and workflows of the application, and returns its exit code.
///
/// `--tasks` selects among them by name. `--run-keys` adds copies of the tasks, not of workflows of several tasks.
///
/// ```no_run
/// use hatchet_quickstart::{cli::worker, prelude::*};
///
/// # fn example(parse: Task<String, String>, fulfill: Workflow<String, String>) -> std::process::ExitCode {
/// worker::main([parse.into(), fulfill.erase()])
/// # }
/// ```
pub fn main(workflows: impl IntoIterator<Item = impl Into<ErasedWorkflow>>) -> ExitCode {
    #[cfg(feature = "engine")]
    if let Some(args) = super::sidecar::sidecar_args(std::env::args_os()) {
        return super::sidecar::main(args);
    }
    let args = args::parse();
    let workflows = TaskRegistry::new(workflows.into_iter().map(Into::into).collect());
    if let Some(args::Command::Completions(completions)) = &args.command {
        return completions
            .print(args::definition(), &workflows.names())
            .map_or_else(super::Exit::report, |()| ExitCode::SUCCESS);
    }
    let explain_only = args.explain_config.is_some();
    let request = match request::Request::from_args(args, &workflows) {
        Ok(_) if explain_only => return ExitCode::SUCCESS,
        Ok(request) => request,
        Err(exit) => return exit.report(),
    };
    // Each slot may run a blocking body; 16 more threads serve name resolution and files.
    super::runtime::run(request.options.slots.saturating_add(16), serve::run(request))
}
