//! An official sidecar behind `--embedded`. The tests use our worker under another path, which accepts the same flags.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use crate::process::{Program, Workspace};
use crate::support::until;

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];
const PATH: &str = "HATCHET_CLIENT_EMBEDDED_BINARY_PATH";

/// The worker under another path, as the sidecar.
fn sidecar_program(workspace: &Workspace) -> PathBuf {
    let path = workspace.path("hatchet-embedded-sidecar");
    std::fs::hard_link(env!("CARGO_BIN_EXE_worker"), &path).unwrap();
    path
}

/// A shell script as the sidecar. `$2` is the handshake file.
fn script_program(workspace: &Workspace, body: &str) -> PathBuf {
    workspace.write("sidecar.sh", &format!("#!/bin/sh\n{body}\n"));
    let path = workspace.path("sidecar.sh");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn worker_command(workspace: &Workspace, sidecar: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = workspace.worker_command(&["--embedded"]);
    command.env(PATH, sidecar);
    command
}

fn start_worker(workspace: &Workspace, sidecar: impl AsRef<std::ffi::OsStr>) -> Program {
    let worker = Program::start(&mut worker_command(workspace, sidecar));
    worker.err.until("a worker that listens", |line| line.starts_with("  tasks "));
    worker
}

/// Waits until a process has exited. It may still be a zombie.
#[cfg(target_os = "linux")]
fn wait_until_ended(id: u32) {
    until("the sidecar has ended", || match std::fs::read_to_string(format!("/proc/{id}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')).then_some(()),
        Err(_) => Some(()),
    });
}

#[cfg(target_os = "linux")]
#[test]
fn sidecar_is_shared_and_ends_with_the_worker() {
    let workspace = Workspace::new();
    let sidecar = sidecar_program(&workspace);
    let worker = start_worker(&workspace, &sidecar);
    worker.err.wait_for("an official sidecar, started at");
    let [child] = worker.children()[..] else { panic!("{:?}", worker.children()) };
    assert_eq!(std::fs::read_link(format!("/proc/{child}/exe")).unwrap(), sidecar);
    assert!(!workspace.path(".hatchet/sidecar.json").exists(), "the worker stores the token only once");
    // A runner and a second worker use it, too.
    assert_eq!(workspace.runner(&HELLO).expect(0).json()["message"], "Hello, World!");
    let second = Program::start(&mut worker_command(&workspace, &sidecar));
    second.err.wait_for("joins the engine of another process");
    second.stop().expect(0);
    worker.stop().expect(0);
    assert!(std::fs::read_to_string(format!("/proc/{child}/stat")).is_err(), "the worker has waited for the sidecar");
    assert!(!workspace.path(".hatchet/handshake.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn sidecar_ends_when_the_worker_is_killed() {
    let workspace = Workspace::new();
    let worker = start_worker(&workspace, sidecar_program(&workspace));
    let child = worker.children()[0];
    worker.kill();
    wait_until_ended(child);
}

#[cfg(target_os = "linux")]
#[test]
fn worker_ends_when_the_sidecar_is_killed() {
    let workspace = Workspace::new();
    let worker = start_worker(&workspace, sidecar_program(&workspace));
    let killed = Command::new("kill").args(["-KILL", &worker.children()[0].to_string()]).status().unwrap();
    assert!(killed.success());
    worker.wait().expect_error(5, &["the sidecar ended unexpectedly", "signal: 9"]);
}

#[cfg(target_os = "linux")]
#[test]
fn own_path_as_sidecar_starts_embedded_engine() {
    let workspace = Workspace::new();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_worker"), workspace.path("link")).unwrap();
    let mut command = worker_command(&workspace, workspace.path("link"));
    command.env("HATCHET_CLIENT_EMBEDDED_GRPC_PORT", "7077");
    let worker = Program::start(&mut command);
    worker.err.wait_for("ignored, since HATCHET_CLIENT_EMBEDDED_BINARY_PATH names no official sidecar: ");
    worker.err.until("a worker that listens", |line| line.starts_with("  tasks "));
    assert!(worker.children().is_empty());
    worker.stop().expect(0);
}

#[test]
fn settings_are_passed_on_as_flags() {
    let workspace = Workspace::new();
    let mut command = worker_command(&workspace, script_program(&workspace, r#"shift 2; echo "$@" >args; exit 0"#));
    for (name, value) in [
        ("DATABASE_URL", "postgres://h/d"),
        ("RABBITMQ_URL", "amqp://h"),
        ("POSTGRES_DATA_DIR", "data"),
        ("GRPC_PORT", "7077"),
        ("API_PORT", "8888"),
        ("START_API", "false"),
        ("RUN_MIGRATIONS", "false"),
        ("LOG_LEVEL", "debug"),
    ] {
        command.env(format!("HATCHET_CLIENT_EMBEDDED_{name}"), value);
    }
    Program::start(&mut command).wait().expect_error(5, &["ended before it served (exit status: 0)"]);
    assert_eq!(
        std::fs::read_to_string(workspace.path("args")).unwrap().trim(),
        "-database-url postgres://h/d -rabbitmq-url amqp://h -postgres-data-dir data -grpc-port 7077 -api-port 8888 \
         -log-level debug -no-api -no-migrations"
    );
}

#[test]
fn invalid_sidecar_program_is_exit_2() {
    let workspace = Workspace::new();
    workspace.write("plain", "no program");
    for (path, code, parts) in [
        ("none", 2, &[PATH, "\"none\"", "the environment", "No such file"][..]),
        (".", 2, &[PATH, "is not a file"]),
        ("plain", 2, &[PATH, "starting", "Permission denied"]),
    ] {
        Program::start(&mut worker_command(&workspace, path)).wait().expect_error(code, parts);
    }
    let mut command = worker_command(&workspace, sidecar_program(&workspace));
    command.env("HATCHET_CLIENT_EMBEDDED_CHECKSUM", "00");
    Program::start(&mut command).wait().expect_error(2, &["HATCHET_CLIENT_EMBEDDED_CHECKSUM is 00", "has "]);
    workspace.worker(&["--embedded"]).stop().expect(0);
}

#[test]
fn failed_start_quotes_the_sidecars_log() {
    let start = |body: &str, settings: &[(&str, &str)]| {
        let workspace = Workspace::new();
        let mut command = worker_command(&workspace, script_program(&workspace, body));
        (Program::start(command.envs(settings.iter().copied())), workspace)
    };
    let lines = "for n in 1 2 3 4 5 6 7; do echo line $n >&2; done; echo no database here >&2; exit 3";
    let (failing, _failing_folder) = start(lines, &[]);
    let setting = "HATCHET_CLIENT_EMBEDDED_READY_TIMEOUT_SECONDS";
    let (silent, _silent_folder) = start("echo still starting >&2; cat >/dev/null", &[(setting, "0.5")]);
    let (invalid, _invalid_folder) = start(r#"echo '{"token":' >"$2"; cat >/dev/null"#, &[]);
    let empty = r#"echo '{"token":"ey","tenant_id":"","grpc_address":"","api_url":""}' >"$2"; cat >/dev/null"#;
    let (empty, _empty_folder) = start(empty, &[]);
    let parts = ["ended before it served (exit status: 3)", "sidecar.log ends with: line 4", "| no database here"];
    failing.wait().expect_error(5, &parts);
    let parts = ["has not written a handshake file within 500ms", setting, "still starting"];
    silent.wait().expect_error(5, &parts);
    invalid.wait().expect_error(5, &["wrote an invalid handshake file", "EOF"]);
    empty.wait().expect_error(2, &["handshake file"]);
}

#[cfg(target_os = "linux")]
#[test]
fn signal_ends_the_wait_for_the_sidecar() {
    let workspace = Workspace::new();
    let worker = Program::start(&mut worker_command(&workspace, script_program(&workspace, "cat >/dev/null")));
    worker.err.wait_for("its first start may take a minute");
    let child = worker.children()[0];
    worker.stop().expect(0);
    wait_until_ended(child);
}
