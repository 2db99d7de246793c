//! Our worker in the place of the official sidecar, for the official SDKs as they are.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use hatchet_quickstart::engine::find;

use super::{Ended, PATIENCE, Worker, end_of, installed, is_wanted, scripts};
use crate::support::until;

/// A folder, where an SDK starts its engine.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Option<Self> {
        is_wanted().then(|| Self(tempfile::tempdir().unwrap()))
    }

    /// A program that knows where the sidecar is, and no token.
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

    fn engine_is_gone(&self, folder: &str) -> bool {
        find(&self.0.path().join(folder)).unwrap().is_none()
    }
}

fn ended(mut command: Command) -> Ended {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    end_of(child.unwrap_or_else(|e| panic!("{command:?}: {e}: run `make interop`")), PATIENCE)
}

#[track_caller]
fn well(command: Command) {
    let ended = ended(command);
    assert!(ended.good && ended.out.lines().any(|line| line == "from the sidecar"), "{ended:#?}");
}

#[test]
fn python_sdk_starts_uses_and_stops_sidecar() {
    let Some(place) = Place::new() else { return };
    well(place.python());
    assert!(place.engine_is_gone(".hatchet"));
}

#[test]
fn sidecar_accepts_all_python_sdk_settings() {
    let Some(place) = Place::new() else { return };
    for (api, ports) in [("true", true), ("false", false)] {
        let mut command = place.python();
        command
            .env("HATCHET_CLIENT_EMBEDDED_POSTGRES_DATA_DIR", "data")
            .env("HATCHET_CLIENT_EMBEDDED_LOG_LEVEL", "debug")
            .env("HATCHET_CLIENT_EMBEDDED_RUN_MIGRATIONS", "false")
            .env("HATCHET_CLIENT_EMBEDDED_START_API", api);
        if ports {
            command.env("HATCHET_CLIENT_EMBEDDED_GRPC_PORT", crate::support::free_port().to_string());
            command.env("HATCHET_CLIENT_EMBEDDED_API_PORT", crate::support::free_port().to_string());
        }
        well(command);
        assert!(place.engine_is_gone("data/hatchet-quickstart") && !place.0.path().join(".hatchet").exists());
    }
    let mut command = place.python();
    command.env("HATCHET_CLIENT_EMBEDDED_DATABASE_URL", "postgres://h/d");
    let ended = ended(command);
    assert!(!ended.good, "{ended:#?}");
    assert!(ended.err.contains("-database-url: this engine uses no Postgres"), "{ended:#?}");
    assert!(ended.err.contains("exited with code 2 before becoming ready"), "{ended:#?}");
}

#[test]
fn sidecar_exits_when_python_program_is_killed() {
    let Some(place) = Place::new() else { return };
    let mut command = place.python();
    let child = command.arg("hold").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut program = Worker(child.unwrap());
    let mut said = std::io::BufRead::lines(std::io::BufReader::new(program.0.stdout.take().unwrap()));
    assert!(said.any(|line| line.is_ok_and(|line| line == "from the sidecar")));
    assert!(!place.engine_is_gone(".hatchet"));
    drop(program);
    until("the engine's end", || place.engine_is_gone(".hatchet").then_some(()));
}

#[test]
fn typescript_sdk_starts_uses_and_stops_sidecar() {
    let Some(place) = Place::new() else { return };
    well(place.command(Path::new("node"), "sidecar.cjs"));
    until("the engine's end", || place.engine_is_gone(".hatchet").then_some(()));
}
