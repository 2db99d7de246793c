//! The official SDKs, unmodified, with the embedded engine, and the quickstart's tasks with Rust and Python on either
//! side. `make interop` installs the SDKs into `target/interop` and sets `HATCHET_INTEROP=1`; without it these tests
//! print that they are skipped, and pass.
//!
//! The Go SDK (the module `github.com/hatchet-dev/hatchet`, v0.101.27, Go 1.26) was run by hand with `worker
//! --engine-only`, and the same program with a real Hatchet v0.101.27:
//!
//! | feature | embedded engine | real Hatchet |
//! |---|---|---|
//! | worker start and stop, run, run without waiting, result, status, details, logs | yes | yes |
//! | 50 runs in bulk (one call each; the SDK returns the references in any order) | yes | yes |
//! | stream from its first chunk | yes | no: the stream was empty |
//! | cancel, retries with backoff, non-retryable, execution timeout, its refresh, slot release | yes | yes |
//! | child run, parents, failure and on-failure task, replay | yes | yes |
//! | list by metadata right after the run | yes | no: not listed yet |
//! | event push, in bulk, triggers with wildcards; cron and schedule: create, get, list, run | yes | yes |
//! | cron and schedule delete | works, but the SDK reports an error as it does not accept status 204 | the same |
//! | trigger of an unregistered workflow | rejected | waits forever |

mod sidecar;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::client::{Client, ClientConfig, Sources},
};

use crate::support::{eventually, named};

/// Time limit of a program, far above its usual duration.
const TIMEOUT: Duration = Duration::from_secs(240);

/// An embedded engine and a working folder for programs that use the SDKs.
struct Fixture {
    engine: Engine,
    folder: tempfile::TempDir,
}

/// A process that is killed when dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Fixture {
    async fn new() -> Option<Self> {
        if !is_wanted() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let options = EngineOptions { folder: Some(folder.path().to_owned()), ..EngineOptions::default() };
        Some(Self { engine: Engine::start(options).await.unwrap(), folder })
    }

    /// A command with the environment that an SDK needs to reach the engine.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env("HATCHET_CLIENT_TOKEN", &self.engine.handshake().token)
            .env("HATCHET_CLIENT_TLS_STRATEGY", "none")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("NODE_PATH", installed("node/node_modules"));
        command
    }

    fn python(&self, script: &str) -> Command {
        let mut command = self.command(&installed("venv/bin/python"));
        command.arg(scripts().join(script));
        command
    }

    fn worker(&self, mut command: Command) -> Worker {
        let log = std::fs::File::create(self.folder.path().join("worker.log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        Worker(child.unwrap_or_else(|e| panic!("{command:?}: {e}: run `make interop`")))
    }

    /// Runs a command until it exits and returns its stdout. Panics with its output and the worker's log if it fails.
    async fn run(&self, mut command: Command) -> String {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|e| panic!("{command:?}: {e}: run `make interop`"));
        let exit = tokio::task::spawn_blocking(move || wait_for_exit(child, TIMEOUT)).await.unwrap();
        if !exit.success {
            let log = std::fs::read_to_string(self.folder.path().join("worker.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            panic!("{:?}\n{}\n{}\nworker:\n{}", command.get_args(), exit.out, exit.err, tail.join("\n"));
        }
        exit.out
    }
}

/// Whether `make interop` runs the tests; otherwise prints that they are skipped.
fn is_wanted() -> bool {
    let wanted = std::env::var("HATCHET_INTEROP").as_deref() == Ok("1");
    if !wanted {
        println!("skipped: `make interop` installs the official SDKs and runs this");
    }
    wanted
}

/// The output of a program, and whether it succeeded.
#[derive(Debug)]
struct Exit {
    success: bool,
    out: String,
    err: String,
}

/// Waits until a program exits. A program that exceeds the timeout is killed and counts as failed.
fn wait_for_exit(mut child: Child, timeout: Duration) -> Exit {
    let read = |pipe: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut text));
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let out = read(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let err = read(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let deadline = Instant::now() + timeout;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if Instant::now() > deadline => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if status.is_none() {
        child.kill().unwrap();
    }
    Exit { success: status.is_some_and(|status| status.success()), out: out.join().unwrap(), err: err.join().unwrap() }
}

/// The folder of the programs that use the SDKs.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/interop")
}

/// A path below the folder into which `make interop` installs the SDKs.
pub fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop").join(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sdk_features_work_on_embedded_engine() {
    let Some(fixture) = Fixture::new().await else { return };
    let _worker = fixture.worker(fixture.python("flows.py"));
    println!("{}", fixture.run(fixture.python("features.py")).await);
    fixture.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript_sdk_features_work_on_embedded_engine() {
    let Some(fixture) = Fixture::new().await else { return };
    let mut command = fixture.command(Path::new("node"));
    command.env("HATCHET_CLIENT_LOG_LEVEL", "WARN").arg(scripts().join("features.cjs"));
    println!("{}", fixture.run(command).await);
    fixture.engine.stop().await;
}

/// Waits until some worker has the tasks: a run of one of them ends.
async fn ready(fixture: &Fixture) {
    let begun = Instant::now();
    loop {
        let mut command = fixture.command(Path::new(env!("CARGO_BIN_EXE_runner")));
        command.args(["--task-name", "externally-triggered-task", "--timeout", "5s"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        if output.status.success() {
            return;
        }
        assert!(begun.elapsed() < TIMEOUT, "no worker: {}", String::from_utf8_lossy(&output.stderr));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Runs a CPU task while a Rust and a Python worker serve it, and asserts that both execute runs.
#[tokio::test(flavor = "multi_thread")]
async fn rust_and_python_workers_share_cpu_runs() {
    const RUNS: usize = 40;
    let Some(fixture) = Fixture::new().await else { return };
    let _python = fixture.worker(fixture.python("quickstart_worker.py"));
    ready(&fixture).await;
    // Registered last, as the latest registration defines the workflow.
    let mut command = fixture.command(Path::new(env!("CARGO_BIN_EXE_worker")));
    command.args(["--tasks", "cpu-heavy-task", "--cpu-threads", "1"]);
    let log = fixture.folder.path().join("rust.log");
    let child = command.stdin(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn();
    let _rust = Worker(child.unwrap());
    eventually("the Rust worker listens", async || {
        std::fs::read_to_string(&log).unwrap().contains("listening").then_some(())
    })
    .await;
    let sources = Sources::default();
    let client = Client::new(ClientConfig::from_handshake(fixture.engine.handshake(), &sources).unwrap()).unwrap();
    let inputs = std::iter::repeat_n(serde_json::json!({ "limit": 20_000 }), RUNS);
    let runs = client.run_many_no_wait(&named("cpu-heavy-task"), inputs).await;
    let mut by_python = 0;
    for run in runs {
        let output: serde_json::Value = run.unwrap().outcome().await.unwrap().output().unwrap();
        assert_eq!(output["primes"], 2_262);
        // Only the Python task returns 0 seconds.
        by_python += usize::from(output["seconds"] == 0.0);
    }
    assert!((1..RUNS).contains(&by_python), "{by_python} of {RUNS} runs went to Python");
    fixture.engine.stop().await;
}

async fn pairing(rust_worker: bool, rust_runner: bool) {
    let Some(fixture) = Fixture::new().await else { return };
    let worker = if rust_worker {
        fixture.command(Path::new(env!("CARGO_BIN_EXE_worker")))
    } else {
        fixture.python("quickstart_worker.py")
    };
    let _worker = fixture.worker(worker);
    ready(&fixture).await;
    if !rust_runner {
        let output = fixture.run(fixture.python("quickstart_runner.py")).await;
        assert_eq!(output.lines().collect::<Vec<_>>(), ["Hello, Ada!", "True", "168"]);
        return;
    }
    for (task, input, field, value) in [
        ("externally-triggered-task", r#"{"name":"Ada"}"#, "message", "\"Hello, Ada!\""),
        ("sync-sleep-task", r#"{"seconds":0.1}"#, "slept_seconds", "0.1"),
        ("cpu-heavy-task", r#"{"limit":1000}"#, "primes", "168"),
    ] {
        let mut command = fixture.command(Path::new(env!("CARGO_BIN_EXE_runner")));
        command.args(["--task-name", task, "--input-json", input]);
        let printed = fixture.run(command).await;
        let output: serde_json::Value = serde_json::from_str(&printed).unwrap();
        assert!(output[field].to_string().starts_with(value), "{task}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_runner_runs_tasks_on_rust_worker() {
    pairing(true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_runner_runs_tasks_on_rust_worker() {
    pairing(true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rust_runner_runs_tasks_on_python_worker() {
    pairing(false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn python_runner_runs_tasks_on_python_worker() {
    pairing(false, false).await;
}
