//! Chooses the engine of a command: the token's engine or the embedded engine.

use super::EmbeddedMode;
use crate::{cli::Exit, hatchet::client::Sources};

/// The engine of a command, with a description of the choice and its reason.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) enum EngineChoice {
    /// The engine of the token. Contains the description.
    Token(String),
    /// The embedded engine. Contains the description.
    Embedded(String),
    /// No token is set and the embedded engine is not requested. Reading the client's settings fails and names both.
    None,
}

impl EngineChoice {
    /// Returns the choice and its reason; empty for [`EngineChoice::None`].
    pub(in crate::cli) fn description(&self) -> &str {
        match self {
            Self::Token(description) | Self::Embedded(description) => description,
            Self::None => "",
        }
    }
}

/// Chooses the engine. `--embedded` takes precedence over the token, and the token over `HATCHET_EMBEDDED=1`.
///
/// # Errors
///
/// If the choice depends on whether a token is set, and a line of a `.env` file that may set it cannot be read.
pub(in crate::cli) fn choose_engine(flag: Option<EmbeddedMode>, sources: &Sources) -> Result<EngineChoice, Exit> {
    let token = sources.get("HATCHET_CLIENT_TOKEN").map(|(_, source)| source.to_string());
    let is_requested = sources.flag("HATCHET_EMBEDDED").map_err(Exit::usage)?;
    let embedded = |reason: &str| Ok(EngineChoice::Embedded(format!("embedded engine ({reason})")));
    match (flag, token) {
        (Some(EmbeddedMode::Always), Some(token)) => {
            Ok(EngineChoice::Embedded(format!("embedded engine (--embedded); the token from {token} is ignored")))
        }
        (Some(EmbeddedMode::Always), None) => embedded("--embedded"),
        (Some(EmbeddedMode::Auto), None) => {
            require_readable(sources)?;
            embedded("no HATCHET_CLIENT_TOKEN is set")
        }
        (Some(EmbeddedMode::Auto | EmbeddedMode::Never) | None, Some(token)) => {
            let ignored = if is_requested { "; HATCHET_EMBEDDED is ignored" } else { "" };
            Ok(EngineChoice::Token(format!("Hatchet engine by the token from {token}{ignored}")))
        }
        (None, None) if is_requested => {
            require_readable(sources)?;
            embedded("HATCHET_EMBEDDED")
        }
        (Some(EmbeddedMode::Never) | None, None) => Ok(EngineChoice::None),
    }
}

/// Fails if part of a `.env` file cannot be read.
fn require_readable(sources: &Sources) -> Result<(), Exit> {
    match sources.skipped() {
        [] => Ok(()),
        unreadable => Err(Exit::usage(format!(
            "no HATCHET_CLIENT_TOKEN is set, but a line that cannot be read ({}) may set it: correct the line, or \
             choose with --embedded or --embedded=never",
            unreadable.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_precedes_token_and_token_precedes_variable() {
        let no_sources = Sources::from_pairs([]);
        let token = Sources::from_pairs([("HATCHET_CLIENT_TOKEN", "ey")]);
        let variable = Sources::from_pairs([("HATCHET_EMBEDDED", "1")]);
        let both = Sources::from_pairs([("HATCHET_CLIENT_TOKEN", "ey"), ("HATCHET_EMBEDDED", "1")]);
        let embedded = |flag, sources: &Sources| matches!(choose_engine(flag, sources), Ok(EngineChoice::Embedded(_)));
        assert!(embedded(Some(EmbeddedMode::Always), &both));
        assert!(embedded(Some(EmbeddedMode::Auto), &no_sources) && !embedded(Some(EmbeddedMode::Auto), &token));
        assert!(embedded(None, &variable) && !embedded(None, &both) && !embedded(None, &no_sources));
        assert!(!embedded(Some(EmbeddedMode::Never), &variable));
        let choice = choose_engine(Some(EmbeddedMode::Always), &token).unwrap();
        assert!(choice.description().contains("is ignored"), "{choice:?}");
    }
}
