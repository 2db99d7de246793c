//! Run keys: the name that every run of a benchmark has, by which it is found again and started once only.

use std::time::Duration;

/// Metadata key that holds a run's key.
pub const RUN_KEY: &str = "run_key";
/// Metadata key that holds the prefix which all runs of a benchmark share.
pub const KEY_PREFIX: &str = "run_key_prefix";
/// A worker with run keys registers each task once more under its name and this.
pub const KEYED: &str = "-keyed";
/// How long a key is held, from the trigger on.
pub const KEY_TTL: Duration = Duration::from_secs(24 * 3600);
/// Longest prefix.
const LONGEST: usize = 64;

/// The key of a run.
pub fn run_key(prefix: &str, task: &str, index: usize) -> String {
    format!("{prefix}:{task}:{index}")
}

/// A prefix made of the time, for those who name none.
pub fn prefix_now() -> String {
    let now = prost_types::Timestamp::from(std::time::SystemTime::now()).to_string();
    let digits: String = now.chars().take_while(|c| *c != '.').filter(char::is_ascii_digit).collect();
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{digits}-{}", &random[..4])
}

/// Says why a prefix cannot be used. A colon would end it in an engine's filters.
pub fn check_prefix(prefix: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if prefix.is_empty() || prefix.len() > LONGEST || !prefix.chars().all(good) {
        return Err(format!("`{prefix}`: use 1 to {LONGEST} letters, digits, `.`, `-` and `_`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_prefixes() {
        assert_eq!(run_key("p", "t", 7), "p:t:7");
        assert!(check_prefix(&prefix_now()).is_ok(), "{}", prefix_now());
        for bad in ["", "a:b", "a b", "é", &"x".repeat(65)] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }
}
