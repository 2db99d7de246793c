//! The context of the runner's actions, and calls that must return before the deadline.

use super::reattach::Reattach;
use crate::{
    cli::{
        Exit,
        dashboard::Dashboard,
        deadline::Deadline,
        output::{OutputFormat, print_message},
        task_registry::TaskRegistry,
    },
    hatchet::{
        client::{Client, ClientError, ErrorKind, RestClient, diagnose},
        wire::RunId,
    },
};

/// The context of an action.
pub(super) struct Context<'a> {
    pub(super) client: &'a Client,
    pub(super) tasks: &'a TaskRegistry,
    pub(super) deadline: Deadline,
    pub(super) format: OutputFormat,
    /// Whether only results, notes and errors are shown.
    pub(super) quiet: bool,
    pub(super) reattach: &'a Reattach,
}

impl Context<'_> {
    /// The client of the REST API, or the error of an operation that needs it.
    pub(super) fn rest(&self, operation: &str) -> Result<&RestClient, Exit> {
        self.client.rest().ok_or_else(|| no_rest_address(operation))
    }

    /// Shows a message, unless only results are shown.
    pub(super) fn message(&self, text: &str) {
        if !self.quiet {
            print_message(text);
        }
    }

    /// Shows the address of a run on Hatchet's dashboard, in the human format. An embedded engine has none.
    pub(super) fn show_address(&self, run: RunId) {
        let address = || Dashboard::of(&self.client.config())?.run_address(run);
        if self.format == OutputFormat::Human
            && let Some(address) = address()
        {
            self.message(&format!("dashboard: {address}"));
        }
    }

    /// Awaits a call. Fails if the call fails or the deadline passes first. `consequence` completes the error of the
    /// latter case with what was not done or is not known.
    pub(super) async fn require<T>(
        &self,
        consequence: &str,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Exit> {
        match self.deadline.require(self.client, &self.reattach.commands, consequence, call).await? {
            Ok(response) => Ok(response),
            Err(error) => Err(explain_error(self.client, error, self.deadline).await),
        }
    }
}

/// The exit for an operation that needs the REST API, whose address is not known.
pub(super) fn no_rest_address(operation: &str) -> Exit {
    Exit::usage(format!("{operation} failed: the address of the REST API is not set. Set HATCHET_CLIENT_SERVER_URL"))
}

/// The exit for a failed call. If the engine is unreachable, probes its address for the reason. The probe takes
/// seconds, but ends at the deadline.
pub(super) async fn explain_error(client: &Client, error: ClientError, deadline: Deadline) -> Exit {
    if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut)
        && let Some(Some(reason)) = deadline.before(diagnose(&client.config())).await
    {
        return Exit::unreachable(reason);
    }
    Exit::from_call(error, &client.config().host_port)
}
