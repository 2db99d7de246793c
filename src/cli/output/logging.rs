//! Logs on stderr.
//!
//! The runner also prints its messages there, so its log lines are text by default. The worker's are text on a terminal
//! and JSON elsewhere, for log collectors.
//!
//! A worker on a terminal also shows each run. Elsewhere it would write thousands of lines per second, so events about
//! runs are shown from the level DEBUG on.

use std::io::{IsTerminal as _, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{color::color_enabled, human_log::HumanFormat, rows::LineWriter};
use crate::{
    cli::Exit,
    hatchet::{
        client::{Source, Sources},
        task::RUN_LOG,
    },
};

/// The program that logs, which decides about the default format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Program {
    Runner,
    Worker,
}

impl Program {
    /// Returns the default of `HATCHET_CLIENT_LOG_FORMAT` as text.
    pub(in crate::cli) fn default_log_format(self) -> &'static str {
        match self {
            Self::Runner => "human",
            Self::Worker => "human on a terminal, else json",
        }
    }
}

/// Crates of the transport. Their warnings are hidden, since a peer without a token could cause thousands per second,
/// and every error of a call is returned to its caller. `RUST_LOG=info,h2=warn` shows them.
const TRANSPORT_TARGETS: [&str; 6] = ["h2", "hyper", "hyper_util", "tonic", "tower", "rustls"];

/// Initializes logging by the settings. `RUST_LOG`, a list of `target=level`, takes precedence.
pub(in crate::cli) fn init_logging(sources: &Sources, program: Program) -> Result<(), Exit> {
    let json = has_json_logs(sources, program)?;
    let shows_runs = program == Program::Worker && !json && stderr().is_terminal();
    let registry = tracing_subscriber::registry().with(levels(sources, shows_runs)?);
    let layer = tracing_subscriber::fmt::layer().with_writer(|| LineWriter);
    // The unit tests share one process. Its output shows the tests, not the log lines that they cause.
    if cfg!(test) {
        return Ok(());
    }
    // Fails only if logging was initialized before.
    let _ = if json {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        registry.with(layer.with_ansi(color_enabled(&stderr())).event_format(HumanFormat::new())).try_init()
    };
    for warning in sources.warnings() {
        tracing::warn!("{warning}: it is ignored");
    }
    Ok(())
}

/// Whether log lines are JSON instead of text.
pub(in crate::cli) fn has_json_logs(sources: &Sources, program: Program) -> Result<bool, Exit> {
    match sources.value("HATCHET_CLIENT_LOG_FORMAT").map(str::to_ascii_lowercase).as_deref() {
        None => Ok(program == Program::Worker && !stderr().is_terminal()),
        Some("json") => Ok(true),
        Some("human" | "console" | "text") => Ok(false),
        Some(other) => {
            Err(Exit::usage(format!("invalid HATCHET_CLIENT_LOG_FORMAT \"{other}\": set it to human or json")))
        }
    }
}

/// The maximum level of each target. `shows_runs` adds the events about runs to the level INFO.
fn levels(sources: &Sources, shows_runs: bool) -> Result<Targets, Exit> {
    let invalid = |name: &str, text: &str, source: &Source| {
        Exit::usage(format!(
            "invalid {name} \"{text}\" (from {source}): set it to off, error, warn, info, debug or trace"
        ))
    };
    if let Some(text) = std::env::var("RUST_LOG").ok().filter(|text| !text.trim().is_empty()) {
        return text.parse().map_err(|_| invalid("RUST_LOG", &text, &Source::Environment));
    }
    let (text, source) = sources.get("HATCHET_CLIENT_LOG_LEVEL").unwrap_or(("info", &Source::Default));
    // Not parsed as a list of targets, since any text is a valid name of a target.
    let level = parse_level(text).ok_or_else(|| invalid("HATCHET_CLIENT_LOG_LEVEL", text, source))?;
    let levels = Targets::new().with_default(level).with_target(RUN_LOG, run_level(level, shows_runs));
    Ok(TRANSPORT_TARGETS
        .into_iter()
        .fold(levels, |levels, target| levels.with_target(target, level.min(LevelFilter::ERROR))))
}

/// The maximum level of the events about runs. These events have the level DEBUG, and a task's debug lines have the
/// level TRACE.
fn run_level(level: LevelFilter, shows_runs: bool) -> LevelFilter {
    if level >= LevelFilter::DEBUG {
        LevelFilter::TRACE
    } else if level == LevelFilter::INFO && shows_runs {
        LevelFilter::DEBUG
    } else {
        level
    }
}

/// Parses a level in any case, under the names of the Rust, Go and Python SDKs.
fn parse_level(text: &str) -> Option<LevelFilter> {
    match text.to_ascii_lowercase().as_str() {
        "warning" => Some(LevelFilter::WARN),
        "fatal" | "panic" | "critical" => Some(LevelFilter::ERROR),
        "disabled" => Some(LevelFilter::OFF),
        other => other.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::task::RUN_LOG_LINES;

    #[test]
    fn level_names_of_all_official_sdks_are_accepted() {
        for (text, expected) in [
            ("OFF", LevelFilter::OFF),
            ("disabled", LevelFilter::OFF),
            ("ERROR", LevelFilter::ERROR),
            ("fatal", LevelFilter::ERROR),
            ("panic", LevelFilter::ERROR),
            ("CRITICAL", LevelFilter::ERROR),
            ("Warn", LevelFilter::WARN),
            ("WARNING", LevelFilter::WARN),
            ("info", LevelFilter::INFO),
            ("DEBUG", LevelFilter::DEBUG),
            ("trace", LevelFilter::TRACE),
        ] {
            assert_eq!(parse_level(text), Some(expected), "{text}");
        }
        assert_eq!(parse_level("loud"), None);
    }

    #[test]
    fn runs_are_logged_at_info_on_terminals_only() {
        let is_shown = |level: &'static str, shows_runs| {
            let sources = Sources::from_pairs([("HATCHET_CLIENT_LOG_LEVEL", level)]);
            let levels = levels(&sources, shows_runs).unwrap_or_else(|exit| panic!("{}", exit.message()));
            [(RUN_LOG, tracing::Level::DEBUG), (RUN_LOG_LINES, tracing::Level::TRACE)]
                .map(|(target, level)| levels.would_enable(target, &level))
        };
        for (level, on_terminal, elsewhere) in [
            ("warn", [false, false], [false, false]),
            ("info", [true, false], [false, false]),
            ("debug", [true, true], [true, true]),
        ] {
            assert_eq!((is_shown(level, true), is_shown(level, false)), (on_terminal, elsewhere), "{level}");
        }
    }
}
