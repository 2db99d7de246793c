//! Renders commands that a message tells the user to run, for a POSIX shell.

use super::engine::When;
use crate::hatchet::client::{Source, Sources};

/// The flags of this process that decide which engine is reached, and under which names.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct ConnectionWords(Vec<String>);

impl ConnectionWords {
    /// `embedded` is the flag `--embedded`; the other flags are those in the settings. Settings from the environment are
    /// left out, since the command is run in the same one, and so are the logs', which decide nothing.
    pub(in crate::cli) fn new(embedded: Option<When>, sources: &Sources) -> Self {
        let mut words = Vec::new();
        words.extend(embedded.map(|when| match when {
            When::Always => "--embedded".to_owned(),
            When::Auto => "--embedded=auto".to_owned(),
            When::Never => "--embedded=never".to_owned(),
        }));
        for (name, source) in sources.names() {
            match source {
                Source::Flag("--log-level" | "--log-format") => {}
                // The only one of them without a value.
                Source::Flag(flag @ "--embedded-ephemeral") => words.push((*flag).to_owned()),
                Source::Flag(flag) => {
                    words.push((*flag).to_owned());
                    words.push(sources.value(name).unwrap_or_default().to_owned());
                }
                Source::Environment | Source::File(_) | Source::Token | Source::Handshake | Source::Default => {}
            }
        }
        Self(words)
    }

    /// A command that reaches the same engine: `words`, then these flags.
    pub(in crate::cli) fn command(&self, words: &[&str]) -> String {
        line(words.iter().copied().chain(self.0.iter().map(String::as_str)))
    }
}

/// A command line of these words, each quoted where it has to be.
pub(in crate::cli) fn line<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = |word: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_has_every_flag_quoted_for_the_shell() {
        let mut sources =
            Sources::from_pairs([("HATCHET_CLIENT_TOKEN", "ey"), ("HATCHET_CLIENT_SERVER_URL", "http://x")]);
        for (name, value, flag) in [
            ("HATCHET_EMBEDDED_DIR", "it's here", "--embedded-dir"),
            ("HATCHET_EMBEDDED_EPHEMERAL", "1", "--embedded-ephemeral"),
            ("HATCHET_CLIENT_LOG_LEVEL", "debug", "--log-level"),
            ("HATCHET_CLIENT_NAMESPACE", "team", "--namespace"),
        ] {
            sources.set(name, value, Source::Flag(flag));
        }
        let words = ConnectionWords::new(Some(When::Auto), &sources);
        assert_eq!(
            words.command(&["runner", "--find", "k=a b"]),
            r"runner --find 'k=a b' --embedded=auto --namespace team --embedded-dir 'it'\''s here' --embedded-ephemeral"
        );
    }
}
