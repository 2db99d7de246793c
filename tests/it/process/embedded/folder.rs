//! The engine's folder: its contents, a stale handshake file, and folders that cannot be used.

use std::os::unix::fs::PermissionsExt as _;

use crate::process::{Program, Workspace};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

#[test]
fn handshake_file_is_private_and_has_four_fields() {
    let workspace = Workspace::new();
    let engine = workspace.engine();
    let path = workspace.path(".hatchet/handshake.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let read: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut fields: Vec<&String> = read.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["api_url", "grpc_address", "tenant_id", "token"]);
    assert!(read["grpc_address"].as_str().unwrap().starts_with("127.0.0.1:"), "loopback only");
    engine.stop().expect(0);
    assert!(!path.exists(), "the engine removes the file when it stops");
}

#[test]
fn folder_without_engine_is_exit_5() {
    let workspace = Workspace::new();
    let parts = ["no embedded engine runs here", ".hatchet", "make run-worker", "worker --embedded"];
    workspace.runner(&HELLO).expect_error(5, &parts);
    // After an engine has stopped, the error is the same.
    workspace.engine().stop().expect(0);
    workspace.runner(&HELLO).expect_error(5, &parts);
}

#[test]
fn new_engine_replaces_the_handshake_of_a_killed_one() {
    let workspace = Workspace::new();
    workspace.worker(&["--embedded"]).kill();
    let stale = workspace.handshake();
    for args in [&HELLO[..], &["--task-name", "sync-sleep-task", "--stream"]] {
        workspace
            .runner(args)
            .expect_error(5, &["no embedded engine runs here", "make run-worker", "worker --embedded"]);
    }
    let worker = workspace.worker(&["--embedded"]);
    assert_eq!(workspace.handshake().grpc_address, stale.grpc_address, "the new engine has the same identity");
    assert_eq!(workspace.handshake().tenant_id, stale.tenant_id);
    let mut command = workspace.runner_command(&HELLO);
    command.env("HATCHET_CLIENT_TOKEN", stale.token).env("HATCHET_CLIENT_TLS_STRATEGY", "none");
    Program::start(&mut command).wait().expect(0);
    worker.stop().expect(0);
}

#[test]
fn embedded_dir_selects_another_folder() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded", "--embedded-dir", "state/engine"]);
    assert!(workspace.path("state/engine/handshake.json").exists() && !workspace.path(".hatchet").exists());
    workspace.runner(&[&HELLO[..], &["--embedded-dir", "state/engine"]].concat()).expect(0);
    worker.stop().expect(0);
}

#[test]
fn unusable_folder_is_exit_5() {
    let workspace = Workspace::new();
    workspace.write(".hatchet", "a file");
    workspace.failing_worker(&["--embedded"]).expect_error(5, &[".hatchet", "Move the file of that name away"]);
    workspace.runner(&HELLO).expect_error(5, &[".hatchet"]);
    assert_eq!(std::fs::read_to_string(workspace.path(".hatchet")).unwrap(), "a file", "the file is unchanged");
    let args = ["--embedded", "--embedded-dir", "/proc/none"];
    workspace.failing_worker(&args).expect_error(5, &["/proc/none", "Choose another folder"]);
}

#[test]
fn invalid_handshake_file_is_replaced() {
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path(".hatchet")).unwrap();
    workspace.write(".hatchet/handshake.json", "{}");
    workspace.runner(&HELLO).expect_error(5, &["no embedded engine runs here"]);
    workspace.worker(&["--embedded"]).stop().expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn full_disk_at_start_is_exit_5() {
    // A limit on the size of files simulates a full disk: only writes fail.
    let workspace = Workspace::new();
    let script = format!("ulimit -f 0 && exec {} --embedded", env!("CARGO_BIN_EXE_worker"));
    let output = Program::start(&mut workspace.command("sh", &["-c", &script])).wait();
    output.expect_error(5, &[".hatchet/engine.json"]);
    assert!(!workspace.path(".hatchet/engine.json").exists(), "no incomplete file is left");
    workspace.worker(&["--embedded"]).stop().expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn too_few_file_descriptors_are_exit_2() {
    let workspace = Workspace::new();
    for (program, args) in [
        (env!("CARGO_BIN_EXE_worker"), "--embedded"),
        (env!("CARGO_BIN_EXE_runner"), "--embedded --task-name sync-sleep-task"),
        (env!("CARGO_BIN_EXE_runner"), "doctor --embedded"),
    ] {
        // With 6, the runtime would panic. With 23, the worker could not connect to its engine.
        for limit in [6, 9, 17, 20, 23] {
            let script = format!("ulimit -n {limit} && exec {program} {args}");
            let output = Program::start(&mut workspace.command("sh", &["-c", &script])).wait();
            output.expect_error(2, &["too many open files in this process", "`ulimit -n`"]);
        }
    }
    assert!(!workspace.path(".hatchet").exists(), "no folder was created");
    let script = format!("ulimit -n 64 && exec {} --embedded", env!("CARGO_BIN_EXE_worker"));
    let worker = Program::start(&mut workspace.command("sh", &["-c", &script]));
    worker.err.wait_for("listening");
    worker.stop().expect(0);
}
