//! Invalid input: the error line, the exit code, and that no file is created.

use super::{Program, Workspace, bench};
use crate::{fake::token, support::CLOSED};

#[test]
fn invalid_argument_is_reported() {
    let workspace = Workspace::new();
    workspace.write("file", "");
    for (args, parts) in [
        (&["--runs", "0"][..], &[r#"invalid --runs "0""#, "from 1 to"][..]),
        (&["--runs", "-3"], &[r#"invalid --runs "-3""#]),
        (&["--batch", "0"], &[r#"invalid --batch "0""#]),
        (&["--rate", "-1"], &[r#"invalid --rate "-1""#, "runs per second"]),
        (&["--rate", "NaN"], &[r#"invalid --rate "NaN""#]),
        (&["--timeout", "0s"], &[r#"invalid --timeout "0s""#, "10m"]),
        (&["--timeout", "soon"], &[r#"invalid --timeout "soon""#]),
        (&["--timeout", "-1"], &[r#"invalid --timeout "-1""#, "not negative"]),
        (&["--timeout", "99999999999h"], &["the maximum of 2562047h"]),
        (&["--input-json", r#"{"name":"a","name":"b"}"#], &["--input-json", "name"]),
        (&["--tasks", "sync-slep-task"], &["--tasks", "did you mean `sync-sleep-task`", "cpu-heavy-task"]),
        (&["--tasks", ","], &[r#"invalid --tasks ",""#]),
        (&["--input-json", "{"], &["--input-json", "not JSON"]),
        (&["--input-json", r#"{"name":{index}}"#], &["--input-json", "not JSON"]),
        (&["--input-json", "[1]"], &["--input-json", "not a JSON object"]),
        (&["--input-json", r#"{"name":7}"#], &["field `name`", "--list-tasks"]),
        (&["--key-prefix", "a:b"], &[r#"invalid --key-prefix "a:b""#, "letters, digits"]),
        (&["--out", "file"], &["--out", "failed"]),
        (&["--compare", "missing"], &["--compare", "failed"]),
    ] {
        let output = bench(&workspace, args).expect_error(2, parts);
        assert_eq!(output.stderr.len(), 1, "{args:?}: {output:?}");
    }
    assert!(!workspace.path("hatchet-bench").exists(), "a refused benchmark creates no folder");
}

#[test]
fn folder_of_another_benchmark_is_refused() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    bench(&workspace, &["--runs", "1", "--key-prefix", "one", "--out", "out"]).expect(0);
    bench(&workspace, &["--runs", "1", "--key-prefix", "two", "--out", "out"])
        .expect_error(2, &["contains another benchmark", "--key-prefix one"]);
}

#[test]
fn missing_engine_creates_no_folder() {
    let workspace = Workspace::new();
    bench(&workspace, &["--runs", "1", "--out", "out"]).expect_error(5, &["no embedded engine runs here"]);
    bench(&workspace, &["--runs", "1"]).expect_error(5, &["no embedded engine runs here"]);
    let token = token(CLOSED, "");
    let run = |args: &[&str]| {
        let mut command = workspace.runner_command(&[&["bench", "--runs", "1"], args].concat());
        command.env("HATCHET_CLIENT_TOKEN", &token);
        Program::start(&mut command).wait()
    };
    run(&[]).expect_error(5, &["no server responds at"]);
    for folder in ["out", "hatchet-bench"] {
        assert!(!workspace.path(folder).exists(), "a benchmark that did not start creates no folder");
    }
    // The log of a worker that failed to start remains.
    let parts = ["the worker ended: no server responds at", "see out/worker.log"];
    run(&["--with-worker", "--out", "out"]).expect_error(5, &parts);
    let files: Vec<_> =
        std::fs::read_dir(workspace.path("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["worker.log"]);
}
