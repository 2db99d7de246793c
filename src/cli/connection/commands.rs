//! Renders commands for messages. They can be pasted into a POSIX shell.

use super::EmbeddedMode;
use crate::hatchet::client::{Source, Sources};

/// Renders commands that reach the same engine as this process, with its connection flags.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct CommandRenderer {
    /// The flags of this process that select the engine and the namespace.
    flags: Vec<String>,
}

impl CommandRenderer {
    /// `embedded` is the flag `--embedded`; the other flags are read from the settings. Settings of the environment are
    /// left out, since the command is run in the same environment. Flags about logs are left out, too.
    pub(in crate::cli) fn new(embedded: Option<EmbeddedMode>, sources: &Sources) -> Self {
        let mut flags = Vec::new();
        flags.extend(embedded.map(|mode| match mode {
            EmbeddedMode::Always => "--embedded".to_owned(),
            EmbeddedMode::Auto => "--embedded=auto".to_owned(),
            EmbeddedMode::Never => "--embedded=never".to_owned(),
        }));
        for (name, source) in sources.names() {
            match source {
                Source::Flag("--log-level" | "--verbose" | "--quiet" | "--log-format") => {}
                // The only flag without a value.
                Source::Flag(flag @ "--embedded-ephemeral") => flags.push((*flag).to_owned()),
                Source::Flag(flag) => {
                    flags.push((*flag).to_owned());
                    flags.push(sources.value(name).unwrap_or_default().to_owned());
                }
                Source::Environment | Source::File(_) | Source::Token | Source::Handshake | Source::Default => {}
            }
        }
        Self { flags }
    }

    /// Renders a command line of these arguments and the connection flags.
    pub(in crate::cli) fn render(&self, args: &[&str]) -> String {
        render_command(args.iter().copied().chain(self.flags.iter().map(String::as_str)))
    }
}

/// Renders a command line of these arguments, each quoted if necessary.
pub(in crate::cli) fn render_command<'a>(args: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = |arg: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:".contains(c);
        if !arg.is_empty() && arg.chars().all(is_plain) {
            arg.to_owned()
        } else {
            format!("'{}'", arg.replace('\'', r"'\''"))
        }
    };
    args.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
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
            ("HATCHET_CLIENT_LOG_LEVEL", "warn", "--quiet"),
            ("HATCHET_CLIENT_NAMESPACE", "team", "--namespace"),
        ] {
            sources.set(name, value, Source::Flag(flag));
        }
        let commands = CommandRenderer::new(Some(EmbeddedMode::Auto), &sources);
        assert_eq!(
            commands.render(&["runner", "--find", "k=a b"]),
            r"runner --find 'k=a b' --embedded=auto --namespace team --embedded-dir 'it'\''s here' --embedded-ephemeral"
        );
    }
}
