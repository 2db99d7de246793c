//! The worker that `runner bench --with-worker` starts.
//!
//! The worker's stdin is a pipe from this process, so that the worker stops when this process ends for any reason.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, Command},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use super::request::Request;
use crate::{
    cli::{Exit, connection::EngineChoice, worker::HEALTH_ENABLED},
    hatchet::wire::readable_duration,
};

/// Timeout of the start: 30 s. A debug build on a busy machine takes about a second.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Time from closing the worker's stdin to killing it: 10 s, longer than [`GRACE`].
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Grace period of the worker.
const GRACE: &str = "5s";
/// Beginning of the last line of the worker's banner.
const READY_LINE: &str = "  tasks ";
/// Settings that flags of this process may have changed, which are passed on to the worker.
const PASSED_ON: [&str; 6] = [
    "HATCHET_CLIENT_HOST_PORT",
    "HATCHET_CLIENT_SERVER_URL",
    "HATCHET_CLIENT_NAMESPACE",
    "HATCHET_CLIENT_TLS_STRATEGY",
    "HATCHET_EMBEDDED_DIR",
    "HATCHET_EMBEDDED_EPHEMERAL",
];

/// A worker in a child process.
pub(super) struct OwnWorker {
    child: Child,
    stdin: Option<ChildStdin>,
    _log: AbortOnDropHandle<()>,
}

impl OwnWorker {
    /// Starts the worker binary in the folder of this binary, on the chosen engine, and waits until it is registered.
    pub(super) async fn start(request: &Request, choice: &EngineChoice) -> Result<Self, Exit> {
        let folder = request.folder.path();
        let program = worker_program()?;
        let names: Vec<&str> = request.tasks.iter().map(|(task, _)| task.name()).collect();
        let mut command = Command::new(&program);
        command
            .args(["--run-keys", "--stop-with-stdin", "--log-format", "json", "--grace", GRACE, "--tasks"])
            .arg(names.join(","))
            .arg(match choice {
                EngineChoice::Token(_) | EngineChoice::None => "--embedded=never",
                EngineChoice::Embedded(_) => "--embedded=always",
            })
            .envs(PASSED_ON.iter().filter_map(|name| Some((name, request.sources.value(name)?))))
            // Another worker may use the port of the health server.
            .env(HEALTH_ENABLED, "false")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if request.verify_dedupe {
            command.arg("--executions-file").arg(executions_file(folder));
        }
        // Ctrl-C must not reach the worker: it stops after the runs have finished.
        #[cfg(unix)]
        command.process_group(0);
        let failed = |e: &dyn std::fmt::Display| {
            Exit::usage(format!("--with-worker: starting {} failed: {e}", program.display()))
        };
        let mut child = command.spawn().map_err(|e| failed(&e))?;
        let stdin = child.stdin.take();
        let stderr = child.stderr.take().ok_or_else(|| failed(&"it has no stderr"))?;
        let mut lines = BufReader::new(stderr).lines();
        let path = folder.join("worker.log");
        let mut log = tokio::fs::File::options()
            .append(true)
            .create(true)
            .open(&path)
            .await
            .map_err(|e| Exit::usage(format!("--out: writing {} failed: {e}", path.display())))?;
        let mut last_line = "without output".to_owned();
        match timeout(START_TIMEOUT, wait_until_ready(&mut lines, &mut log, &mut last_line)).await {
            Ok(true) => {}
            Ok(false) => {
                let message = format!("--with-worker: the worker ended: {last_line} (see {})", path.display());
                return Err(Exit::unreachable(message));
            }
            Err(_) => {
                return Err(Exit::unreachable(format!(
                    "--with-worker: the worker is not ready after {}: see {}",
                    readable_duration(START_TIMEOUT),
                    path.display()
                )));
            }
        }
        let log = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // A full disk must not end the benchmark.
                let _ = log.write_all(format!("{line}\n").as_bytes()).await;
            }
        }));
        Ok(Self { child, stdin, _log: log })
    }

    /// Waits until the worker ends unexpectedly, and returns its status.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(e) => e.to_string(),
        }
    }

    /// Stops the worker. Kills it after [`STOP_TIMEOUT`].
    pub(super) async fn stop(mut self) {
        drop(self.stdin.take());
        if timeout(STOP_TIMEOUT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// The file in which the tasks record their executions.
pub(super) fn executions_file(folder: &Path) -> PathBuf {
    folder.join("executions.log")
}

/// The worker binary in the folder of this binary.
fn worker_program() -> Result<PathBuf, Exit> {
    let program = std::env::current_exe()
        .map_err(|e| Exit::usage(format!("--with-worker: finding the folder of this program failed: {e}")))?;
    let path = program.with_file_name(format!("worker{}", std::env::consts::EXE_SUFFIX));
    if path.is_file() {
        Ok(path)
    } else {
        Err(Exit::usage(format!("--with-worker: {} does not exist: build it with `make build`", path.display())))
    }
}

/// Copies the worker's output to the log until the worker is ready. Returns `false` if the worker ends before that;
/// then `last_line` is the last line of its output.
async fn wait_until_ready(
    lines: &mut Lines<BufReader<ChildStderr>>,
    log: &mut tokio::fs::File,
    last_line: &mut String,
) -> bool {
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = log.write_all(format!("{line}\n").as_bytes()).await;
        if line.starts_with(READY_LINE) {
            return true;
        }
        *last_line = line.trim_start_matches("error: ").to_owned();
    }
    false
}
