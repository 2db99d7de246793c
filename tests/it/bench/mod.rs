//! `runner bench`, and the parts of the library that it rests on.

mod bad_input;
mod browser;
mod bulk;
mod ends;
mod keys;
mod outcomes;
mod report;

use std::path::Path;

use serde_json::Value;

use crate::process::{Ended, Place, Program};

/// Starts a benchmark on the engine of this folder.
fn start(place: &Place, words: &[&str]) -> Program {
    Program::start(&mut place.runner_command(&[&["bench", "--embedded"], words].concat()))
}

/// Runs a benchmark on the engine of this folder to its end.
fn bench(place: &Place, words: &[&str]) -> Ended {
    start(place, words).wait()
}

fn summary(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("summary.json")).unwrap()).unwrap()
}

/// The lines of `runs.jsonl`.
fn runs(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("runs.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
