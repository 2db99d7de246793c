//! The number of crates and the sizes of the binaries, without targets.

use std::{collections::BTreeSet, process::Command};

/// Returns lines about the build.
pub(crate) fn facts() -> Vec<String> {
    let mut facts = Vec::new();
    match (crates("normal"), crates("normal,build")) {
        (Some(linked), Some(built)) => facts.push(format!(
            "crates: {linked} linked, {built} with build dependencies (distinct crates of cargo tree --edges \
             normal,build)"
        )),
        _ => facts.push("crates: running cargo tree failed".to_owned()),
    }
    for (name, path) in [("worker", env!("CARGO_BIN_EXE_worker")), ("runner", env!("CARGO_BIN_EXE_runner"))] {
        match std::fs::metadata(path) {
            Ok(file) => facts.push(format!("binary {name}: {:.1} MB", file.len() as f64 / 1e6)),
            Err(error) => facts.push(format!("binary {name}: {error}")),
        }
    }
    facts
}

/// Counts the crates in a build of the two binaries, without this crate.
fn crates(edges: &str) -> Option<usize> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--prefix", "none", "--format", "{p}", "--edges", edges])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let names: BTreeSet<&str> =
        text.lines().map(|line| line.trim_end_matches(" (*)").trim_end_matches(" (proc-macro)")).collect();
    Some(names.len().saturating_sub(1))
}
