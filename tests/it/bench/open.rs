//! `runner bench --open`: the program that opens the report.

use std::path::Path;

use super::{Program, Workspace};
use crate::process::{OPENER, ProgramOutput};

/// Runs a benchmark with only these programs in its `PATH`.
fn bench(workspace: &Workspace, args: &[&str], path: &Path) -> ProgramOutput {
    let mut command = workspace.runner_command(&[&["bench", "--embedded", "--runs", "1"], args].concat());
    Program::start(command.env("PATH", path)).wait().expect(0)
}

#[test]
fn report_is_opened_on_request_only() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    let bin = workspace.write_opener("echo \"$1\" >opened");
    bench(&workspace, &["--out", "closed"], &bin);
    assert!(!workspace.path("opened").exists());
    bench(&workspace, &["--out", "out", "--open"], &bin).expect_stderr("report: out/report.html");
    assert_eq!(std::fs::read_to_string(workspace.path("opened")).unwrap(), "out/report.html\n");
}

#[test]
fn missing_or_failing_browser_is_reported() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    let bin = workspace.path("bin");
    std::fs::create_dir(&bin).unwrap();
    let message = format!("{OPENER} is not installed. Open out/report.html in a browser");
    bench(&workspace, &["--out", "out", "--open"], &bin).expect_stderr(&message);
    workspace.write_opener("exit 3");
    let message = format!("{OPENER} found no browser (exit status: 3). Open two/report.html in a browser");
    bench(&workspace, &["--out", "two", "--open"], &bin).expect_stderr(&message);
}
