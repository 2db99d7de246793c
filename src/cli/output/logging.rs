//! Logs: on stderr, for people on a terminal and as JSON elsewhere.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    cli::Exit,
    hatchet::client::{Source, Sources},
};

/// Starts logging by the settings. `RUST_LOG` wins where it is set, with `target=level` lists.
pub(in crate::cli) fn start(sources: &Sources) -> Result<(), Exit> {
    let bad = |name: &str, text: &str, source: &Source| {
        let levels = "off, error, warn, info, debug or trace";
        Exit::usage(format!("{name} is `{text}` (from {source}): set it to {levels}"))
    };
    let levels: Targets = match std::env::var("RUST_LOG") {
        Ok(text) if !text.trim().is_empty() => {
            text.parse().map_err(|_| bad("RUST_LOG", &text, &Source::Environment))?
        }
        _ => {
            let (text, source) = sources.get("HATCHET_CLIENT_LOG_LEVEL").unwrap_or(("info", &Source::Default));
            // A list of targets would take any word for the name of one.
            let level = level(text).ok_or_else(|| bad("HATCHET_CLIENT_LOG_LEVEL", text, source))?;
            // What the transport warns of, a peer without a token can cause thousands of times a second; every fault of
            // a call reaches its caller as an error. RUST_LOG shows the warnings by name, as `info,h2=warn`.
            ["h2", "hyper", "hyper_util", "tonic", "tower", "rustls"]
                .into_iter()
                .fold(Targets::new().with_default(level), |levels, target| {
                    levels.with_target(target, level.min(LevelFilter::ERROR))
                })
        }
    };
    let json = match sources.value("HATCHET_CLIENT_LOG_FORMAT").map(str::to_ascii_lowercase).as_deref() {
        None => !std::io::stderr().is_terminal(),
        Some("json") => true,
        Some("human" | "console" | "text") => false,
        Some(other) => {
            return Err(Exit::usage(format!("HATCHET_CLIENT_LOG_FORMAT is `{other}`: set it to human or json")));
        }
    };
    let registry = tracing_subscriber::registry().with(levels);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // A failed init: a test has started logging already.
    let _ = if json {
        registry.with(layer.json().flatten_event(true)).try_init()
    } else {
        registry.with(layer.with_target(false).with_ansi(std::io::stderr().is_terminal())).try_init()
    };
    for warning in sources.warnings() {
        tracing::warn!("{warning}: it is ignored");
    }
    Ok(())
}

/// A level by its name in any case, also by those that only the Go and Python SDKs have.
fn level(text: &str) -> Option<LevelFilter> {
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

    #[test]
    fn levels_are_those_of_the_official_sdks() {
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
            assert_eq!(level(text), Some(expected), "{text}");
        }
        assert_eq!(level("loud"), None);
    }
}
