//! The official SDKs, unmodified, on the embedded engine; and the quickstart's tasks with either language on either
//! side. `make interop` installs the SDKs into `target/interop` and sets `HATCHET_INTEROP=1`; without it these cases
//! say so and pass.
//!
//! The Go SDK (the module `github.com/hatchet-dev/hatchet`, v0.101.27, Go 1.26) was run by hand against `worker
//! --engine-only`, and the same program against a real Hatchet v0.101.27:
//!
//! | tried | here | real Hatchet |
//! |---|---|---|
//! | worker start and stop, run, run without waiting, result, status, details, logs | yes | yes |
//! | 50 in bulk (one call each: the SDK gives the references back in any order) | yes | yes |
//! | stream from its first chunk on | yes | no: it was empty |
//! | cancel, retries with back-off, non-retryable, execution timeout, its refresh, slot release | yes | yes |
//! | child run, parents, failure and on-failure task, replay | yes | yes |
//! | list by metadata right after the run | yes | no: not there yet |
//! | event push, in bulk, triggers with wildcards; cron and schedule: create, get, list, run | yes | yes |
//! | cron and schedule delete | done, and reported as an error: the SDK takes no 204 | the same |
//! | a workflow that nobody has registered | refused | waits for ever |

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

/// Far beyond what any of it takes.
const PATIENCE: Duration = Duration::from_secs(240);

/// An engine, and where the SDKs are.
struct Ground {
    engine: Engine,
    folder: tempfile::TempDir,
}

/// A process that ends with its case.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ground {
    async fn new() -> Option<Self> {
        if !is_wanted() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let options = EngineOptions { folder: Some(folder.path().to_owned()), ..EngineOptions::default() };
        Some(Self { engine: Engine::start(options).await.unwrap(), folder })
    }

    /// A program with no more of an environment than an SDK needs.
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

    /// Runs a command to its end, and shows what it and the worker said if that is no good one.
    async fn run(&self, mut command: Command) -> String {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|e| panic!("{command:?}: {e}: run `make interop`"));
        let ended = tokio::task::spawn_blocking(move || end_of(child, PATIENCE)).await.unwrap();
        if !ended.good {
            let log = std::fs::read_to_string(self.folder.path().join("worker.log")).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            panic!("{:?}\n{}\n{}\nworker:\n{}", command.get_args(), ended.out, ended.err, tail.join("\n"));
        }
        ended.out
    }
}

/// Whether the official SDKs are installed, and are to be run.
fn is_wanted() -> bool {
    let wanted = std::env::var("HATCHET_INTEROP").as_deref() == Ok("1");
    if !wanted {
        println!("skipped: `make interop` installs the official SDKs and runs this");
    }
    wanted
}

/// What a program said, and whether it ended well.
#[derive(Debug)]
struct Ended {
    good: bool,
    out: String,
    err: String,
}

/// Waits for a program's end; one that takes too long is killed, which is no good end.
fn end_of(mut child: Child, patience: Duration) -> Ended {
    let read = |pipe: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut said));
            String::from_utf8_lossy(&said).into_owned()
        })
    };
    let out = read(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let err = read(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let deadline = Instant::now() + patience;
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
    Ended { good: status.is_some_and(|status| status.success()), out: out.join().unwrap(), err: err.join().unwrap() }
}

/// Where the programs are that use the SDKs.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/interop")
}

/// Where `make interop` installs the SDKs.
pub fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/interop").join(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn python_sdk_features_work_on_embedded_engine() {
    let Some(ground) = Ground::new().await else { return };
    let _worker = ground.worker(ground.python("flows.py"));
    println!("{}", ground.run(ground.python("features.py")).await);
    ground.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn typescript_sdk_features_work_on_embedded_engine() {
    let Some(ground) = Ground::new().await else { return };
    let mut command = ground.command(Path::new("node"));
    command.env("HATCHET_CLIENT_LOG_LEVEL", "WARN").arg(scripts().join("features.cjs"));
    println!("{}", ground.run(command).await);
    ground.engine.stop().await;
}

/// Waits until some worker has the tasks: a run of one of them ends.
async fn ready(ground: &Ground) {
    let begun = Instant::now();
    loop {
        let mut command = ground.command(Path::new(env!("CARGO_BIN_EXE_runner")));
        command.args(["--task-name", "externally-triggered-task", "--timeout", "5s"]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        if output.status.success() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "no worker: {}", String::from_utf8_lossy(&output.stderr));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Runs of a CPU task while a worker of ours and one of the Python SDK are there: both get some.
#[tokio::test(flavor = "multi_thread")]
async fn rust_and_python_workers_share_cpu_runs() {
    const RUNS: usize = 40;
    let Some(ground) = Ground::new().await else { return };
    let _python = ground.worker(ground.python("quickstart_worker.py"));
    ready(&ground).await;
    // Registered last: a workflow is as its last registration has it.
    let mut command = ground.command(Path::new(env!("CARGO_BIN_EXE_worker")));
    command.args(["--tasks", "cpu-heavy-task", "--cpu-threads", "1"]);
    let log = ground.folder.path().join("rust.log");
    let child = command.stdin(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn();
    let _rust = Worker(child.unwrap());
    eventually("our worker listens", async || {
        std::fs::read_to_string(&log).unwrap().contains("listening").then_some(())
    })
    .await;
    let sources = Sources::default();
    let client = Client::new(ClientConfig::from_handshake(ground.engine.handshake(), &sources).unwrap()).unwrap();
    let inputs = std::iter::repeat_n(serde_json::json!({ "limit": 20_000 }), RUNS);
    let runs = client.run_many_no_wait(&named("cpu-heavy-task"), inputs).await;
    let mut by_python = 0;
    for run in runs {
        let output: serde_json::Value = run.unwrap().outcome().await.unwrap().output().unwrap();
        assert_eq!(output["primes"], 2_262);
        // What the Python task says, and ours never: it has taken some time.
        by_python += usize::from(output["seconds"] == 0.0);
    }
    assert!((1..RUNS).contains(&by_python), "{by_python} of {RUNS} runs went to Python");
    ground.engine.stop().await;
}

async fn pairing(rust_worker: bool, rust_runner: bool) {
    let Some(ground) = Ground::new().await else { return };
    let worker = if rust_worker {
        ground.command(Path::new(env!("CARGO_BIN_EXE_worker")))
    } else {
        ground.python("quickstart_worker.py")
    };
    let _worker = ground.worker(worker);
    ready(&ground).await;
    if !rust_runner {
        let said = ground.run(ground.python("quickstart_runner.py")).await;
        assert_eq!(said.lines().collect::<Vec<_>>(), ["Hello, Ada!", "True", "168"]);
        return;
    }
    for (task, input, field, value) in [
        ("externally-triggered-task", r#"{"name":"Ada"}"#, "message", "\"Hello, Ada!\""),
        ("sync-sleep-task", r#"{"seconds":0.1}"#, "slept_seconds", "0.1"),
        ("cpu-heavy-task", r#"{"limit":1000}"#, "primes", "168"),
    ] {
        let mut command = ground.command(Path::new(env!("CARGO_BIN_EXE_runner")));
        command.args(["--task-name", task, "--input-json", input]);
        let said = ground.run(command).await;
        let output: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert!(output[field].to_string().starts_with(value), "{task}: {said}");
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
