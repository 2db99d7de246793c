//! The unmodified official SDKs with the embedded engine. `make interop` installs them into `target/interop`, builds the
//! Go program and runs these tests, which `cargo test` ignores.
//!
//! The programs in `python`, `typescript` and `go` use each feature once and print a line for each. With the settings of
//! a real Hatchet in the environment, they run on that: start the workers (`python/*flows.py`), then `python/cases.py`
//! with names of case files, or `node typescript/main.cjs`, or the Go program. The cases that call Rust tasks need
//! [`rust_tasks`].

mod namespace;
mod rust_tasks;
mod sidecar;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, Sources},
        worker::RunningWorker,
    },
};

use crate::{process::Program, support::named};

/// Timeout of a program, many times its usual duration.
const TIMEOUT: Duration = Duration::from_secs(240);

/// An embedded engine and a working folder for programs that use the SDKs.
struct Fixture {
    engine: Engine,
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = EngineOptions { folder: Some(folder.path().to_owned()), ..EngineOptions::default() };
        Self { engine: Engine::start(options).await.unwrap(), folder }
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
        command.arg(scripts().join("python").join(script));
        command
    }

    /// Runs the cases of Python files.
    async fn python_cases(&self, files: &[&str]) {
        let mut command = self.python("cases.py");
        command.args(files);
        self.cases(command).await;
    }

    /// Runs a program that prints the result of each case, and asserts that all have passed.
    async fn cases(&self, mut command: Command) {
        command.env("HATCHET_CLIENT_LOG_LEVEL", "WARN");
        let output = self.run(command).await;
        println!("{output}");
        let mut lines = output.lines().rev();
        let (summary, passed) = (lines.next().unwrap(), lines.filter(|line| line.starts_with("ok ")).count());
        assert_eq!(summary, format!("{passed} of {passed} passed"));
        assert!(passed > 0);
    }

    fn client(&self, sources: &Sources) -> Client {
        Client::new(ClientConfig::from_handshake(self.engine.handshake(), sources).unwrap()).unwrap()
    }

    /// Starts the tasks that the SDKs call.
    async fn rust_tasks(&self) -> RunningWorker {
        rust_tasks::start(&self.client(&Sources::default())).await
    }

    fn worker(&self, mut command: Command) -> Program {
        let log = std::fs::File::create(self.folder.path().join("worker.log")).unwrap();
        Program::start(command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log))
    }

    /// Runs a command until it exits and returns its stdout. Panics with its output and the worker's log if it fails.
    async fn run(&self, mut command: Command) -> String {
        let program = Program::start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let output = tokio::task::spawn_blocking(move || program.wait_within(TIMEOUT)).await.unwrap();
        if output.code != Some(0) {
            let log = std::fs::read_to_string(self.folder.path().join("worker.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(60)..];
            panic!("{:?}: {output:#?}\nworker:\n{}", command.get_args(), tail.join("\n"));
        }
        output.stdout.join("\n")
    }
}

/// The folder with the programs that use the SDKs.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/interop")
}

/// A path below the folder into which `make interop` installs the SDKs.
pub fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop").join(path)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official SDKs: `make interop`"]
async fn python_sdk_features_work_on_embedded_engine() {
    let fixture = Fixture::new().await;
    let _rust = fixture.rust_tasks().await;
    let _worker = fixture.worker(fixture.python("flows.py"));
    fixture.python_cases(&["features", "rust_tasks"]).await;
    fixture.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official SDKs: `make interop`"]
async fn python_sdk_workflows_and_management_work_on_embedded_engine() {
    let fixture = Fixture::new().await;
    let _worker = fixture.worker(fixture.python("workflows_flows.py"));
    fixture.python_cases(&["workflows", "manage"]).await;
    fixture.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official SDKs: `make interop`"]
async fn python_sdk_limits_and_placement_work_on_embedded_engine() {
    let fixture = Fixture::new().await;
    let worker = |zone: &str| {
        let mut command = fixture.python("limits_flows.py");
        command.arg(zone);
        fixture.worker(command)
    };
    let _workers = [worker("a"), worker("b")];
    fixture.python_cases(&["limits"]).await;
    fixture.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official SDKs: `make interop`"]
async fn typescript_sdk_features_work_on_embedded_engine() {
    let fixture = Fixture::new().await;
    let _rust = fixture.rust_tasks().await;
    let mut command = fixture.command(Path::new("node"));
    command.arg(scripts().join("typescript/main.cjs"));
    fixture.cases(command).await;
    fixture.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official SDKs: `make interop`"]
async fn go_sdk_features_work_on_embedded_engine() {
    let fixture = Fixture::new().await;
    let _rust = fixture.rust_tasks().await;
    fixture.cases(fixture.command(&installed("go/features"))).await;
    fixture.engine.stop().await;
}

/// Waits until a worker has the tasks, by running a task until it completes.
async fn wait_for_worker(fixture: &Fixture) {
    let start = Instant::now();
    loop {
        let mut command = fixture.command(Path::new(env!("CARGO_BIN_EXE_runner")));
        command.args(["--task-name", "externally-triggered-task", "--timeout", "5s"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        if output.status.success() {
            return;
        }
        assert!(start.elapsed() < TIMEOUT, "no worker: {}", String::from_utf8_lossy(&output.stderr));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Runs a CPU task while a Rust and a Python worker serve it, and asserts that both execute runs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official SDKs: `make interop`"]
async fn rust_and_python_workers_share_cpu_runs() {
    const RUNS: usize = 40;
    let fixture = Fixture::new().await;
    let _python = fixture.worker(fixture.python("quickstart_worker.py"));
    wait_for_worker(&fixture).await;
    // Starts last, since the latest registration defines the workflow.
    let mut command = fixture.command(Path::new(env!("CARGO_BIN_EXE_worker")));
    command.args(["--tasks", "cpu-heavy-task", "--cpu-threads", "1"]);
    let rust = Program::start(command.stdin(Stdio::null()).stderr(Stdio::piped()));
    tokio::task::block_in_place(|| rust.err.wait_for("listening"));
    let client = fixture.client(&Sources::default());
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

async fn runs_tasks(rust_worker: bool, rust_runner: bool) {
    let fixture = Fixture::new().await;
    let worker = if rust_worker {
        fixture.command(Path::new(env!("CARGO_BIN_EXE_worker")))
    } else {
        fixture.python("quickstart_worker.py")
    };
    let _worker = fixture.worker(worker);
    wait_for_worker(&fixture).await;
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
#[ignore = "needs the official SDKs: `make interop`"]
async fn rust_runner_runs_tasks_on_rust_worker() {
    runs_tasks(true, true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official SDKs: `make interop`"]
async fn python_runner_runs_tasks_on_rust_worker() {
    runs_tasks(true, false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official SDKs: `make interop`"]
async fn rust_runner_runs_tasks_on_python_worker() {
    runs_tasks(false, true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official SDKs: `make interop`"]
async fn python_runner_runs_tasks_on_python_worker() {
    runs_tasks(false, false).await;
}
