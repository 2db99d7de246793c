//! The worker in the role of the official sidecar, started by the unmodified official SDKs.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use hatchet_quickstart::engine::find;

use super::{Exit, TIMEOUT, Worker, installed, is_wanted, scripts, wait_for_exit};
use crate::support::until;

/// A working folder in which an SDK starts its engine.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Option<Self> {
        is_wanted().then(|| Self(tempfile::tempdir().unwrap()))
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
            .env("NODE_PATH", installed("node/node_modules"));
        command
    }

    fn python(&self) -> Command {
        self.command(&installed("venv/bin/python"), "sidecar.py")
    }

    fn engine_has_stopped(&self, folder: &str) -> bool {
        find(&self.0.path().join(folder)).unwrap().is_none()
    }
}

fn exit_of(mut command: Command) -> Exit {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    wait_for_exit(child.unwrap_or_else(|e| panic!("{command:?}: {e}: run `make interop`")), TIMEOUT)
}

#[track_caller]
fn assert_uses_sidecar(command: Command) {
    let exit = exit_of(command);
    assert!(exit.success && exit.out.lines().any(|line| line == "from the sidecar"), "{exit:#?}");
}

#[test]
fn python_sdk_starts_uses_and_stops_sidecar() {
    let Some(folder) = Folder::new() else { return };
    assert_uses_sidecar(folder.python());
    assert!(folder.engine_has_stopped(".hatchet"));
}

#[test]
fn sidecar_accepts_all_python_sdk_settings() {
    let Some(folder) = Folder::new() else { return };
    for (api, ports) in [("true", true), ("false", false)] {
        let mut command = folder.python();
        command
            .env("HATCHET_CLIENT_EMBEDDED_POSTGRES_DATA_DIR", "data")
            .env("HATCHET_CLIENT_EMBEDDED_LOG_LEVEL", "debug")
            .env("HATCHET_CLIENT_EMBEDDED_RUN_MIGRATIONS", "false")
            .env("HATCHET_CLIENT_EMBEDDED_START_API", api);
        if ports {
            command.env("HATCHET_CLIENT_EMBEDDED_GRPC_PORT", crate::support::free_port().to_string());
            command.env("HATCHET_CLIENT_EMBEDDED_API_PORT", crate::support::free_port().to_string());
        }
        assert_uses_sidecar(command);
        assert!(folder.engine_has_stopped("data/hatchet-quickstart") && !folder.0.path().join(".hatchet").exists());
    }
    let mut command = folder.python();
    command.env("HATCHET_CLIENT_EMBEDDED_DATABASE_URL", "postgres://h/d");
    let exit = exit_of(command);
    assert!(!exit.success, "{exit:#?}");
    assert!(exit.err.contains("-database-url: this engine uses no Postgres"), "{exit:#?}");
    assert!(exit.err.contains("exited with code 2 before becoming ready"), "{exit:#?}");
}

#[test]
fn sidecar_exits_when_python_program_is_killed() {
    let Some(folder) = Folder::new() else { return };
    let mut command = folder.python();
    let child = command.arg("hold").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut program = Worker(child.unwrap());
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(program.0.stdout.take().unwrap()));
    assert!(lines.any(|line| line.is_ok_and(|line| line == "from the sidecar")));
    assert!(!folder.engine_has_stopped(".hatchet"));
    drop(program);
    until("the engine has stopped", || folder.engine_has_stopped(".hatchet").then_some(()));
}

#[test]
fn typescript_sdk_starts_uses_and_stops_sidecar() {
    let Some(folder) = Folder::new() else { return };
    assert_uses_sidecar(folder.command(Path::new("node"), "sidecar.cjs"));
    until("the engine has stopped", || folder.engine_has_stopped(".hatchet").then_some(()));
}
