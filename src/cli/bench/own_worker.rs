//! The worker that a benchmark starts for itself.

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

use super::{
    super::{Exit, connection::engine::Choice, worker::health},
    request::Plan,
};

/// A debug build on a busy machine takes a second; beyond this it is not coming.
const START: Duration = Duration::from_secs(30);
/// From the end of its stdin to its own: longer than the grace that it is started with.
const STOP: Duration = Duration::from_secs(10);
const GRACE: &str = "5s";
/// What its banner ends with.
const LISTENS: &str = "  tasks ";
/// Settings that a flag of ours may have changed.
const PASSED_ON: [&str; 6] = [
    "HATCHET_CLIENT_HOST_PORT",
    "HATCHET_CLIENT_SERVER_URL",
    "HATCHET_CLIENT_NAMESPACE",
    "HATCHET_CLIENT_TLS_STRATEGY",
    "HATCHET_EMBEDDED_DIR",
    "HATCHET_EMBEDDED_EPHEMERAL",
];

/// A worker of our own. It stops with us, whatever becomes of us: its stdin ends.
pub(super) struct OwnWorker {
    child: Child,
    stdin: Option<ChildStdin>,
    _log: AbortOnDropHandle<()>,
}

impl OwnWorker {
    /// Starts the worker binary beside this one, on the chosen engine, and waits until it listens.
    pub(super) async fn start(plan: &Plan, choice: &Choice) -> Result<Self, Exit> {
        let folder = plan.journal.folder();
        let program = sibling()?;
        let names: Vec<&str> = plan.tasks.iter().map(|(task, _)| task.name()).collect();
        let mut command = Command::new(&program);
        command
            .args(["--run-keys", "--stop-with-stdin", "--log-format", "json", "--grace", GRACE, "--tasks"])
            .arg(names.join(","))
            .arg(match choice {
                Choice::Token(_) => "--embedded=never",
                Choice::Embedded(_) => "--embedded=always",
            })
            .envs(PASSED_ON.iter().filter_map(|name| Some((name, plan.sources.value(name)?))))
            // Its port may be another worker's.
            .env(health::ENABLED, "false")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if plan.verify_dedupe {
            command.arg("--executions-file").arg(executions(folder));
        }
        // Ctrl-C is for us: the worker finishes what it has.
        #[cfg(unix)]
        command.process_group(0);
        let failed = |e: &dyn std::fmt::Display| {
            Exit::usage(format!("--with-worker: {} cannot be started: {e}", program.display()))
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
            .map_err(|e| Exit::usage(format!("--out: {} cannot be written: {e}", path.display())))?;
        let mut last = "without a word".to_owned();
        match timeout(START, until_it_listens(&mut lines, &mut log, &mut last)).await {
            Ok(true) => {}
            Ok(false) => {
                let message = format!("--with-worker: the worker ended: {last} ({} has all it said)", path.display());
                return Err(Exit::unreachable(message));
            }
            Err(_) => {
                return Err(Exit::unreachable(format!(
                    "--with-worker: the worker does not listen after {START:?}: {} tells why",
                    path.display()
                )));
            }
        }
        let log = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                // A full disk costs the log only.
                let _ = log.write_all(format!("{line}\n").as_bytes()).await;
            }
        }));
        Ok(Self { child, stdin, _log: log })
    }

    /// Waits for its end, which nobody has asked for.
    pub(super) async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(e) => e.to_string(),
        }
    }

    /// Stops it, and kills it if it does not.
    pub(super) async fn stop(mut self) {
        drop(self.stdin.take());
        if timeout(STOP, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// The file where the tasks of a benchmark count their executions.
pub(super) fn executions(folder: &Path) -> PathBuf {
    folder.join("executions.log")
}

fn sibling() -> Result<PathBuf, Exit> {
    let own =
        std::env::current_exe().map_err(|e| Exit::usage(format!("--with-worker: where we are is unknown: {e}")))?;
    let path = own.with_file_name(format!("worker{}", std::env::consts::EXE_SUFFIX));
    if path.is_file() {
        Ok(path)
    } else {
        Err(Exit::usage(format!("--with-worker: {} is not there: build it with `make build`", path.display())))
    }
}

/// Whether it comes to that; `last` is the last that it said.
async fn until_it_listens(
    lines: &mut Lines<BufReader<ChildStderr>>,
    log: &mut tokio::fs::File,
    last: &mut String,
) -> bool {
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = log.write_all(format!("{line}\n").as_bytes()).await;
        if line.starts_with(LISTENS) {
            return true;
        }
        *last = line.trim_start_matches("error: ").to_owned();
    }
    false
}
