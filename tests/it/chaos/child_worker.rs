//! A worker in a child process with the tasks of the fault tests. The child is a second process of the test binary.

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, Sources},
    task::{Context, ErasedTask, Stub, TaskError},
    worker::{Worker, WorkerOptions},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fixture::Count;
use crate::process::Program;

const LEDGER: &str = "CHAOS_CHILD_LEDGER";
const SLOTS: &str = "CHAOS_CHILD_SLOTS";

/// Starts a worker process and waits until it listens.
pub fn spawn(config: &ClientConfig, ledger: &Path, slots: usize) -> Program {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "chaos::child_worker::acts_as_a_worker", "--nocapture", "--test-threads", "1"])
        .env_clear()
        .env(LEDGER, ledger)
        .env(SLOTS, slots.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in settings(config) {
        command.env(name, value);
    }
    let child = Program::start(&mut command);
    child.out.wait_for("child listens");
    child
}

/// The environment variables for these settings.
pub fn settings(config: &ClientConfig) -> Vec<(&'static str, String)> {
    vec![
        ("HATCHET_CLIENT_TOKEN", config.token.expose().to_owned()),
        ("HATCHET_CLIENT_HOST_PORT", config.host_port.clone()),
        ("HATCHET_CLIENT_SERVER_URL", config.server_url.clone().unwrap_or_default()),
        ("HATCHET_CLIENT_TLS_STRATEGY", config.tls.as_str().to_owned()),
        ("HATCHET_CLIENT_NAMESPACE", config.namespace.clone()),
    ]
}

/// A line of the ledger file: kind, process, run, attempt, milliseconds since the Unix epoch.
#[derive(Debug, Clone)]
pub struct Line {
    pub is_end: bool,
    pub process: u32,
    pub run: String,
    pub attempt: u32,
    pub at: u64,
}

pub fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Reads all lines that child processes have written so far.
pub fn read(ledger: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(ledger).unwrap_or_default();
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(' ').collect();
            let [kind, process, run, attempt, at] = fields[..] else { panic!("not a line: {line}") };
            Line {
                is_end: kind == "end",
                process: process.parse().unwrap(),
                run: run.to_owned(),
                attempt: attempt.parse().unwrap(),
                at: at.parse().unwrap(),
            }
        })
        .collect()
}

/// The entry point of the child process that [`spawn`] starts; it does nothing as a test.
#[test]
fn acts_as_a_worker() {
    let Some(ledger) = std::env::var_os(LEDGER) else { return };
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = ClientConfig::from_sources(&Sources::read(Path::new("/nonexistent"))).unwrap();
        let slots = std::env::var(SLOTS).unwrap().parse().unwrap();
        let options = WorkerOptions { name: "child".to_owned(), slots, ..WorkerOptions::default() };
        let mut worker = Worker::new(&Client::new(config).unwrap())
            .options(options)
            .register_all(tasks(ledger.into()))
            .start()
            .unwrap();
        worker.listening().await.unwrap();
        println!("child listens");
        // Runs until a signal stops the process.
        worker.ended().await.unwrap();
    });
}

fn tasks(ledger: PathBuf) -> [ErasedTask; 3] {
    let count = Stub::new("count").task(move |input: Count, ctx: Context| {
        let ledger = ledger.clone();
        async move {
            append(&ledger, "start", &ctx)?;
            tokio::time::sleep(Duration::from_millis(input.ms)).await;
            append(&ledger, "end", &ctx)?;
            Ok(json!({}))
        }
    });
    [count.erase(), Stub::new("blocker").task(blocker).erase(), Stub::new("chatty").task(chatty).erase()]
}

/// Appends a line in one write, so that lines of several processes do not mix.
fn append(ledger: &Path, kind: &str, ctx: &Context) -> Result<(), TaskError> {
    let line = format!("{kind} {} {} {} {}\n", std::process::id(), ctx.run_id(), ctx.retry_count(), now());
    OpenOptions::new().append(true).create(true).open(ledger)?.write_all(line.as_bytes())?;
    Ok(())
}

/// An async body that blocks its thread, which task bodies must not do.
async fn blocker(input: Count, _: Context) -> Result<Value, TaskError> {
    std::thread::sleep(Duration::from_millis(input.ms));
    Ok(json!({}))
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct NoInput {}

async fn chatty(_: NoInput, ctx: Context) -> Result<Value, TaskError> {
    ctx.log("a line that describes the current step, with a typical length");
    ctx.put_stream("a chunk of some output").await;
    Ok(json!({ "written": "one line and one chunk" }))
}
