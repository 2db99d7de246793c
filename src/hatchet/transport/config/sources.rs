//! Settings as text from flags, the environment and `.env` files.

use std::{collections::BTreeMap, fmt, path::Path};

use super::dotenv::{self, Unreadable};

/// Names of the `.env` files, as in the Python SDK. A later file overrides an earlier file, and the process'
/// environment overrides all files.
pub(crate) const ENV_FILES: [&str; 4] = [".env", ".env.hatchet", ".env.dev", ".env.local"];

/// Proxy variables, whose names may also be in lower case.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"];

/// Settings by variable name, each with its origin.
#[derive(Clone, Default)]
pub struct Sources {
    values: BTreeMap<String, (String, Source)>,
    /// Skipped files, lines and variables, each with the reason.
    warnings: Vec<String>,
    /// Names of the skipped files, lines and variables that may contain settings, such as `.env:3`.
    skipped: Vec<String>,
}

/// The origin of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A flag of the command line. Contains its name.
    Flag(&'static str),
    /// A variable of the environment.
    Environment,
    /// A `.env` file. Contains its name.
    File(&'static str),
    /// A claim of the token.
    Token,
    /// A handshake file of an engine on this machine.
    Handshake,
    /// The built-in default.
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
    /// Reads `.env`, `.env.hatchet`, `.env.dev` and `.env.local` in `folder`, and then the process' environment. A
    /// later source overrides an earlier source.
    ///
    /// Reads only names that start with `HATCHET_`, since a `.env` file may belong to another application, and the
    /// proxy variables of the environment.
    pub fn read(folder: &Path) -> Self {
        let mut sources = Self::default();
        for file in ENV_FILES {
            match dotenv::read(&folder.join(file), |name| std::env::var(name).ok()) {
                Ok(None) => {}
                Ok(Some(env)) => {
                    for (name, value) in env.values {
                        sources.put(name, value, Source::File(file));
                    }
                    for line in env.malformed_lines {
                        sources.skip(format!("{file}:{}", line.number), line.reason);
                    }
                }
                Err(error @ Unreadable::NotAFile(_)) => sources.warnings.push(format!("{file} {error}")),
                Err(error) => sources.skip(file.to_owned(), error),
            }
        }
        for (name, value) in std::env::vars_os() {
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => sources.put(name, value, Source::Environment),
                Err(_) if is_hatchet_variable(&name) => sources.skip(name, "(from the environment) is not UTF-8 text"),
                Err(_) => {}
            }
        }
        sources
    }

    /// Settings from pairs of name and value, for tests.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut sources = Self::default();
        for (name, value) in pairs {
            sources.put(name.to_owned(), value.to_owned(), Source::Environment);
        }
        sources
    }

    fn put(&mut self, name: String, value: String, source: Source) {
        // Like the official SDKs, reads proxies from the environment only.
        let is_proxy = source == Source::Environment && is_proxy_variable(&name);
        if is_proxy || is_hatchet_variable(&name) {
            self.values.insert(name, (value, source));
        }
    }

    /// Records a skipped file, line or variable that may contain settings.
    fn skip(&mut self, name: String, reason: impl fmt::Display) {
        self.warnings.push(format!("{name} {reason}"));
        self.skipped.push(name);
    }

    /// Sets a value, which replaces an earlier value.
    pub fn set(&mut self, name: &str, value: impl Into<String>, source: Source) {
        self.values.insert(name.to_owned(), (value.into(), source));
    }

    /// A setting and its origin. As in the official SDKs, an empty value counts as not set.
    pub fn get(&self, name: &str) -> Option<(&str, &Source)> {
        self.values.get(name).map(|(value, source)| (value.trim(), source)).filter(|(value, _)| !value.is_empty())
    }

    /// A setting's value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(|(value, _)| value)
    }

    /// All names that are set, each with its origin.
    pub fn names(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.values.keys().filter_map(|name| self.get(name).map(|(_, source)| (name.as_str(), source)))
    }

    /// Parses a boolean like the Python and Go SDKs: `1`, `true`, `t`, `yes`, `y`, `on` and their opposites, in upper
    /// or lower case. Default: false. The error is a text for users.
    pub fn flag(&self, name: &str) -> Result<bool, String> {
        match self.value(name).map(str::to_ascii_lowercase).as_deref() {
            None | Some("0" | "false" | "f" | "no" | "n" | "off") => Ok(false),
            Some("1" | "true" | "t" | "yes" | "y" | "on") => Ok(true),
            Some(other) => Err(format!("invalid {name} \"{other}\": set it to true or false")),
        }
    }

    /// Skipped files, lines and variables, each with the reason. No warning quotes a value.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The skipped files, lines and variables that may contain settings, such as `.env:3`.
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

/// Parses an integer like the Python SDK: `4194304`, `+8001`, `4_194_304`, `8001.0`.
pub(crate) fn parse_integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let whole = text.split_once('.').map_or(Some(text), |(whole, zeros)| {
        (!zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0')).then_some(whole)
    })?;
    // An underscore must be between two digits.
    let misplaced_underscore =
        whole.starts_with(['_']) || whole.ends_with('_') || ["__", "+_", "-_"].iter().any(|two| whole.contains(two));
    if misplaced_underscore { None } else { whole.replace('_', "").parse().ok() }
}

/// Whether a variable belongs to Hatchet.
fn is_hatchet_variable(name: &str) -> bool {
    name.starts_with("HATCHET_")
}

fn is_proxy_variable(name: &str) -> bool {
    PROXY_VARIABLES.iter().any(|variable| name == *variable || name == variable.to_ascii_lowercase())
}

impl fmt::Debug for Sources {
    /// Shows only names and origins, since values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.values.iter().map(|(name, (_, source))| (name, source))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_file_overrides_and_foreign_names_are_ignored() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "HATCHET_T_A=1\nHATCHET_T_B=1\nOTHER=x\n").unwrap();
        std::fs::write(folder.path().join(".env.local"), "HATCHET_T_B=2\nno equals sign\n").unwrap();
        let sources = Sources::read(folder.path());
        assert_eq!(sources.get("HATCHET_T_A"), Some(("1", &Source::File(".env"))));
        assert_eq!(sources.get("HATCHET_T_B"), Some(("2", &Source::File(".env.local"))));
        assert_eq!(sources.get("OTHER"), None);
        assert_eq!(sources.warnings(), [".env.local:2 is not NAME=value"]);
        assert_eq!(sources.skipped(), [".env.local:2"]);
    }

    #[test]
    fn directory_is_skipped_with_warning_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".env")).unwrap();
        let sources = Sources::read(folder.path());
        assert_eq!(sources.warnings(), [".env is a directory, not a file"]);
        assert!(sources.skipped().is_empty());
    }

    #[test]
    fn booleans_of_official_sdks_are_accepted() {
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
    fn integers_of_python_sdk_are_accepted() {
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
