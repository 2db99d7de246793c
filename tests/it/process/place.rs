//! A folder to start the binaries in.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, RunDetails, Sources},
    system::Handshake,
};
use tempfile::TempDir;

use super::{Ended, Program};

/// A temporary folder. Programs in it see it as their current folder and as their home, and no variable but `PATH`.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A command in this folder, to be changed further.
    pub fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(words)
            .current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn worker_command(&self, words: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_worker"), words)
    }

    pub fn runner_command(&self, words: &[&str]) -> Command {
        self.command(env!("CARGO_BIN_EXE_runner"), words)
    }

    /// A command line for a shell in this folder, which finds the binaries.
    pub fn shell(&self, line: &str) -> Command {
        let mut command = self.command("/bin/sh", &["-c", line]);
        command.env("PATH", Path::new(env!("CARGO_BIN_EXE_runner")).parent().unwrap());
        command
    }

    /// Starts a worker and waits until it listens.
    pub fn worker(&self, words: &[&str]) -> Program {
        let worker = Program::start(&mut self.worker_command(words));
        worker.err.until("a worker that listens", |line| line.starts_with("  tasks "));
        worker
    }

    /// Starts an engine without tasks and waits until it serves.
    pub fn engine(&self) -> Program {
        let engine = Program::start(&mut self.worker_command(&["--engine-only"]));
        engine.err.until("an engine that serves", |line| line.starts_with("engine at "));
        engine
    }

    /// Runs a worker that is to end by itself.
    pub fn failing_worker(&self, words: &[&str]) -> Ended {
        Program::start(&mut self.worker_command(words)).wait()
    }

    /// Starts a runner on the engine of this folder.
    pub fn start_runner(&self, words: &[&str]) -> Program {
        Program::start(&mut self.runner_command(&[&["--embedded"], words].concat()))
    }

    /// Runs a runner on the engine of this folder to its end.
    pub fn runner(&self, words: &[&str]) -> Ended {
        self.start_runner(words).wait()
    }

    /// Starts a run and gives its id.
    pub fn trigger(&self, words: &[&str]) -> String {
        let ended = self.runner(&[words, &["--no-wait"]].concat()).expect(0);
        assert_eq!(ended.stdout.len(), 1, "{ended:?}");
        ended.stdout[0].clone()
    }

    pub fn handshake(&self) -> Handshake {
        serde_json::from_str(&std::fs::read_to_string(self.path(".hatchet/handshake.json")).unwrap()).unwrap()
    }

    /// What the engine of this folder says of a run.
    pub fn details(&self, run: &str) -> RunDetails {
        let config = ClientConfig::from_handshake(&self.handshake(), &Sources::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            Client::new(config).unwrap().run_ref::<()>(run.parse().unwrap()).details().await.unwrap()
        })
    }
}
