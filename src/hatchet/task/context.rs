//! The context of an attempt: what its body sees and sends beside its input and output.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::{
    TaskError,
    cancel::{CancelReason, Canceller},
};

/// Longest log line that an engine accepts, in characters. Longer lines are cut.
const MAX_LOG_CHARS: usize = 10_000;

/// Log lines and chunks of one attempt that may wait to be sent.
const EMISSIONS: usize = 1_000;

/// The context of an attempt: its run, its cancellation, its log and its stream. Cheap to clone, and `Send`.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    info: RunInfo,
    canceller: Canceller,
    out: mpsc::Sender<Emission>,
    lost: AtomicU64,
}

/// The run and attempt that a body executes.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RunInfo {
    /// The task run's id.
    pub run_id: String,
    /// The workflow run's id; equal to `run_id` in a workflow of one task.
    pub workflow_run_id: String,
    /// The task's name as registered.
    pub task_name: String,
    /// Number of attempts before this one; 0 for the first.
    pub retry_count: u32,
    /// The run's additional metadata.
    pub additional_metadata: Map<String, Value>,
}

/// A log line or chunk on its way to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Emission {
    /// A log line.
    Log { level: LogLevel, message: String },
    /// A chunk for subscribers to the run's events.
    Chunk(String),
}

/// The level of a log line, as Hatchet knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Details for debugging.
    Debug,
    /// Normal operation.
    Info,
    /// An unexpected condition that did not stop the task.
    Warn,
    /// A failure.
    Error,
}

impl LogLevel {
    /// The level on the wire, such as `INFO`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

impl Context {
    /// A context with its canceller and the receiver of its log lines and chunks. For tests outside
    /// [`Task::test`](super::Task::test).
    #[cfg(test)]
    pub(crate) fn new(info: RunInfo) -> (Self, Canceller, mpsc::Receiver<Emission>) {
        let canceller = Canceller::default();
        let (ctx, emissions) = Self::for_attempt(info, canceller.clone());
        (ctx, canceller, emissions)
    }

    /// A context for an attempt that can be cancelled before its body starts.
    pub(in crate::hatchet) fn for_attempt(info: RunInfo, canceller: Canceller) -> (Self, mpsc::Receiver<Emission>) {
        let (out, emissions) = mpsc::channel(EMISSIONS);
        let inner = Inner { info, canceller, out, lost: AtomicU64::new(0) };
        (Self(Arc::new(inner)), emissions)
    }

    /// The run and attempt.
    pub fn info(&self) -> &RunInfo {
        &self.0.info
    }

    /// The task run's id.
    pub fn run_id(&self) -> &str {
        &self.0.info.run_id
    }

    /// Number of attempts before this one; 0 for the first.
    pub fn retry_count(&self) -> u32 {
        self.0.info.retry_count
    }

    /// Number of this attempt, counted from 1.
    pub fn attempt_number(&self) -> u32 {
        self.0.info.retry_count.saturating_add(1)
    }

    /// The run's additional metadata.
    pub fn additional_metadata(&self) -> &Map<String, Value> {
        &self.0.info.additional_metadata
    }

    /// Writes a line to the run's log in Hatchet at level INFO, like [`Context::log_at`].
    pub fn log(&self, message: impl Into<String>) {
        self.log_at(LogLevel::Info, message);
    }

    /// Writes a line to the run's log in Hatchet. Never waits: if 1,000 lines and chunks of this attempt are waiting to
    /// be sent, the line is dropped and counted in the worker's metrics. Empty lines are not sent, since engines refuse
    /// them; a line is cut after 10,000 characters.
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

    /// Sends a chunk to the subscribers of the run's events. Chunks arrive in order, and before the end of the attempt.
    /// Waits while 1,000 lines and chunks of this attempt are waiting to be sent.
    pub async fn put_stream(&self, chunk: impl Into<String>) {
        // The receiver is gone only when the attempt is: nobody could see the chunk.
        let _ = self.0.out.send(Emission::Chunk(chunk.into())).await;
    }

    /// [`Context::put_stream`] for blocking and CPU bodies.
    pub fn put_stream_blocking(&self, chunk: impl Into<String>) {
        let _ = self.0.out.blocking_send(Emission::Chunk(chunk.into()));
    }

    /// Number of log lines that were dropped, see [`Context::log_at`].
    pub fn lost_lines(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Whether the attempt is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.canceller.is_cancelled()
    }

    /// Fails if the attempt is cancelled. A blocking or CPU body calls `ctx.check_cancelled()?` in its loop, as nothing
    /// else can stop it; an async body is dropped 1 s after its cancellation.
    ///
    /// # Errors
    ///
    /// [`TaskError::cancelled`] with the reason.
    pub fn check_cancelled(&self) -> Result<(), TaskError> {
        self.0.canceller.reason().map_or(Ok(()), |reason| Err(TaskError::cancelled(reason)))
    }

    /// Waits until the attempt is cancelled, and returns the reason.
    pub async fn cancelled(&self) -> CancelReason {
        self.0.canceller.cancelled().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_cut_and_full_queue_counts_losses() {
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
    async fn first_cancel_reason_is_kept() {
        let (ctx, canceller, _emissions) = Context::new(RunInfo::default());
        assert!(ctx.check_cancelled().is_ok());
        canceller.cancel(CancelReason::TimedOut);
        canceller.cancel(CancelReason::Shutdown);
        assert_eq!(ctx.cancelled().await, CancelReason::TimedOut);
        assert!(ctx.check_cancelled().is_err());
    }
}
