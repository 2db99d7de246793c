//! A folder in which tests run the binaries.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, RunDetails, Sources},
    system::Handshake,
};
use tempfile::TempDir;

use super::{Program, ProgramOutput};

/// The program that opens a file or an address with the user's default application, on this system.
pub const OPENER: &str = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };

/// A temporary folder, the working directory and `HOME` of the programs that run in it. Their only other environment
/// variable is `PATH`.
pub struct Workspace(TempDir);

impl Workspace {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A command in this folder.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn worker_command(&self, args: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_worker"), args)
    }

    pub fn runner_command(&self, args: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_runner"), args)
    }

    /// A shell command in this folder, with the binaries in its `PATH`.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = self.command("/bin/sh", &["-c", line]);
        command.env("PATH", Path::new(env!("CARGO_BIN_EXE_runner")).parent().unwrap());
        command
    }

    /// Writes [`OPENER`] as a shell script with this body. Returns its folder, which contains no other program.
    pub fn write_opener(&self, body: &str) -> PathBuf {
        let bin = self.path("bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(bin.join(OPENER), format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(bin.join(OPENER), std::fs::Permissions::from_mode(0o755)).unwrap();
        bin
    }

    /// Starts a worker and waits until it is registered.
    pub fn worker(&self, args: &[&str]) -> Program {
        let worker = Program::start(&mut self.worker_command(args));
        worker.err.until("a registered worker", |line| line.starts_with("  tasks "));
        worker
    }

    /// Starts an engine without tasks and waits until it serves.
    pub fn engine(&self) -> Program {
        let engine = Program::start(&mut self.worker_command(&["--engine-only"]));
        engine.err.until("an engine that serves", |line| line.starts_with("engine at "));
        engine
    }

    /// Runs a worker that fails to start, until it exits.
    pub fn failing_worker(&self, args: &[&str]) -> ProgramOutput {
        Program::start(&mut self.worker_command(args)).wait()
    }

    /// Starts a runner that uses the embedded engine of this folder.
    pub fn start_runner(&self, args: &[&str]) -> Program {
        Program::start(&mut self.runner_command(&[&["--embedded"], args].concat()))
    }

    /// Runs a runner that uses the embedded engine of this folder, until it exits.
    pub fn runner(&self, args: &[&str]) -> ProgramOutput {
        self.start_runner(args).wait()
    }

    /// Triggers a run and returns its id.
    pub fn trigger(&self, args: &[&str]) -> String {
        let output = self.runner(&[args, &["--no-wait"]].concat()).expect(0);
        assert_eq!(output.stdout.len(), 1, "{output:?}");
        output.stdout[0].clone()
    }

    pub fn handshake(&self) -> Handshake {
        serde_json::from_str(&std::fs::read_to_string(self.path(".hatchet/handshake.json")).unwrap()).unwrap()
    }

    /// Details of a run from the engine of this folder.
    pub fn details(&self, run: &str) -> RunDetails {
        let config = ClientConfig::from_handshake(&self.handshake(), &Sources::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            Client::new(config).unwrap().run_ref::<()>(run.parse().unwrap()).details().await.unwrap()
        })
    }
}
