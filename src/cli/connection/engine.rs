//! Which engine: the one that a token names, or the embedded one.

use std::path::Path;

use super::command::ConnectionWords;
use crate::{
    cli::Exit,
    hatchet::{
        client::{ClientConfig, Sources, engine_folder},
        system::Handshake,
    },
};

/// When to use the embedded engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum When {
    /// Even where a token is set.
    Always,
    /// Where no token is set.
    Auto,
    /// Not at all.
    Never,
}

/// 1: the embedded engine keeps nothing over restarts.
#[cfg(feature = "engine")]
pub(in crate::cli) const EPHEMERAL: &str = "HATCHET_EMBEDDED_EPHEMERAL";

/// The decision, with a line that says it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum Choice {
    /// A Hatchet engine, by its token.
    Token(String),
    /// The embedded engine.
    Embedded(String),
}

/// The flag beats the token, and the token beats `HATCHET_EMBEDDED=1`; what was passed over is said. Fails where the
/// choice depends on whether there is a token and one may be in what could not be read.
pub(in crate::cli) fn choose(flag: Option<When>, sources: &Sources) -> Result<Choice, Exit> {
    let token = sources.get("HATCHET_CLIENT_TOKEN").map(|(_, source)| source.to_string());
    let variable = sources.flag("HATCHET_EMBEDDED").map_err(Exit::usage)?;
    let no_token = || match sources.skipped() {
        [] => Ok(()),
        lost => Err(Exit::usage(format!(
            "no HATCHET_CLIENT_TOKEN is set, but one may be in what cannot be read ({}): correct it, or choose with \
             --embedded or --embedded=never",
            lost.join(", ")
        ))),
    };
    match (flag, token) {
        (Some(When::Always), Some(token)) => {
            Ok(Choice::Embedded(format!("embedded engine (--embedded); the token from {token} is passed over")))
        }
        (Some(When::Always), None) => Ok(Choice::Embedded("embedded engine (--embedded)".to_owned())),
        (Some(When::Auto), None) => {
            no_token()?;
            Ok(Choice::Embedded("embedded engine (no HATCHET_CLIENT_TOKEN is set)".to_owned()))
        }
        (Some(When::Auto | When::Never) | None, Some(token)) if variable => {
            Ok(Choice::Token(format!("Hatchet engine by the token from {token}; HATCHET_EMBEDDED is passed over")))
        }
        (Some(When::Auto | When::Never) | None, Some(token)) => {
            Ok(Choice::Token(format!("Hatchet engine by the token from {token}")))
        }
        (None, None) if variable => {
            no_token()?;
            Ok(Choice::Embedded("embedded engine (HATCHET_EMBEDDED)".to_owned()))
        }
        // The settings' own error names the variable and the flag.
        (Some(When::Never) | None, None) => Ok(Choice::Token(String::new())),
    }
}

/// The handshake of the embedded engine that runs on a folder, if one does; a file left behind by one that was killed
/// does not count.
#[cfg(feature = "engine")]
pub(in crate::cli) fn find(folder: &Path) -> Result<Option<Handshake>, Exit> {
    crate::engine::find(folder).map_err(|e| Exit::unreachable(e.to_string()))
}

/// The same in a build without the engine.
#[cfg(not(feature = "engine"))]
pub(in crate::cli) fn find(folder: &Path) -> Result<Option<Handshake>, Exit> {
    Handshake::find(folder).map_err(|e| Exit::unreachable(e.to_string()))
}

/// The settings of a runner: by token, or by the handshake file of an embedded engine that is running.
pub(in crate::cli) fn runner_config(choice: &Choice, sources: &Sources) -> Result<ClientConfig, Exit> {
    match choice {
        Choice::Token(_) => Ok(ClientConfig::from_sources(sources)?),
        Choice::Embedded(_) => {
            let folder = engine_folder(sources);
            let handshake = find(&folder)?.ok_or_else(|| Exit::unreachable(not_running(&folder, sources)))?;
            Ok(ClientConfig::from_engine_folder(&handshake, folder, sources)?)
        }
    }
}

/// Why there is no engine to reach, and how to start one.
pub(in crate::cli) fn not_running(folder: &Path, sources: &Sources) -> String {
    let start = ConnectionWords::new(Some(When::Always), sources).command(&["worker"]);
    let folder = folder.display();
    format!("no embedded engine runs here (folder {folder}): start one with `make run-worker` or `{start}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_then_token_then_variable() {
        let none = Sources::from_pairs([]);
        let token = Sources::from_pairs([("HATCHET_CLIENT_TOKEN", "ey")]);
        let variable = Sources::from_pairs([("HATCHET_EMBEDDED", "1")]);
        let both = Sources::from_pairs([("HATCHET_CLIENT_TOKEN", "ey"), ("HATCHET_EMBEDDED", "1")]);
        let embedded = |flag, sources: &Sources| matches!(choose(flag, sources), Ok(Choice::Embedded(_)));
        assert!(embedded(Some(When::Always), &both));
        assert!(embedded(Some(When::Auto), &none) && !embedded(Some(When::Auto), &token));
        assert!(embedded(None, &variable) && !embedded(None, &both) && !embedded(None, &none));
        assert!(!embedded(Some(When::Never), &variable));
        let Ok(Choice::Embedded(said)) = choose(Some(When::Always), &token) else { panic!("choice") };
        assert!(said.contains("passed over"), "{said}");
    }
}
