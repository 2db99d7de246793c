//! The engine's folder: what is in it, and what happens when it is stale or cannot be used.

use std::os::unix::fs::PermissionsExt as _;

use super::{Place, Program};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

#[test]
fn the_handshake_file_is_private_and_has_four_fields() {
    let place = Place::new();
    let engine = place.engine();
    let path = place.path(".hatchet/handshake.json");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let read: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut fields: Vec<&String> = read.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["api_url", "grpc_address", "tenant_id", "token"]);
    assert!(read["grpc_address"].as_str().unwrap().starts_with("127.0.0.1:"), "loopback only");
    engine.stop().expect(0);
    assert!(!path.exists(), "taken back at the end");
}

#[test]
fn no_engine_here() {
    let place = Place::new();
    let parts = ["no embedded engine runs here", ".hatchet", "make run-worker", "worker --embedded"];
    place.runner(&HELLO).expect_error(5, &parts);
    // The same after an engine that ended in order.
    place.engine().stop().expect(0);
    place.runner(&HELLO).expect_error(5, &parts);
}

#[test]
fn after_a_kill_the_file_is_stale_and_a_new_engine_takes_over() {
    let place = Place::new();
    place.worker(&["--embedded"]).kill();
    let stale = place.handshake();
    for words in [&HELLO[..], &["--task-name", "sync-sleep-task", "--stream"]] {
        place.runner(words).expect_error(5, &["no embedded engine runs here", "make run-worker", "worker --embedded"]);
    }
    let worker = place.worker(&["--embedded"]);
    assert_eq!(place.handshake().grpc_address, stale.grpc_address, "a restart, not a stranger");
    assert_eq!(place.handshake().tenant_id, stale.tenant_id);
    let mut command = place.runner_command(&HELLO);
    command.env("HATCHET_CLIENT_TOKEN", stale.token).env("HATCHET_CLIENT_TLS_STRATEGY", "none");
    Program::start(&mut command).wait().expect(0);
    worker.stop().expect(0);
}

#[test]
fn a_folder_of_another_name() {
    let place = Place::new();
    let worker = place.worker(&["--embedded", "--embedded-dir", "state/engine"]);
    assert!(place.path("state/engine/handshake.json").exists() && !place.path(".hatchet").exists());
    place.runner(&[&HELLO[..], &["--embedded-dir", "state/engine"]].concat()).expect(0);
    worker.stop().expect(0);
}

#[test]
fn a_folder_that_cannot_be_used() {
    let place = Place::new();
    place.write(".hatchet", "a file");
    place.failing_worker(&["--embedded"]).expect_error(5, &[".hatchet", "move the file of that name away"]);
    place.runner(&HELLO).expect_error(5, &[".hatchet"]);
    assert_eq!(std::fs::read_to_string(place.path(".hatchet")).unwrap(), "a file", "nothing is lost");
    let words = ["--embedded", "--embedded-dir", "/proc/none"];
    place.failing_worker(&words).expect_error(5, &["/proc/none", "choose another folder"]);
}

#[test]
fn a_handshake_file_that_is_none() {
    let place = Place::new();
    std::fs::create_dir(place.path(".hatchet")).unwrap();
    place.write(".hatchet/handshake.json", "{}");
    place.runner(&HELLO).expect_error(5, &["no embedded engine runs here"]);
    place.worker(&["--embedded"]).stop().expect(0);
}

#[test]
fn a_full_disk_under_the_folder() {
    // A limit on the size of files stands for a full disk: each write fails, and nothing else does.
    let place = Place::new();
    let script = format!("ulimit -f 0 && exec {} --embedded", env!("CARGO_BIN_EXE_worker"));
    let ended = Program::start(&mut place.command("sh", &["-c", &script])).wait();
    if ended.code == Some(0) || ended.stderr.iter().any(|line| line.contains("ulimit")) {
        println!("skipped: this shell cannot limit the size of files: {ended:?}");
        return;
    }
    ended.expect_error(5, &[".hatchet/engine.json"]);
    assert!(!place.path(".hatchet/engine.json").exists(), "no file is left half-written");
    place.worker(&["--embedded"]).stop().expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn too_few_file_descriptors_are_named_before_anything_is_done() {
    let place = Place::new();
    for (program, words) in [
        (env!("CARGO_BIN_EXE_worker"), "--embedded"),
        (env!("CARGO_BIN_EXE_runner"), "--embedded --task-name sync-sleep-task"),
        (env!("CARGO_BIN_EXE_runner"), "doctor --embedded"),
    ] {
        // From where the runtime panics to where the worker has an engine and no connection to it.
        for limit in [6, 9, 17, 20, 23] {
            let script = format!("ulimit -n {limit} && exec {program} {words}");
            let ended = Program::start(&mut place.command("sh", &["-c", &script])).wait();
            ended.expect_error(2, &["too many open files in this process", "`ulimit -n`"]);
        }
    }
    assert!(!place.path(".hatchet").exists(), "nothing was begun");
    let script = format!("ulimit -n 64 && exec {} --embedded", env!("CARGO_BIN_EXE_worker"));
    let worker = Program::start(&mut place.command("sh", &["-c", &script]));
    worker.err.until_said("listening");
    worker.stop().expect(0);
}
