//! An official sidecar behind `--embedded`. Its stand-in is this worker by another path, which takes the same flags.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use super::{Place, Program};
use crate::support::until;

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];
const PATH: &str = "HATCHET_CLIENT_EMBEDDED_BINARY_PATH";

/// The stand-in.
fn stand_in(place: &Place) -> PathBuf {
    let path = place.path("hatchet-embedded-sidecar");
    std::fs::hard_link(env!("CARGO_BIN_EXE_worker"), &path).unwrap();
    path
}

/// A sidecar with this to do; `$2` is the handshake file.
fn script(place: &Place, body: &str) -> PathBuf {
    place.write("sidecar.sh", &format!("#!/bin/sh\n{body}\n"));
    let path = place.path("sidecar.sh");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn worker_command(place: &Place, sidecar: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = place.worker_command(&["--embedded"]);
    command.env(PATH, sidecar);
    command
}

fn worker(place: &Place, sidecar: impl AsRef<std::ffi::OsStr>) -> Program {
    let worker = Program::start(&mut worker_command(place, sidecar));
    worker.err.until("a worker that listens", |line| line.starts_with("  tasks "));
    worker
}

/// A process that has ended may still wait for its parent to take note.
#[cfg(target_os = "linux")]
fn until_it_has_ended(id: u32) {
    until("the sidecar's end", || match std::fs::read_to_string(format!("/proc/{id}/stat")) {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')).then_some(()),
        Err(_) => Some(()),
    });
}

#[cfg(target_os = "linux")]
#[test]
fn it_is_started_used_by_all_and_ended_with_the_worker() {
    let place = Place::new();
    let sidecar = stand_in(&place);
    let worker = worker(&place, &sidecar);
    worker.err.until_said("an official sidecar, started at");
    let [child] = worker.children()[..] else { panic!("{:?}", worker.children()) };
    assert_eq!(std::fs::read_link(format!("/proc/{child}/exe")).unwrap(), sidecar);
    assert!(!place.path(".hatchet/sidecar.json").exists(), "its token is in one place only");
    // A runner finds it, and so does a second worker.
    assert_eq!(place.runner(&HELLO).expect(0).json()["message"], "Hello, World!");
    let second = Program::start(&mut worker_command(&place, &sidecar));
    second.err.until_said("joins the engine of another process");
    second.stop().expect(0);
    worker.stop().expect(0);
    assert!(std::fs::read_to_string(format!("/proc/{child}/stat")).is_err(), "waited for");
    assert!(!place.path(".hatchet/handshake.json").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn it_ends_when_the_worker_is_killed() {
    let place = Place::new();
    let worker = worker(&place, stand_in(&place));
    let child = worker.children()[0];
    worker.kill();
    until_it_has_ended(child);
}

#[cfg(target_os = "linux")]
#[test]
fn its_end_is_the_workers() {
    let place = Place::new();
    let worker = worker(&place, stand_in(&place));
    let killed = Command::new("kill").args(["-KILL", &worker.children()[0].to_string()]).status().unwrap();
    assert!(killed.success());
    worker.wait().expect_error(5, &["the sidecar ended unexpectedly", "signal: 9"]);
}

#[cfg(target_os = "linux")]
#[test]
fn our_own_program_means_our_own_engine() {
    let place = Place::new();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_worker"), place.path("link")).unwrap();
    let mut command = worker_command(&place, place.path("link"));
    command.env("HATCHET_CLIENT_EMBEDDED_GRPC_PORT", "7077");
    let worker = Program::start(&mut command);
    worker.err.until_said("ignored, since HATCHET_CLIENT_EMBEDDED_BINARY_PATH names no official sidecar: ");
    worker.err.until("a worker that listens", |line| line.starts_with("  tasks "));
    assert!(worker.children().is_empty());
    worker.stop().expect(0);
}

#[test]
fn the_settings_are_handed_on_as_the_sdks_do() {
    let place = Place::new();
    let mut command = worker_command(&place, script(&place, r#"shift 2; echo "$@" >words; exit 0"#));
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
        std::fs::read_to_string(place.path("words")).unwrap().trim(),
        "-database-url postgres://h/d -rabbitmq-url amqp://h -postgres-data-dir data -grpc-port 7077 -api-port 8888 \
         -log-level debug -no-api -no-migrations"
    );
}

#[test]
fn what_is_no_sidecar_is_said() {
    let place = Place::new();
    place.write("plain", "no program");
    for (path, code, parts) in [
        ("none", 2, &[PATH, "\"none\"", "the environment", "No such file"][..]),
        (".", 2, &[PATH, "is not a file"]),
        ("plain", 2, &[PATH, "starting", "Permission denied"]),
    ] {
        Program::start(&mut worker_command(&place, path)).wait().expect_error(code, parts);
    }
    let mut command = worker_command(&place, stand_in(&place));
    command.env("HATCHET_CLIENT_EMBEDDED_CHECKSUM", "00");
    Program::start(&mut command).wait().expect_error(2, &["HATCHET_CLIENT_EMBEDDED_CHECKSUM is 00", "has "]);
    place.worker(&["--embedded"]).stop().expect(0);
}

#[test]
fn one_that_does_not_come_up_is_said_with_its_last_words() {
    let place = Place::new();
    let script = |body: &str| worker_command(&place, script(&place, body));
    let mut ends = script("for n in 1 2 3 4 5 6 7; do echo line $n >&2; done; echo no database here >&2; exit 3");
    let parts = ["ended before it served (exit status: 3)", "sidecar.log ends with: line 4", "| no database here"];
    Program::start(&mut ends).wait().expect_error(5, &parts);
    let mut silent = script("echo still at it >&2; cat >/dev/null");
    silent.env("HATCHET_CLIENT_EMBEDDED_READY_TIMEOUT_SECONDS", "0.5");
    let parts = [
        "has not written a handshake file within 500ms",
        "HATCHET_CLIENT_EMBEDDED_READY_TIMEOUT_SECONDS",
        "still at it",
    ];
    Program::start(&mut silent).wait().expect_error(5, &parts);
    let mut garbage = script(r#"echo '{"token":' >"$2"; cat >/dev/null"#);
    Program::start(&mut garbage).wait().expect_error(5, &["wrote an invalid handshake file", "EOF"]);
    let mut stranger =
        script(r#"echo '{"token":"ey","tenant_id":"","grpc_address":"","api_url":""}' >"$2"; cat >/dev/null"#);
    Program::start(&mut stranger).wait().expect_error(2, &["handshake file"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_the_wait_for_it() {
    let place = Place::new();
    let worker = Program::start(&mut worker_command(&place, script(&place, "cat >/dev/null")));
    worker.err.until_said("its first start may take a minute");
    let child = worker.children()[0];
    worker.stop().expect(0);
    until_it_has_ended(child);
}
