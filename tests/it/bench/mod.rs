//! Tests of `runner bench` and of the client's bulk calls.

mod bad_input;
mod browser;
mod bulk;
mod ends;
mod keys;
mod open;
mod outcomes;
mod report;
#[cfg(target_os = "linux")]
mod terminal;

use std::path::Path;

use serde_json::Value;

use crate::process::{Program, ProgramOutput, Workspace};

/// Starts a benchmark on the embedded engine of a workspace.
fn start(workspace: &Workspace, args: &[&str]) -> Program {
    Program::start(&mut workspace.runner_command(&[&["bench", "--embedded"], args].concat()))
}

/// Runs a benchmark on the embedded engine of a workspace to its end.
fn bench(workspace: &Workspace, args: &[&str]) -> ProgramOutput {
    start(workspace, args).wait()
}

fn summary(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("summary.json")).unwrap()).unwrap()
}

/// The lines of `runs.jsonl`.
fn runs(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("runs.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
