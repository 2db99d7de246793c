//! What the tasks themselves counted: a line for each attempt.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::Path,
};

use crate::bench::{load::session::Verified, plan::Plan, summary::Verification};

/// Lines of what is wrong that are kept.
const SHOWN: usize = 20;

/// Puts what the engine said to the second submissions beside what the tasks counted.
pub(in crate::bench) fn verification(plan: &Plan, verified: Verified, file: Option<&Path>) -> Verification {
    let mut wrong = verified.wrong;
    let mut executions = None;
    if let Some(path) = file {
        match fs::read_to_string(path) {
            Ok(text) => {
                let counted = count(plan, &text);
                executions = Some(counted.attempts);
                wrong.extend(counted.twice);
            }
            // Nothing was executed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => executions = Some(0),
            Err(e) => wrong.push(format!("{} cannot be read: {e}", path.display())),
        }
    }
    if wrong.len() > SHOWN {
        let more = wrong.len() - SHOWN;
        wrong.truncate(SHOWN);
        wrong.push(format!("and {more} more"));
    }
    Verification { refused: verified.refused, executions, wrong }
}

struct Counted {
    attempts: usize,
    /// Keys that were executed twice.
    twice: Vec<String>,
}

/// A retry is another attempt of the same run; two runs of one key, or one attempt twice, must not be.
fn count(plan: &Plan, text: &str) -> Counted {
    let mut counted = Counted { attempts: 0, twice: Vec::new() };
    let mut runs: HashMap<&str, &str> = HashMap::new();
    let mut attempts = HashSet::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (Some(key), Some(run), Some(attempt)) = (words.next(), words.next(), words.next()) else { continue };
        if !key.strip_prefix(&plan.prefix).is_some_and(|rest| rest.starts_with(':')) {
            continue;
        }
        counted.attempts += 1;
        let first = *runs.entry(key).or_insert(run);
        if first != run {
            counted.twice.push(format!("{key} was executed as run {first} and as run {run}"));
        } else if !attempts.insert((key, attempt)) {
            counted.twice.push(format!("{key}, run {run}: attempt {attempt} was executed twice"));
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn retries_are_no_second_execution() {
        let plan = Plan {
            tasks: Vec::new(),
            runs: 1,
            prefix: "p".into(),
            batch: 1,
            rate: None,
            timeout: Duration::ZERO,
            verify_dedupe: true,
        };
        let good = count(&plan, "p:t:0 a 0\np:t:0 a 1\np:t:1 b 0\npq:t:1 c 0\n- d 0\nhalf");
        assert_eq!((good.attempts, good.twice.len()), (3, 0));
        let bad = count(&plan, "p:t:0 a 0\np:t:0 b 0\np:t:1 c 0\np:t:1 c 0\n");
        assert_eq!(bad.twice.len(), 2, "{:?}", bad.twice);
    }
}
