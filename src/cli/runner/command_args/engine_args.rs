//! Flags of all commands about an engine.

use std::time::Duration;

use crate::cli::{connection::ConnectionArgs, output::OutputFormat, settings::parse_seconds};

/// Flags of all commands about an engine.
#[derive(Debug, clap::Args)]
pub(in crate::cli::runner) struct EngineArgs {
    /// Format of results: with `json`, one object per line
    #[arg(short, long, value_name = "FORMAT", default_value = "human")]
    pub(super) output: OutputFormat,
    /// Maximum time to wait, such as 30s, or a number of seconds [default: none]
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = parse_seconds)]
    pub(super) timeout: Option<Duration>,
    /// Show results, warnings and errors only
    #[arg(long, short, conflicts_with_all = ["log_level", "verbose"])]
    pub(super) quiet: bool,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}
