//! Where settings come from: flags, the environment, `.env` files.

use std::{collections::BTreeMap, fmt, path::Path};

use super::{
    super::dial::PROXY_VARIABLES,
    dotenv::{self, Unreadable},
};

/// The `.env` files that are read from the current folder, as the Python SDK reads them: a later one wins over an
/// earlier one, and the process' own environment over all.
pub const ENV_FILES: [&str; 4] = [".env", ".env.hatchet", ".env.dev", ".env.local"];

/// Settings by variable name, each with where it came from.
#[derive(Clone, Default)]
pub struct Sources {
    values: BTreeMap<String, (String, Source)>,
    /// Files, lines and variables that are there and were not read: where, and why.
    warnings: Vec<String>,
    /// Those of them that may hold settings.
    lost: Vec<String>,
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command line.
    Flag(&'static str),
    /// The process' environment.
    Environment,
    /// A `.env` file.
    File(&'static str),
    /// A claim of the token.
    Token,
    /// A handshake file of an engine on this machine.
    Handshake,
    /// Nobody set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Environment => f.write_str("the environment"),
            Self::File(file) => f.write_str(file),
            Self::Token => f.write_str("the token"),
            Self::Handshake => f.write_str("the engine's handshake file"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Sources {
    /// The `.env` files of `folder`, then the process' environment over them. Only names that start with `HATCHET_`,
    /// so that a `.env` of the application around us stays its own, and from the environment those of proxies.
    pub fn read(folder: &Path) -> Self {
        let mut sources = Self::default();
        for file in ENV_FILES {
            match dotenv::read(&folder.join(file), |name| std::env::var(name).ok()) {
                Ok(None) => {}
                Ok(Some(env)) => {
                    for (name, value) in env.values {
                        sources.put(name, value, Source::File(file));
                    }
                    for line in env.bad_lines {
                        sources.lose(format!("{file}:{}", line.number), line.reason);
                    }
                }
                Err(error @ Unreadable::NotAFile(_)) => sources.warnings.push(format!("{file} {error}")),
                Err(error) => sources.lose(file.to_owned(), error),
            }
        }
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => sources.put(name, value, Source::Environment),
                Err(_) if is_ours(&name) => sources.lose(name, "(from the environment) is not UTF-8 text"),
                Err(_) => {}
            }
        }
        sources
    }

    /// Settings out of a map, for tests.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut sources = Self::default();
        for (name, value) in pairs {
            sources.put(name.to_owned(), value.to_owned(), Source::Environment);
        }
        sources
    }

    fn put(&mut self, name: String, value: String, source: Source) {
        // Proxies are the environment's: no SDK reads them from a file.
        let proxy = source == Source::Environment && PROXY_VARIABLES.as_flattened().contains(&name.as_str());
        if proxy || is_ours(&name) {
            self.values.insert(name, (value, source));
        }
    }

    /// Something that may hold settings was not read.
    fn lose(&mut self, place: String, why: impl fmt::Display) {
        self.warnings.push(format!("{place} {why}"));
        self.lost.push(place);
    }

    /// A flag's value over whatever there is.
    pub fn set(&mut self, name: &str, value: impl Into<String>, source: Source) {
        self.values.insert(name.to_owned(), (value.into(), source));
    }

    /// A setting and where it came from. Empty counts as not set, as in the official SDKs.
    pub fn get(&self, name: &str) -> Option<(&str, &Source)> {
        self.values.get(name).map(|(value, source)| (value.trim(), source)).filter(|(value, _)| !value.is_empty())
    }

    /// A setting alone.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(|(value, _)| value)
    }

    /// All names that are set, each with its source.
    pub fn names(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.values.keys().filter_map(|name| self.get(name).map(|(_, source)| (name.as_str(), source)))
    }

    /// `1`, `true`, `t`, `yes`, `y`, `on` are true and their opposites false, in any case, as the Python and Go SDKs have
    /// it; else an error in words.
    pub fn flag(&self, name: &str) -> Result<bool, String> {
        match self.value(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("0" | "false" | "f" | "no" | "n" | "off") => Ok(false),
            Some("1" | "true" | "t" | "yes" | "y" | "on") => Ok(true),
            Some(other) => Err(format!("{name} is `{other}`: set it to true or false")),
        }
    }

    /// Files, lines and variables that were skipped: where, and why. None of them quotes a value.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The places of [`Sources::warnings`] that may hold settings, such as `.env:3`: a setting that is not set may be
    /// there.
    pub fn lost(&self) -> &[String] {
        &self.lost
    }
}

/// A whole number as the Python SDK writes and reads it: `4194304`, `+8001`, `4_194_304`, `8001.0`.
pub fn parse_integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let whole = text.split_once('.').map_or(Some(text), |(whole, zeros)| {
        (!zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0')).then_some(whole)
    })?;
    // An underscore stands between two digits.
    let wrong =
        whole.starts_with(['_']) || whole.ends_with('_') || ["__", "+_", "-_"].iter().any(|two| whole.contains(two));
    if wrong { None } else { whole.replace('_', "").parse().ok() }
}

/// Whether a variable is one of Hatchet's.
fn is_ours(name: &str) -> bool {
    name.starts_with("HATCHET_")
}

impl fmt::Debug for Sources {
    /// Names and sources only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.values.iter().map(|(name, (_, source))| (name, source))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_files_win_and_strangers_stay_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "HATCHET_T_A=1\nHATCHET_T_B=1\nOTHER=x\n").unwrap();
        std::fs::write(folder.path().join(".env.local"), "HATCHET_T_B=2\nno equals sign\n").unwrap();
        let sources = Sources::read(folder.path());
        assert_eq!(sources.get("HATCHET_T_A"), Some(("1", &Source::File(".env"))));
        assert_eq!(sources.get("HATCHET_T_B"), Some(("2", &Source::File(".env.local"))));
        assert_eq!(sources.get("OTHER"), None);
        assert_eq!(sources.warnings(), [".env.local:2 is not NAME=value"]);
        assert_eq!(sources.lost(), [".env.local:2"]);
    }

    #[test]
    fn directory_is_skipped_with_a_warning_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".env")).unwrap();
        let sources = Sources::read(folder.path());
        assert_eq!(sources.warnings(), [".env is a directory, not a file"]);
        assert!(sources.lost().is_empty());
    }

    #[test]
    fn flags_are_those_of_the_official_sdks() {
        for (text, value) in [("1", true), ("t", true), ("T", true), ("true", true), ("True", true), ("TRUE", true)]
            .into_iter()
            .chain([("y", true), ("Y", true), ("yes", true), ("on", true), ("ON", true), (" true ", true)])
            .chain([("0", false), ("f", false), ("F", false), ("false", false), ("False", false), ("n", false)])
            .chain([("no", false), ("off", false), ("OFF", false), ("", false), ("  ", false)])
        {
            assert_eq!(Sources::from_pairs([("HATCHET_A", text)]).flag("HATCHET_A"), Ok(value), "{text:?}");
        }
        assert_eq!(Sources::default().flag("HATCHET_A"), Ok(false));
        for text in ["perhaps", "2", "-1", "none", "None", "enabled"] {
            let error = Sources::from_pairs([("HATCHET_A", text)]).flag("HATCHET_A").unwrap_err();
            assert!(error.contains("HATCHET_A") && error.contains("true or false"), "{error}");
        }
    }

    #[test]
    fn integers_are_those_of_the_python_sdk() {
        for (text, value) in [("8001", 8001), (" 8001 ", 8001), ("8_001", 8001), ("+8001", 8001), ("8001.0", 8001)]
            .into_iter()
            .chain([("8001.00", 8001), ("-1", -1), ("0", 0), ("08001", 8001), ("8001\n", 8001)])
        {
            assert_eq!(parse_integer(text), Some(value), "{text:?}");
        }
        for text in
            ["8001.5", "0x1f", "1e3", "", "8__1", "_8", "8_", "+_8", "8001.", ".0", "4MB", "99999999999999999999"]
        {
            assert_eq!(parse_integer(text), None, "{text:?}");
        }
    }
}
