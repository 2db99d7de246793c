//! An official sidecar in the place of our engine: the program that `HATCHET_CLIENT_EMBEDDED_BINARY_PATH` names.

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

use super::super::{Exit, output};
use crate::{
    engine::{Announcement, EngineErrorKind},
    hatchet::{client::Sources, system::Handshake},
};

const PATH: &str = "HATCHET_CLIENT_EMBEDDED_BINARY_PATH";
const CHECKSUM: &str = "HATCHET_CLIENT_EMBEDDED_CHECKSUM";
const READY: &str = "HATCHET_CLIENT_EMBEDDED_READY_TIMEOUT_SECONDS";
const START_API: &str = "HATCHET_CLIENT_EMBEDDED_START_API";
const MIGRATE: &str = "HATCHET_CLIENT_EMBEDDED_RUN_MIGRATIONS";

/// Variables whose value is handed on behind a flag.
const HANDED_ON: [(&str, &str); 6] = [
    ("HATCHET_CLIENT_EMBEDDED_DATABASE_URL", "-database-url"),
    ("HATCHET_CLIENT_EMBEDDED_RABBITMQ_URL", "-rabbitmq-url"),
    ("HATCHET_CLIENT_EMBEDDED_POSTGRES_DATA_DIR", "-postgres-data-dir"),
    ("HATCHET_CLIENT_EMBEDDED_GRPC_PORT", "-grpc-port"),
    ("HATCHET_CLIENT_EMBEDDED_API_PORT", "-api-port"),
    ("HATCHET_CLIENT_EMBEDDED_LOG_LEVEL", "-log-level"),
];

/// All of them.
pub(in super::super) static VARIABLES: [&str; 11] = [
    PATH,
    CHECKSUM,
    READY,
    START_API,
    MIGRATE,
    HANDED_ON[0].0,
    HANDED_ON[1].0,
    HANDED_ON[2].0,
    HANDED_ON[3].0,
    HANDED_ON[4].0,
    HANDED_ON[5].0,
];

/// The SDKs' own patience: the first start makes a database.
const READY_TIMEOUT: f64 = 300.0;
/// How often the SDKs look for the handshake file.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often a handshake file may be no handshake: it should appear whole.
const UNREADABLE: u32 = 10;
/// When a start is slow enough for a word.
const SLOW: Duration = Duration::from_secs(2);
/// From the end of its stdin to its own: the SDKs' patience, which its own shutdown keeps within.
const STOP: Duration = Duration::from_secs(30);
/// The same for one that has not come up.
const STOP_EARLY: Duration = Duration::from_secs(5);
/// Of its log, what an error shows.
const SHOWN_LINES: usize = 5;
const SHOWN_BYTES: u64 = 4096;

/// How to start an official sidecar.
pub(in super::super) struct Official {
    program: PathBuf,
    args: Vec<String>,
    checksum: Option<String>,
    ready: Duration,
}

/// One that runs, with our folder held for it, so that other processes find it there.
///
/// Its stdin ends with this process, whatever becomes of it, and it ends with its stdin.
pub(in super::super) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
    handshake: Handshake,
    announcement: Announcement,
}

impl Official {
    /// What the settings say; `None` if they name no program, or this one.
    pub(in super::super) fn from(sources: &Sources) -> Result<Option<Self>, Exit> {
        let Some((path, source)) = sources.get(PATH) else { return Ok(not_official(sources)) };
        let program = fs::canonicalize(path)
            .map_err(|e| Exit::usage(format!("{PATH} is `{path}` (from {source}), which cannot be used: {e}")))?;
        if std::env::current_exe().and_then(fs::canonicalize).is_ok_and(|own| own == program) {
            return Ok(not_official(sources));
        }
        if !program.is_file() {
            return Err(Exit::usage(format!("{PATH} is `{path}` (from {source}), which is no file")));
        }
        let mut args = Vec::new();
        for (name, flag) in HANDED_ON {
            if let Some(value) = sources.value(name) {
                args.extend([flag.to_owned(), value.to_owned()]);
            }
        }
        for (name, flag) in [(START_API, "-no-api"), (MIGRATE, "-no-migrations")] {
            if sources.value(name).is_some() && !sources.flag(name).map_err(Exit::usage)? {
                args.push(flag.to_owned());
            }
        }
        let ready = match sources.value(READY) {
            None => READY_TIMEOUT,
            Some(text) => {
                // Python writes 1_000 too.
                text.replace('_', "")
                    .parse()
                    .ok()
                    .filter(|seconds: &f64| *seconds > 0.0 && *seconds <= 86_400.0)
                    .ok_or_else(|| {
                        Exit::usage(format!("{READY} is `{text}`: set it to a number of seconds, at most a day"))
                    })?
            }
        };
        let checksum = sources.value(CHECKSUM).map(str::to_ascii_lowercase);
        Ok(Some(Self { program, args, checksum, ready: Duration::from_secs_f64(ready) }))
    }

    /// Starts it and waits until it serves; `None` if another process holds the folder, and so has an engine already.
    pub(in super::super) async fn start(&self, folder: &Path) -> Result<Option<Running>, Exit> {
        let announcement = match Announcement::acquire(folder) {
            Ok(announcement) => announcement,
            Err(error) if error.kind() == EngineErrorKind::FolderInUse => return Ok(None),
            Err(error) => return Err(Exit::unreachable(error.to_string())),
        };
        self.verify()?;
        let (file, log) = (folder.join("sidecar.json"), folder.join("sidecar.log"));
        let gone = fs::remove_file(&file);
        if let Err(e) = gone.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) }) {
            return Err(Exit::unreachable(format!("{} of an earlier start cannot be removed: {e}", file.display())));
        }
        let mut child = self.spawn(&file, &log)?;
        let stdin = child.stdin.take();
        let outcome = self.until_it_serves(&mut child, &file, &log).await;
        // It holds a token, and the announcement has it from here on.
        let _ = fs::remove_file(&file);
        let outcome = outcome.and_then(|handshake| {
            announcement.publish(&handshake).map_err(|e| Exit::unreachable(e.to_string()))?;
            Ok(handshake)
        });
        match outcome {
            Ok(handshake) => Ok(Some(Running { child, stdin, log, handshake, announcement })),
            Err(exit) => {
                end(child, stdin, STOP_EARLY).await;
                Err(exit)
            }
        }
    }

    fn verify(&self) -> Result<(), Exit> {
        let Some(wanted) = &self.checksum else { return Ok(()) };
        let failed = |e| Exit::usage(format!("{PATH}: {} cannot be read: {e}", self.program.display()));
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
        if found == *wanted {
            return Ok(());
        }
        Err(Exit::usage(format!("{CHECKSUM} is {wanted}, and {} has {found}", self.program.display())))
    }

    fn spawn(&self, handshake: &Path, log: &Path) -> Result<Child, Exit> {
        // A file, and no pipe to us: it would die of a pipe that broke with us before it has put its database away.
        let stderr = File::create(log)
            .map_err(|e| Exit::unreachable(format!("the sidecar's log {} cannot be written: {e}", log.display())))?;
        let mut command = Command::new(&self.program);
        command
            .arg("-handshake-file")
            .arg(handshake)
            .args(&self.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr);
        // Ctrl-C is for us: the engine is needed until our tasks have ended.
        #[cfg(unix)]
        command.process_group(0);
        command.spawn().map_err(|e| Exit::usage(format!("{PATH}: {} cannot be started: {e}", self.program.display())))
    }

    /// Waits for the handshake.
    async fn until_it_serves(&self, child: &mut Child, file: &Path, log: &Path) -> Result<Handshake, Exit> {
        let program = self.program.display();
        let begun = Instant::now();
        let (mut told, mut unread) = (false, 0);
        loop {
            let problem = match Handshake::read(file) {
                Ok(Some(handshake)) => return Ok(handshake),
                Ok(None) => None,
                Err(e) => {
                    unread += 1;
                    Some(e)
                }
            };
            if let Some(problem) = problem.filter(|_| unread >= UNREADABLE) {
                return Err(Exit::unreachable(format!("{program} wrote a handshake file that is none: {problem}")));
            }
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => {
                    return Err(Exit::unreachable(format!("{program} ended before it served ({status}){}", tail(log))));
                }
                Err(e) => return Err(Exit::unreachable(format!("{program} cannot be waited for: {e}"))),
            }
            if begun.elapsed() >= self.ready {
                return Err(Exit::unreachable(format!(
                    "{program} has written no handshake file after {:?}: give it more time with {READY}{}",
                    self.ready,
                    tail(log)
                )));
            }
            if !told && begun.elapsed() >= SLOW {
                told = true;
                output::complain(&format!("waits for {program}; its first start may take a minute"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Running {
    pub(in super::super) fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// Waits for its end, which nobody has asked for, and says it.
    pub(in super::super) async fn ended(&mut self) -> String {
        let how = self.child.wait().await.map_or_else(|e| e.to_string(), |status: ExitStatus| status.to_string());
        format!("the sidecar ended by itself ({how}){}", tail(&self.log))
    }

    /// Ends it, and lets go of the folder.
    pub(in super::super) async fn stop(self) {
        end(self.child, self.stdin, STOP).await;
        drop(self.announcement);
    }
}

/// Says what is set and means nothing to our own engine.
fn not_official(sources: &Sources) -> Option<Official> {
    let is_set = |name: &&&str| **name != PATH && sources.value(name).is_some();
    let others: Vec<&str> = VARIABLES.iter().filter(is_set).copied().collect();
    if !others.is_empty() {
        tracing::warn!("passed over, as {PATH} names no official sidecar: {}", others.join(", "));
    }
    None
}

/// Ends its stdin and waits; kills it if that is not enough.
async fn end(mut child: Child, stdin: Option<ChildStdin>, patience: Duration) {
    drop(stdin);
    if timeout(patience, child.wait()).await.is_err() {
        tracing::warn!("the sidecar has not ended {patience:?} after its stdin, and is killed");
        // A failure means that it has ended now.
        let _ = child.kill().await;
    }
}

/// The last that it said, in one line; where it said nothing, nothing.
fn tail(log: &Path) -> String {
    let read = || {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(SHOWN_BYTES)))?;
        let mut text = Vec::new();
        file.take(SHOWN_BYTES).read_to_end(&mut text)?;
        io::Result::Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
        [] => String::new(),
        last => format!("; {} ends with: {}", log.display(), last.join(" | ")),
    }
}
