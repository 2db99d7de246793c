//! What a body is given beside its input.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::TaskError;

/// Longest log line that an engine takes, in characters; a longer one is cut.
const MAX_LOG_CHARS: usize = 10_000;

/// How many log lines and chunks of one attempt may wait to be sent.
const EMISSIONS: usize = 1_000;

/// What a running body can see and do. Cheap to clone, and fine to send to other threads.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    info: RunInfo,
    token: CancellationToken,
    reason: Arc<OnceLock<CancelReason>>,
    out: mpsc::Sender<Emission>,
    lost: AtomicU64,
}

/// Which run and attempt a body works for.
#[derive(Debug, Clone, Default)]
pub struct RunInfo {
    /// The task run's id.
    pub run_id: String,
    /// The workflow run's id; equal to `run_id` in a workflow of one task.
    pub workflow_run_id: String,
    /// The task's name as registered.
    pub task_name: String,
    /// 0 for the first attempt.
    pub retry_count: u32,
    /// The run's additional metadata.
    pub additional_metadata: Map<String, Value>,
}

/// Something that a body sends while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emission {
    /// A log line.
    Log {
        /// How grave it is.
        level: LogLevel,
        /// The line.
        message: String,
    },
    /// A chunk for those who stream the run.
    Chunk(String),
}

/// How grave a log line is: the levels that Hatchet knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// For whoever debugs.
    Debug,
    /// Usual.
    Info,
    /// Unexpected, and went on.
    Warn,
    /// Something failed.
    Error,
}

impl LogLevel {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

/// Why a body should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelReason {
    /// The engine asked for it: someone cancelled the run, or the attempt is no longer this worker's.
    Requested,
    /// The attempt ran longer than its execution timeout.
    TimedOut,
    /// The worker is shutting down and its grace is over.
    Shutdown,
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requested => "the engine asked for it",
            Self::TimedOut => "the execution timeout is over",
            Self::Shutdown => "the worker is shutting down",
        })
    }
}

/// The other end of a context's cancellation.
#[derive(Debug, Clone, Default)]
pub struct Canceller {
    token: CancellationToken,
    reason: Arc<OnceLock<CancelReason>>,
}

impl Canceller {
    /// Asks the body to stop. The first reason stays.
    pub fn cancel(&self, reason: CancelReason) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    /// Waits until the body was asked to stop.
    pub async fn cancelled(&self) -> CancelReason {
        self.token.cancelled().await;
        self.reason.get().copied().unwrap_or(CancelReason::Requested)
    }

    /// Why the body was asked to stop, if it was.
    pub fn reason(&self) -> Option<CancelReason> {
        self.reason.get().copied()
    }
}

impl Context {
    /// A context, the end that cancels it, and the end where its log lines and chunks come out: for a worker, and
    /// for a test of a body.
    ///
    /// ```
    /// use hatchet_quickstart::hatchet::task::{Context, Emission, LogLevel, RunInfo};
    ///
    /// let (ctx, _canceller, mut emissions) = Context::new(RunInfo::default());
    /// ctx.log("hello");
    /// assert_eq!(emissions.try_recv(), Ok(Emission::Log { level: LogLevel::Info, message: "hello".into() }));
    /// ```
    pub fn new(info: RunInfo) -> (Self, Canceller, mpsc::Receiver<Emission>) {
        let canceller = Canceller::default();
        let (ctx, emissions) = Self::for_attempt(info, canceller.clone());
        (ctx, canceller, emissions)
    }

    /// [`Context::new`] for an attempt that can be cancelled before its body starts.
    pub(crate) fn for_attempt(info: RunInfo, canceller: Canceller) -> (Self, mpsc::Receiver<Emission>) {
        let (out, emissions) = mpsc::channel(EMISSIONS);
        let inner = Inner { info, token: canceller.token, reason: canceller.reason, out, lost: AtomicU64::new(0) };
        (Self(Arc::new(inner)), emissions)
    }

    /// Which run and attempt this is.
    pub fn info(&self) -> &RunInfo {
        &self.0.info
    }

    /// The task run's id.
    pub fn run_id(&self) -> &str {
        &self.0.info.run_id
    }

    /// How many attempts came before this one.
    pub fn retry_count(&self) -> u32 {
        self.0.info.retry_count
    }

    /// This attempt's number, from 1.
    pub fn attempt_number(&self) -> u32 {
        self.0.info.retry_count.saturating_add(1)
    }

    /// The run's additional metadata.
    pub fn additional_metadata(&self) -> &Map<String, Value> {
        &self.0.info.additional_metadata
    }

    /// Writes a line to the run's log in Hatchet, at level INFO. Never waits.
    pub fn log(&self, message: impl Into<String>) {
        self.log_at(LogLevel::Info, message);
    }

    /// Writes a line to the run's log in Hatchet. Never waits: where 1,000 lines and chunks of this attempt already
    /// wait to be sent, the line is dropped and counted. An empty line is not sent, since engines refuse it; one of
    /// more than 10,000 characters is cut.
    pub fn log_at(&self, level: LogLevel, message: impl Into<String>) {
        let mut message: String = message.into();
        if message.is_empty() {
            return;
        }
        if let Some((end, _)) = message.char_indices().nth(MAX_LOG_CHARS) {
            message.truncate(end);
        }
        if self.0.out.try_send(Emission::Log { level, message }).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Sends a chunk to those who stream the run, in order; waits while 1,000 are on their way. What is sent before
    /// the body returns reaches the engine before the run's end does.
    pub async fn put_stream(&self, chunk: impl Into<String>) {
        // The receiver is gone only when the attempt is: nobody could see the chunk.
        let _ = self.0.out.send(Emission::Chunk(chunk.into())).await;
    }

    /// [`Context::put_stream`] for blocking and CPU bodies.
    pub fn put_stream_blocking(&self, chunk: impl Into<String>) {
        let _ = self.0.out.blocking_send(Emission::Chunk(chunk.into()));
    }

    /// How many log lines were dropped.
    pub fn lost_lines(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Whether the body was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.token.is_cancelled()
    }

    /// Fails when the body was asked to stop: `ctx.check_cancelled()?` in a loop is all that a blocking or CPU body
    /// needs.
    pub fn check_cancelled(&self) -> Result<(), TaskError> {
        if self.is_cancelled() { Err(TaskError::cancelled(self.reason())) } else { Ok(()) }
    }

    /// Waits until the body is asked to stop, and says why.
    pub async fn cancelled(&self) -> CancelReason {
        self.0.token.cancelled().await;
        self.reason()
    }

    fn reason(&self) -> CancelReason {
        self.0.reason.get().copied().unwrap_or(CancelReason::Requested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_and_a_full_queue_counts() {
        let (ctx, _canceller, mut emissions) = Context::new(RunInfo::default());
        ctx.log("é".repeat(MAX_LOG_CHARS + 5));
        let Ok(Emission::Log { message, .. }) = emissions.try_recv() else { panic!("no line") };
        assert_eq!(message.chars().count(), MAX_LOG_CHARS);
        for _ in 0..EMISSIONS + 3 {
            ctx.log("x");
        }
        assert_eq!(ctx.lost_lines(), 3);
    }

    #[tokio::test]
    async fn the_first_reason_stays() {
        let (ctx, canceller, _emissions) = Context::new(RunInfo::default());
        assert!(ctx.check_cancelled().is_ok());
        canceller.cancel(CancelReason::TimedOut);
        canceller.cancel(CancelReason::Shutdown);
        assert_eq!(ctx.cancelled().await, CancelReason::TimedOut);
        assert!(ctx.check_cancelled().is_err());
    }
}
