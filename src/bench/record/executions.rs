//! Compares the executions that the tasks recorded with the runs of a benchmark.
//!
//! With `--verify-dedupe`, keyed tasks append a line `<run key> <run id> <retry count>` to a file at the start of each
//! attempt. A retry is another attempt of the same run. Two runs with one key, or the same attempt twice, violate
//! deduplication.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::Path,
};

use super::recording::SecondPass;

/// Maximum number of violations in a report.
const MAX_VIOLATIONS: usize = 20;

/// Returns the number of executions in the file, and the violations of the second pass and of the file. The number is
/// `None` without a file.
pub(in crate::bench) fn check_executions(
    prefix: &str,
    second_pass: &SecondPass,
    file: Option<&Path>,
) -> (Option<usize>, Vec<String>) {
    let mut violations = second_pass.violations.clone();
    let mut executions = None;
    if let Some(path) = file {
        match fs::read_to_string(path) {
            Ok(text) => {
                let counted = count(prefix, &text);
                executions = Some(counted.attempts);
                violations.extend(counted.violations);
            }
            // The first execution creates the file.
            Err(e) if e.kind() == io::ErrorKind::NotFound => executions = Some(0),
            Err(e) => violations.push(format!("reading {} failed: {e}", path.display())),
        }
    }
    if violations.len() > MAX_VIOLATIONS {
        let omitted = violations.len() - MAX_VIOLATIONS;
        violations.truncate(MAX_VIOLATIONS);
        violations.push(format!("and {omitted} more"));
    }
    (executions, violations)
}

struct Counted {
    attempts: usize,
    violations: Vec<String>,
}

/// Counts the attempts of the benchmark with this prefix. Lines of other benchmarks and incomplete lines are skipped.
fn count(prefix: &str, text: &str) -> Counted {
    let mut counted = Counted { attempts: 0, violations: Vec::new() };
    let mut run_of_key: HashMap<&str, &str> = HashMap::new();
    let mut attempts = HashSet::new();
    for line in text.lines() {
        let mut columns = line.split(' ');
        let (Some(key), Some(run), Some(attempt)) = (columns.next(), columns.next(), columns.next()) else { continue };
        if !key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(':')) {
            continue;
        }
        counted.attempts += 1;
        let first = *run_of_key.entry(key).or_insert(run);
        if first != run {
            counted.violations.push(format!("{key} was executed as run {first} and as run {run}"));
        } else if !attempts.insert((key, attempt)) {
            counted.violations.push(format!("{key}, run {run}: attempt {attempt} was executed twice"));
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_is_not_a_second_execution() {
        let good = count("p", "p:t:0 a 0\np:t:0 a 1\np:t:1 b 0\npq:t:1 c 0\n- d 0\nhalf");
        assert_eq!((good.attempts, good.violations.len()), (3, 0));
    }

    #[test]
    fn second_run_and_repeated_attempt_are_violations() {
        let bad = count("p", "p:t:0 a 0\np:t:0 b 0\np:t:1 c 0\np:t:1 c 0\n");
        assert_eq!(bad.violations.len(), 2, "{:?}", bad.violations);
    }
}
