//! Run keys: a unique name for every run of a benchmark.
//!
//! A run key is `<prefix>:<task>:<index>` in the run's metadata. It has two purposes. A run whose trigger got no
//! response is found by its key. A keyed task (see [`KEYED_SUFFIX`]) refuses a second run with the same key, so that
//! repeating a benchmark with the same prefix attaches to the existing runs.

use std::time::Duration;

/// Metadata key of the run key.
pub const RUN_KEY: &str = "run_key";
/// Metadata key of the prefix that all runs of a benchmark share.
pub const RUN_KEY_PREFIX: &str = "run_key_prefix";
/// Suffix of keyed tasks. `worker --run-keys` registers each task a second time under its name with this suffix. The
/// keyed task has the run key as its idempotency key.
pub const KEYED_SUFFIX: &str = "-keyed";
/// Time after the trigger for which an engine refuses a second run with the same key: 24 hours.
pub const KEY_TTL: Duration = Duration::from_secs(24 * 3600);
/// Maximum length of a prefix, in characters.
const MAX_PREFIX: usize = 64;

/// Returns `<prefix>:<task>:<index>`.
pub(super) fn run_key(prefix: &str, task: &str, index: usize) -> String {
    format!("{prefix}:{task}:{index}")
}

/// Generates a prefix from the current time and four random hexadecimal digits.
pub fn generate_prefix() -> String {
    let now = prost_types::Timestamp::from(std::time::SystemTime::now()).to_string();
    let digits: String = now.chars().take_while(|c| *c != '.').filter(char::is_ascii_digit).collect();
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{digits}-{}", &random[..4])
}

/// Validates a prefix. Colons are excluded because they separate key and value in an engine's metadata filters.
///
/// # Errors
///
/// Returns the rule that the prefix violates.
pub fn validate_prefix(prefix: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if prefix.is_empty() || prefix.len() > MAX_PREFIX || !prefix.chars().all(allowed) {
        return Err(format!("use 1 to {MAX_PREFIX} letters, digits, `.`, `-` and `_`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_prefix_is_valid() {
        assert_eq!(run_key("p", "t", 7), "p:t:7");
        assert!(validate_prefix(&generate_prefix()).is_ok(), "{}", generate_prefix());
    }

    #[test]
    fn prefix_with_other_characters_is_invalid() {
        for bad in ["", "a:b", "a b", "é", &"x".repeat(65)] {
            assert!(validate_prefix(bad).is_err(), "{bad}");
        }
    }
}
