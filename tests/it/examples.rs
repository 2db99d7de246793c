//! Runs each example and compares its output with its documentation. Checks `hatchet.yaml` against this project.

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use super::{documented::documented_output, tasks};

#[test]
fn examples_print_their_documented_output() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    // `cargo test` builds the examples next to the binaries.
    let built = Path::new(env!("CARGO_BIN_EXE_runner")).with_file_name("examples");
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The folder also contains an image for the README.
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        // Built with its feature only. `tests/opentelemetry.rs` runs it.
        if path.ends_with("opentelemetry.rs") {
            continue;
        }
        // Runs until it is stopped. `src/guide/tasks.md` runs it.
        if path.ends_with("own_worker.rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let documented = documented_output(&source);
        assert!(!documented.is_empty(), "{} does not document its output", path.display());
        let child = Command::new(built.join(path.file_stem().unwrap()))
            .env("HATCHET_CLIENT_TOKEN", "")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{} is not built: {e}", path.display()));
        programs.push((path, documented, child));
    }
    assert!(programs.len() >= 3, "examples are missing");
    for (path, documented, child) in programs {
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), documented, "{}", path.display());
        assert!(output.status.success(), "{}", path.display());
    }
}

#[test]
fn own_worker_selects_tasks_and_workflows_by_name() {
    let built = Path::new(env!("CARGO_BIN_EXE_runner")).with_file_name("examples").join("own_worker");
    let run = |arguments: &[&str]| {
        let output = Command::new(&built).args(arguments).env("HATCHET_CLIENT_TOKEN", "").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let all = ["--embedded", "--run-keys", "--explain-config", "--tasks", "report,word-count"];
    let (code, log) = run(&all);
    assert!(code == Some(0) && !log.contains("has no effect"), "{log}");
    let (code, log) = run(&["--embedded", "--run-keys", "--explain-config", "--tasks", "report"]);
    assert!(code == Some(0) && log.contains("--run-keys has no effect"), "{log}");
    let (code, error) = run(&["--embedded", "--tasks", "reprot"]);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("did you mean `report`? The tasks are word-count, report"), "{error}");
}

/// A line of YAML: its indentation, key (empty for an item of a list of texts) and value. Reads only the forms that
/// `hatchet.yaml` uses: block mappings and lists, double-quoted texts, and `true`.
fn yaml_lines(text: &str) -> Vec<(usize, String, String)> {
    let mut lines = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        let content = line.trim_start().trim_start_matches("- ");
        let (key, value) = match content.split_once(':') {
            Some((key, value)) if !content.starts_with('"') => (key, value.trim()),
            _ => ("", content),
        };
        let value = match value.strip_prefix('"') {
            Some(_) => serde_json::from_str(value).unwrap_or_else(|e| panic!("{line}: {e}")),
            None => value.to_owned(),
        };
        lines.push((line.len() - content.len(), key.to_owned(), value));
    }
    lines
}

/// Splits a command at spaces outside single quotes, as Hatchet's CLI does.
fn split_command(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (index, part) in command.split('\'').enumerate() {
        let mut pieces = if index % 2 == 1 { vec![part] } else { part.split(' ').collect() }.into_iter();
        words.last_mut().unwrap().push_str(pieces.next().unwrap());
        words.extend(pieces.map(str::to_owned));
    }
    words
}

#[test]
fn hatchet_yaml_has_commands_and_files_of_this_project() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let makefile = std::fs::read_to_string(root.join("Makefile")).unwrap();
    let lines = yaml_lines(&std::fs::read_to_string(root.join("examples/hatchet.yaml")).unwrap());
    let keys: BTreeSet<(usize, &str)> = lines.iter().map(|(indent, key, _)| (*indent, key.as_str())).collect();
    let dev = ["files", "preCmds", "reload", "runCmd"].map(|key| (2, key));
    let triggers = ["command", "description", "name"].map(|key| (4, key));
    let known = [(0, "dev"), (0, "triggers"), (6, "")].into_iter().chain(dev).chain(triggers).collect();
    assert_eq!(keys, known, "keys of Hatchet's CLI");

    let mut names = BTreeSet::new();
    let mut list = "";
    for (_, key, value) in &lines {
        match key.as_str() {
            "name" => assert!(value != "manual" && names.insert(value), "{value}: reserved or used twice"),
            "" if list == "files" => {
                let folder = value.trim_start_matches('!').split("/**").next().unwrap();
                assert!(value.starts_with('!') || root.join(folder).exists(), "{value} matches no file");
            }
            "command" | "runCmd" | "" => {
                let words = split_command(value);
                match words[0].as_str() {
                    "make" => assert!(makefile.contains(&format!("\n{}: ", words[1])), "{value}: no such target"),
                    "target/debug/runner" => check_runner(&words[1..]),
                    _ => panic!("{value}: unknown program"),
                }
            }
            key => list = key,
        }
    }
}

/// Checks that the runner accepts these arguments, and the task its input.
fn check_runner(arguments: &[String]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    let output = command.args(arguments).args(["--embedded", "--explain-config"]).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let value = |flag: &str| {
        let position = arguments.iter().position(|argument| argument == flag).unwrap();
        arguments[position + 1].as_str()
    };
    let name = value("--task-name");
    let task = tasks::all().into_iter().find(|task| task.names().any(|n| n == name)).unwrap();
    task.complete_input(value("--input-json")).unwrap();
}
