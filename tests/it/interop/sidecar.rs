//! The worker in the role of the official sidecar, started by the unmodified official SDKs.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use hatchet_quickstart::engine::find;

use super::{TIMEOUT, installed, scripts};
use crate::{
    process::Program,
    support::{free_port, until},
};

/// A working folder in which an SDK starts its engine.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A command with the path of the sidecar and without a token.
    fn command(&self, program: &Path, script: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg(scripts().join(script))
            .current_dir(self.0.path())
            .env_remove("HATCHET_CLIENT_TOKEN")
            .env_remove("HATCHET_EMBEDDED_HANDSHAKE")
            .env("HATCHET_CLIENT_EMBEDDED_BINARY_PATH", env!("CARGO_BIN_EXE_worker"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NODE_PATH", installed("node/node_modules"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn python(&self) -> Command {
        self.command(&installed("venv/bin/python"), "python/sidecar.py")
    }

    fn engine_has_stopped(&self, folder: &str) -> bool {
        find(&self.0.path().join(folder)).unwrap().is_none()
    }
}

#[track_caller]
fn assert_uses_sidecar(mut command: Command) {
    let output = Program::start(&mut command).wait_within(TIMEOUT).expect(0);
    assert!(output.stdout.iter().any(|line| line == "from the sidecar"), "{output:#?}");
}

#[test]
#[ignore = "needs the official SDKs: `make interop`"]
fn python_sdk_starts_uses_and_stops_sidecar() {
    let folder = Folder::new();
    assert_uses_sidecar(folder.python());
    assert!(folder.engine_has_stopped(".hatchet"));
}

#[test]
#[ignore = "needs the official SDKs: `make interop`"]
fn sidecar_accepts_all_python_sdk_settings() {
    let folder = Folder::new();
    for (api, has_ports) in [("true", true), ("false", false)] {
        let mut command = folder.python();
        command
            .env("HATCHET_CLIENT_EMBEDDED_POSTGRES_DATA_DIR", "data")
            .env("HATCHET_CLIENT_EMBEDDED_LOG_LEVEL", "debug")
            .env("HATCHET_CLIENT_EMBEDDED_RUN_MIGRATIONS", "false")
            .env("HATCHET_CLIENT_EMBEDDED_START_API", api);
        if has_ports {
            command.env("HATCHET_CLIENT_EMBEDDED_GRPC_PORT", free_port().to_string());
            command.env("HATCHET_CLIENT_EMBEDDED_API_PORT", free_port().to_string());
        }
        assert_uses_sidecar(command);
        assert!(folder.engine_has_stopped("data/hatchet-quickstart") && !folder.0.path().join(".hatchet").exists());
    }
    let mut command = folder.python();
    command.env("HATCHET_CLIENT_EMBEDDED_DATABASE_URL", "postgres://h/d");
    let output = Program::start(&mut command).wait_within(TIMEOUT);
    assert_ne!(output.code, Some(0), "{output:#?}");
    let output = output.expect_stderr("-database-url: this engine uses no Postgres");
    output.expect_stderr("exited with code 2 before becoming ready");
}

#[test]
#[ignore = "needs the official SDKs: `make interop`"]
fn sidecar_exits_when_python_program_is_killed() {
    let folder = Folder::new();
    let mut command = folder.python();
    let program = Program::start(command.arg("hold").stderr(Stdio::null()));
    program.out.wait_for("from the sidecar");
    assert!(!folder.engine_has_stopped(".hatchet"));
    program.kill();
    until("the engine has stopped", || folder.engine_has_stopped(".hatchet").then_some(()));
}

#[test]
#[ignore = "needs the official SDKs: `make interop`"]
fn typescript_sdk_starts_uses_and_stops_sidecar() {
    let folder = Folder::new();
    assert_uses_sidecar(folder.command(Path::new("node"), "typescript/sidecar.cjs"));
    until("the engine has stopped", || folder.engine_has_stopped(".hatchet").then_some(()));
}
