//! The settings that all commands of the runner have.

use std::time::Duration;

use crate::{
    cli::{
        Exit,
        connection::{ConnectionArgs, EmbeddedMode},
        output::OutputFormat,
        task_registry::TaskRegistry,
    },
    hatchet::client::{Source, Sources},
};

/// The tasks of the application, the display of results, and the engine.
pub(super) struct Setup {
    pub(super) tasks: TaskRegistry,
    pub(super) format: OutputFormat,
    /// Whether only results, notes and errors are shown.
    pub(super) quiet: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) embedded: Option<EmbeddedMode>,
    pub(super) sources: Sources,
}

impl Setup {
    /// Reads the settings of the environment, and of the connection flags.
    pub(super) fn new(
        tasks: TaskRegistry,
        format: OutputFormat,
        quiet: bool,
        timeout: Option<Duration>,
        connection: &ConnectionArgs,
    ) -> Self {
        let mut sources = connection.sources();
        if quiet {
            sources.set("HATCHET_CLIENT_LOG_LEVEL", "warn", Source::Flag("--quiet"));
        }
        Self { tasks, format, quiet, timeout, embedded: connection.embedded, sources }
    }
}

/// Fails for a time limit that is not a duration.
pub(super) fn parse_timeout(text: Option<String>) -> Result<Option<Duration>, Exit> {
    let invalid = |text: &str, rule| Exit::usage(format!("invalid --timeout \"{text}\": {rule}"));
    text.map(|text| crate::cli::settings::parse_seconds(&text).map_err(|rule| invalid(&text, rule))).transpose()
}
