//! Starts an official sidecar instead of the embedded engine: the program at `HATCHET_CLIENT_EMBEDDED_BINARY_PATH`.
//!
//! This process locks the embedded engine's folder and announces the sidecar there, so that other processes find it
//! like an embedded engine.

use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, ChildStdin, Command},
    time::{Instant, timeout},
};

use crate::{
    cli::{Exit, output::print_message},
    engine::{Announcement, EngineErrorKind},
    hatchet::{client::Sources, system::Handshake, wire::readable_duration},
};

const PATH: &str = "HATCHET_CLIENT_EMBEDDED_BINARY_PATH";
const CHECKSUM: &str = "HATCHET_CLIENT_EMBEDDED_CHECKSUM";
const READY: &str = "HATCHET_CLIENT_EMBEDDED_READY_TIMEOUT_SECONDS";
const START_API: &str = "HATCHET_CLIENT_EMBEDDED_START_API";
const MIGRATE: &str = "HATCHET_CLIENT_EMBEDDED_RUN_MIGRATIONS";

/// Variables that are passed on as the values of flags.
const PASSED_ON: [(&str, &str); 6] = [
    ("HATCHET_CLIENT_EMBEDDED_DATABASE_URL", "-database-url"),
    ("HATCHET_CLIENT_EMBEDDED_RABBITMQ_URL", "-rabbitmq-url"),
    ("HATCHET_CLIENT_EMBEDDED_POSTGRES_DATA_DIR", "-postgres-data-dir"),
    ("HATCHET_CLIENT_EMBEDDED_GRPC_PORT", "-grpc-port"),
    ("HATCHET_CLIENT_EMBEDDED_API_PORT", "-api-port"),
    ("HATCHET_CLIENT_EMBEDDED_LOG_LEVEL", "-log-level"),
];

/// All environment variables that configure an official sidecar.
pub(in crate::cli) static VARIABLES: [&str; 11] = [
    PATH,
    CHECKSUM,
    READY,
    START_API,
    MIGRATE,
    PASSED_ON[0].0,
    PASSED_ON[1].0,
    PASSED_ON[2].0,
    PASSED_ON[3].0,
    PASSED_ON[4].0,
    PASSED_ON[5].0,
];

/// Default time limit of the start, in seconds, as in the SDKs: 5 minutes, since the first start creates a database.
const READY_TIMEOUT: f64 = 300.0;
/// Interval of checks for the handshake file, as in the SDKs: 200 ms.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Number of checks after which an invalid handshake file is an error. A sidecar may write the file in parts.
const MAX_INVALID: u32 = 10;
/// Time after which a start is reported as slow: 2 s.
const SLOW_START: Duration = Duration::from_secs(2);
/// Time from closing the sidecar's stdin to killing it, as in the SDKs: 30 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Time from closing stdin to killing a sidecar that has not started: 5 s.
const EARLY_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Number of lines at the end of the sidecar's log that an error quotes, and the bytes in which they are searched.
const QUOTED_LINES: usize = 5;
const QUOTED_BYTES: u64 = 4096;

/// The program and the arguments of an official sidecar.
pub(in crate::cli) struct OfficialSidecar {
    program: PathBuf,
    args: Vec<String>,
    /// Required SHA-256 of the program, in hexadecimal.
    checksum: Option<String>,
    ready_timeout: Duration,
}

/// A running official sidecar. Its stdin is a pipe from this process, so that it ends when this process ends.
pub(in crate::cli) struct RunningSidecar {
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
    handshake: Handshake,
    announcement: Announcement,
}

impl OfficialSidecar {
    /// Reads the settings. `None` if they name no program, or this program.
    pub(in crate::cli) fn from_sources(sources: &Sources) -> Result<Option<Self>, Exit> {
        let Some((path, source)) = sources.get(PATH) else {
            warn_ignored(sources);
            return Ok(None);
        };
        let program = fs::canonicalize(path)
            .map_err(|e| Exit::usage(format!("invalid {PATH} \"{path}\" (from {source}): {e}")))?;
        if std::env::current_exe().and_then(fs::canonicalize).is_ok_and(|own| own == program) {
            warn_ignored(sources);
            return Ok(None);
        }
        if !program.is_file() {
            return Err(Exit::usage(format!("invalid {PATH} \"{path}\" (from {source}): it is not a file")));
        }
        let mut args = Vec::new();
        for (name, flag) in PASSED_ON {
            if let Some(value) = sources.value(name) {
                args.extend([flag.to_owned(), value.to_owned()]);
            }
        }
        for (name, flag) in [(START_API, "-no-api"), (MIGRATE, "-no-migrations")] {
            if sources.value(name).is_some() && !sources.flag(name).map_err(Exit::usage)? {
                args.push(flag.to_owned());
            }
        }
        let ready_timeout = match sources.value(READY) {
            None => READY_TIMEOUT,
            Some(text) => {
                // Python accepts underscores in numbers.
                text.replace('_', "")
                    .parse()
                    .ok()
                    .filter(|seconds: &f64| *seconds > 0.0 && *seconds <= 86_400.0)
                    .ok_or_else(|| {
                        Exit::usage(format!("invalid {READY} \"{text}\": set it to a number of seconds up to 86400"))
                    })?
            }
        };
        let checksum = sources.value(CHECKSUM).map(str::to_ascii_lowercase);
        Ok(Some(Self { program, args, checksum, ready_timeout: Duration::from_secs_f64(ready_timeout) }))
    }

    /// Starts the sidecar and waits until it serves. `None` if another process runs an engine on the folder.
    pub(in crate::cli) async fn start(&self, folder: &Path) -> Result<Option<RunningSidecar>, Exit> {
        let announcement = match Announcement::acquire(folder) {
            Ok(announcement) => announcement,
            Err(error) if error.kind() == EngineErrorKind::FolderInUse => return Ok(None),
            Err(error) => return Err(Exit::unreachable(error.to_string())),
        };
        self.verify()?;
        let (file, log) = (folder.join("sidecar.json"), folder.join("sidecar.log"));
        let removed = fs::remove_file(&file);
        if let Err(e) = removed.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) }) {
            return Err(Exit::unreachable(format!("removing {} of an earlier start failed: {e}", file.display())));
        }
        let mut child = self.spawn(&file, &log)?;
        let stdin = child.stdin.take();
        let outcome = self.wait_until_ready(&mut child, &file, &log).await;
        // The file contains a token. From here on, the announcement is the only copy.
        let _ = fs::remove_file(&file);
        let outcome = outcome.and_then(|handshake| {
            announcement.publish(&handshake).map_err(|e| Exit::unreachable(e.to_string()))?;
            Ok(handshake)
        });
        match outcome {
            Ok(handshake) => Ok(Some(RunningSidecar { child, stdin, log, handshake, announcement })),
            Err(exit) => {
                stop_child(child, stdin, EARLY_STOP_TIMEOUT).await;
                Err(exit)
            }
        }
    }

    /// Verifies the checksum of the program.
    fn verify(&self) -> Result<(), Exit> {
        let Some(expected) = &self.checksum else { return Ok(()) };
        let failed = |e| Exit::usage(format!("{PATH}: reading {} failed: {e}", self.program.display()));
        let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
        let mut file = File::open(&self.program).map_err(failed)?;
        let mut part = vec![0; 1 << 16];
        loop {
            match file.read(&mut part).map_err(failed)? {
                0 => break,
                read => digest.update(&part[..read]),
            }
        }
        let found: String = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if found == *expected {
            return Ok(());
        }
        Err(Exit::usage(format!(
            "{CHECKSUM} is {expected}, but {} has {found}: correct the checksum or the program",
            self.program.display()
        )))
    }

    fn spawn(&self, handshake: &Path, log: &Path) -> Result<Child, Exit> {
        // Not a pipe: writing to a broken pipe would kill the sidecar before it has stopped its database.
        let stderr = File::create(log)
            .map_err(|e| Exit::unreachable(format!("creating the sidecar's log {} failed: {e}", log.display())))?;
        let mut command = Command::new(&self.program);
        command
            .arg("-handshake-file")
            .arg(handshake)
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr);
        // Ctrl-C must not reach the sidecar: running tasks need it until they have finished.
        #[cfg(unix)]
        command.process_group(0);
        command.spawn().map_err(|e| Exit::usage(format!("{PATH}: starting {} failed: {e}", self.program.display())))
    }

    /// Waits for the handshake file.
    async fn wait_until_ready(&self, child: &mut Child, file: &Path, log: &Path) -> Result<Handshake, Exit> {
        let program = self.program.display();
        let started = Instant::now();
        let (mut announced, mut invalid) = (false, 0);
        loop {
            let problem = match Handshake::read(file) {
                Ok(Some(handshake)) => return Ok(handshake),
                Ok(None) => None,
                Err(e) => {
                    invalid += 1;
                    Some(e)
                }
            };
            if let Some(problem) = problem.filter(|_| invalid >= MAX_INVALID) {
                return Err(Exit::unreachable(format!("{program} wrote an invalid handshake file: {problem}")));
            }
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => {
                    return Err(Exit::unreachable(format!(
                        "{program} ended before it served ({status}){}",
                        log_tail(log)
                    )));
                }
                Err(e) => return Err(Exit::unreachable(format!("waiting for {program} failed: {e}"))),
            }
            if started.elapsed() >= self.ready_timeout {
                return Err(Exit::unreachable(format!(
                    "{program} has not written a handshake file within {}: allow more time with {READY}{}",
                    readable_duration(self.ready_timeout),
                    log_tail(log)
                )));
            }
            if !announced && started.elapsed() >= SLOW_START {
                announced = true;
                print_message(&format!("waiting for {program}; its first start may take a minute"));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

impl RunningSidecar {
    pub(in crate::cli) fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Waits until the sidecar ends unexpectedly, and returns the reason.
    pub(in crate::cli) async fn ended(&mut self) -> String {
        let status = self.child.wait().await.map_or_else(|e| e.to_string(), |status: ExitStatus| status.to_string());
        format!("the sidecar ended unexpectedly ({status}){}", log_tail(&self.log))
    }

    /// Stops the sidecar, then releases the folder.
    pub(in crate::cli) async fn stop(self) {
        stop_child(self.child, self.stdin, STOP_TIMEOUT).await;
        drop(self.announcement);
    }
}

/// Warns about variables that have no effect on the embedded engine.
fn warn_ignored(sources: &Sources) {
    let is_set = |name: &&&str| **name != PATH && sources.value(name).is_some();
    let others: Vec<&str> = VARIABLES.iter().filter(is_set).copied().collect();
    if !others.is_empty() {
        tracing::warn!("ignored, since {PATH} names no official sidecar: {}", others.join(", "));
    }
}

/// Closes the sidecar's stdin and waits for its end. Kills it after the limit.
async fn stop_child(mut child: Child, stdin: Option<ChildStdin>, limit: Duration) {
    drop(stdin);
    if timeout(limit, child.wait()).await.is_err() {
        let limit = readable_duration(limit);
        tracing::warn!("the sidecar has not ended {limit} after its stdin was closed, and is killed");
        // Fails if the sidecar has exited in the meantime.
        let _ = child.kill().await;
    }
}

/// The last lines of the sidecar's log, joined for the end of an error; empty if the log is empty.
fn log_tail(log: &Path) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES)))?;
        let mut text = Vec::new();
        file.take(QUOTED_BYTES).read_to_end(&mut text)?;
        io::Result::Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match &lines[lines.len().saturating_sub(QUOTED_LINES)..] {
        [] => String::new(),
        last => format!("; {} ends with: {}", log.display(), last.join(" | ")),
    }
}
