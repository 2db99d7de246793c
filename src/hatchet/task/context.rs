//! The context of an attempt: data about its run, its log and stream, and its cancellation.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::{
    TaskError,
    cancel::{CancelReason, Canceller},
    children::{ChildRunner, Children},
    control::{Control, ControlKind, Controls},
    run_info::RunInfo,
    spans::AttemptSpan,
};
use crate::hatchet::wire::{format_duration, parse_duration, readable_duration};

/// Maximum length of a log line in characters, as in the engine. Longer lines are truncated.
const MAX_LOG_CHARS: usize = 10_000;

/// Metadata key of the W3C trace context.
pub(in crate::hatchet) const TRACEPARENT: &str = "traceparent";

/// Maximum number of log lines and chunks of one attempt that wait to be sent.
const MAX_QUEUED_EMISSIONS: usize = 1_000;

/// Target of the `tracing` events about attempts: `started`, `completed`, `failed` and so on.
///
/// They have the level DEBUG, so that a worker that runs thousands of tasks per second logs nothing about them at INFO.
/// Their fields are `task`, `run`, `attempt` (counted from 1), `log_level` (the level to show to people), and at the
/// end `duration_ms` of the body and `error` (its first line).
pub const RUN_LOG: &str = "hatchet::run";

/// Target of the `tracing` events for the lines of [`Context::log`]. They have the level DEBUG, lines of
/// [`LogLevel::Debug`] the level TRACE. They have the fields of the [`RUN_LOG`] event at the start of an attempt.
///
/// A filter for [`RUN_LOG`] applies to this target, too.
pub const RUN_LOG_LINES: &str = "hatchet::run::log";

/// The context of an attempt: data about its run, its log and stream, and its cancellation. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Inner>);

struct Inner {
    info: RunInfo,
    span: AttemptSpan,
    canceller: Canceller,
    emissions: mpsc::Sender<Emission>,
    lost_lines: AtomicU64,
    children: Children,
    controls: Controls,
}

/// A log line or chunk on its way to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Emission {
    Log {
        level: LogLevel,
        message: String,
        fields: Map<String, Value>,
    },
    /// A chunk for subscribers to the run's events.
    Chunk(String),
}

/// The level of a log line, as in Hatchet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Details for debugging.
    Debug,
    /// Normal operation.
    Info,
    /// An unexpected condition that did not stop the task.
    Warn,
    /// A failure of the task or of a part of it.
    Error,
}

impl LogLevel {
    /// Returns the level on the wire, such as `INFO`.
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
    /// Creates a context for a test, with its canceller and the receiver of its log lines and chunks.
    #[cfg(test)]
    pub(crate) fn new(info: RunInfo) -> (Self, Canceller, mpsc::Receiver<Emission>) {
        let canceller = Canceller::default();
        let (ctx, emissions) = Self::for_attempt(info, AttemptSpan::default(), canceller.clone(), Arc::new(NoChildren));
        (ctx, canceller, emissions)
    }

    /// Creates the context of an attempt, with the receiver of its log lines and chunks. The attempt may be cancelled
    /// already.
    pub(in crate::hatchet) fn for_attempt(
        info: RunInfo,
        span: AttemptSpan,
        canceller: Canceller,
        runner: Arc<dyn ChildRunner>,
    ) -> (Self, mpsc::Receiver<Emission>) {
        let (emissions, receiver) = mpsc::channel(MAX_QUEUED_EMISSIONS);
        let (children, controls) = (Children::new(runner), Controls::new());
        let inner = Inner { info, span, canceller, emissions, lost_lines: AtomicU64::new(0), children, controls };
        (Self(Arc::new(inner)), receiver)
    }

    /// Returns the data of the run and attempt.
    pub fn info(&self) -> &RunInfo {
        &self.0.info
    }

    /// The span of the attempt.
    pub(in crate::hatchet) fn span(&self) -> &AttemptSpan {
        &self.0.span
    }

    /// The child runs of the attempt.
    pub(in crate::hatchet) fn children(&self) -> &Children {
        &self.0.children
    }

    /// Returns the task run's id.
    pub fn run_id(&self) -> &str {
        &self.0.info.run_id
    }

    /// Returns the number of earlier attempts of the run; 0 in the first attempt.
    pub fn retry_count(&self) -> u32 {
        self.0.info.retry_count
    }

    /// Returns the number of this attempt, counted from 1.
    pub fn attempt_number(&self) -> u32 {
        self.0.info.retry_count.saturating_add(1)
    }

    /// Returns the maximum number of attempts that failures may use: one more than the task's `retries`. The number of an
    /// attempt is greater after the loss of a worker or a replay, which use no retry.
    ///
    /// ```
    /// use hatchet_quickstart::prelude::*;
    ///
    /// fn is_last_attempt(ctx: &Context) -> bool {
    ///     ctx.attempt_number() >= ctx.max_attempts()
    /// }
    /// ```
    pub fn max_attempts(&self) -> u32 {
        self.0.info.max_attempts
    }

    /// Returns the run's additional metadata.
    pub fn additional_metadata(&self) -> &Map<String, Value> {
        &self.0.info.additional_metadata
    }

    /// Returns the payload of the event filter that has started the run: that of
    /// [`DefaultFilter::payload`](super::DefaultFilter::payload), or of a filter that was created over REST. Empty for a
    /// run that no filter has started.
    pub fn filter_payload(&self) -> &Map<String, Value> {
        &self.0.info.filter_payload
    }

    /// Returns the id of the worker that executes the attempt.
    pub fn worker_id(&self) -> &str {
        &self.0.info.worker_id
    }

    /// Writes a line to the run's log in Hatchet at level INFO. Otherwise behaves like [`Context::log_at`].
    pub fn log(&self, message: impl Into<String>) {
        self.log_at(LogLevel::Info, message);
    }

    /// Writes a line to the run's log in Hatchet, truncated to 10,000 characters. An empty line is ignored, since
    /// engines refuse it. The line is also a `tracing` event with the target [`RUN_LOG_LINES`].
    ///
    /// Never waits and never fails: if 1,000 lines and chunks of this attempt are waiting to be sent, the line is
    /// dropped and counted (see [`Context::lost_lines`]).
    pub fn log_at(&self, level: LogLevel, message: impl Into<String>) {
        let message = message.into();
        if !message.is_empty() {
            let message = shorten(message);
            trace_line(self.info(), level, &message);
            self.write_line(level, message, Map::new());
        }
    }

    /// Queues a line with fields, without a `tracing` event. Drops and counts it if the queue is full.
    pub(in crate::hatchet::task) fn write_line(&self, level: LogLevel, message: String, fields: Map<String, Value>) {
        let line = Emission::Log { level, message: shorten(message), fields };
        if self.0.emissions.try_send(line).is_err() {
            self.0.lost_lines.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the W3C trace context of the run, its `traceparent`, if its metadata has one: the caller has set it, or a
    /// real engine has created it. Children of the attempt inherit it, and so do the runs and events that the body starts
    /// with a client. With the feature `opentelemetry` they get that of their own span instead.
    pub fn traceparent(&self) -> Option<&str> {
        self.additional_metadata().get(TRACEPARENT)?.as_str()
    }

    /// Sends a chunk to the subscribers of the run's events, which receive chunks in order and before the end of the
    /// attempt. Waits while 1,000 lines and chunks of this attempt are waiting to be sent.
    ///
    /// Never fails. A chunk is lost if the engine does not accept it within 10 s, or if the attempt has finished.
    pub async fn put_stream(&self, chunk: impl Into<String>) {
        // The receiver is dropped at the end of the attempt. Then the chunk has no subscriber.
        let _ = self.0.emissions.send(Emission::Chunk(chunk.into())).await;
    }

    /// Sends a chunk as [`Context::put_stream`] does, from a blocking or CPU body. Blocks the thread while it waits.
    ///
    /// # Panics
    ///
    /// Panics if called in an async body, which must use [`Context::put_stream`].
    pub fn put_stream_blocking(&self, chunk: impl Into<String>) {
        let _ = self.0.emissions.blocking_send(Emission::Chunk(chunk.into()));
    }

    /// Returns the number of log lines that [`Context::log_at`] has dropped. The worker's metrics contain their sum.
    pub fn lost_lines(&self) -> u64 {
        self.0.lost_lines.load(Ordering::Relaxed)
    }

    /// Returns whether the attempt is cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.canceller.is_cancelled()
    }

    /// Fails if the attempt is cancelled. Call `ctx.check_cancelled()?` in the loop of a blocking or CPU body, which
    /// cannot be stopped otherwise. An async body is dropped 1 s after its cancellation.
    ///
    /// # Errors
    ///
    /// [`TaskError::cancelled`] with the reason, if the attempt is cancelled.
    pub fn check_cancelled(&self) -> Result<(), TaskError> {
        self.0.canceller.reason().map_or(Ok(()), |reason| Err(TaskError::cancelled(reason)))
    }

    /// Waits until the attempt is cancelled, and returns the reason.
    pub async fn cancelled(&self) -> CancelReason {
        self.0.canceller.cancelled().await
    }
}

/// Truncates a line to [`MAX_LOG_CHARS`].
fn shorten(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MAX_LOG_CHARS) {
        message.truncate(end);
    }
    message
}

impl Context {
    /// Extends the execution timeout of the running attempt by this time; 1 ms to 2,562,047 h.
    ///
    /// # Errors
    ///
    /// If the duration is out of range, the attempt has finished, or the engine does not accept the call.
    pub async fn refresh_timeout(&self, by: Duration) -> Result<(), TaskError> {
        self.0.controls.request(check_extension(by)?).await.map_err(TaskError::new)
    }

    /// Extends the timeout as [`Context::refresh_timeout`] does, from a blocking or CPU body.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Context::refresh_timeout`].
    ///
    /// # Panics
    ///
    /// Panics if called in an async body, which must use [`Context::refresh_timeout`].
    pub fn refresh_timeout_blocking(&self, by: Duration) -> Result<(), TaskError> {
        self.0.controls.request_blocking(check_extension(by)?).map_err(TaskError::new)
    }

    /// Returns the attempt's slots to the worker while the body continues, so that the worker starts another attempt.
    /// Use it before a long wait. The execution timeout still applies; afterwards the engine cannot cancel the attempt.
    /// Engine v0.104.7 uses the slots only after the attempt has finished.
    ///
    /// # Errors
    ///
    /// If the attempt has finished, or the engine does not accept the call.
    pub async fn release_slot(&self) -> Result<(), TaskError> {
        self.0.controls.request(ControlKind::ReleaseSlot).await.map_err(TaskError::new)
    }

    /// Returns the slots as [`Context::release_slot`] does, from a blocking or CPU body.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Context::release_slot`].
    ///
    /// # Panics
    ///
    /// Panics if called in an async body, which must use [`Context::release_slot`].
    pub fn release_slot_blocking(&self) -> Result<(), TaskError> {
        self.0.controls.request_blocking(ControlKind::ReleaseSlot).map_err(TaskError::new)
    }

    /// Requests that the engine cancels the task run, this attempt included. The cancellation reaches the body like that of
    /// a caller: an async body is dropped 1 s later. The other tasks of a workflow continue, unless they depend on it.
    ///
    /// ```
    /// use hatchet_quickstart::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, JsonSchema)]
    /// # struct Input { is_obsolete: bool }
    /// async fn body(input: Input, ctx: Context) -> Result<Input, TaskError> {
    ///     if input.is_obsolete {
    ///         ctx.cancel().await?;
    ///         return Err(TaskError::cancelled(ctx.cancelled().await));
    ///     }
    ///     Ok(input)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the attempt has ended, or the engine does not accept the call.
    pub async fn cancel(&self) -> Result<(), TaskError> {
        self.0.controls.request(ControlKind::Cancel).await.map_err(TaskError::new)?;
        self.cancel_in_test();
        Ok(())
    }

    /// Cancels the task run as [`Context::cancel`] does, from a blocking or CPU body.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Context::cancel`].
    ///
    /// # Panics
    ///
    /// Panics if called in an async body, which must use [`Context::cancel`].
    pub fn cancel_blocking(&self) -> Result<(), TaskError> {
        self.0.controls.request_blocking(ControlKind::Cancel).map_err(TaskError::new)?;
        self.cancel_in_test();
        Ok(())
    }

    /// In a test of a body, which has no engine, a request to cancel the run takes effect immediately.
    fn cancel_in_test(&self) {
        if self.0.controls.is_test() {
            self.0.canceller.cancel(CancelReason::Requested);
        }
    }

    /// Takes the receiver of the requests. `None` if it was taken before.
    pub(in crate::hatchet) fn take_controls(&self) -> Option<mpsc::Receiver<Control>> {
        self.0.controls.take()
    }
}

/// Checks a duration against the limits of an engine, and rounds it to milliseconds.
fn check_extension(by: Duration) -> Result<ControlKind, TaskError> {
    match parse_duration(&format_duration(by)) {
        Ok(by) if !by.is_zero() => Ok(ControlKind::RefreshTimeout(by)),
        _ => Err(TaskError::fatal(format!("invalid timeout \"{}\": 1ms to 2562047h", readable_duration(by)))),
    }
}

fn trace_line(info: &RunInfo, level: LogLevel, message: &str) {
    let (task, run, attempt) = (&*info.task_name, &*info.run_id, info.retry_count.saturating_add(1));
    let log_level = level.as_str();
    match level {
        LogLevel::Debug => {
            tracing::trace!(target: RUN_LOG_LINES, task, run, attempt, log_level, "{message}");
        }
        LogLevel::Info | LogLevel::Warn | LogLevel::Error => {
            tracing::debug!(target: RUN_LOG_LINES, task, run, attempt, log_level, "{message}");
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("info", self.info())
            .field("cancelled", &self.0.canceller.reason())
            .field("lost_lines", &self.lost_lines())
            .finish_non_exhaustive()
    }
}

/// The child runs of a context without an engine: every call fails.
#[cfg(test)]
struct NoChildren;

#[cfg(test)]
impl ChildRunner for NoChildren {
    fn start(
        &self,
        _: &RunInfo,
        task: &str,
        children: Vec<super::ChildRequest>,
    ) -> futures_util::future::BoxFuture<'static, Vec<Result<crate::hatchet::wire::RunId, super::ChildError>>> {
        let refuse = |_| Err(super::ChildError::invalid(format!("no engine runs {task}")));
        Box::pin(std::future::ready(children.into_iter().map(refuse).collect()))
    }

    fn outcome(
        &self,
        _: crate::hatchet::wire::RunId,
        _: Option<&'static str>,
    ) -> futures_util::future::BoxFuture<'static, Result<super::ChildOutcome, super::ChildError>> {
        Box::pin(std::future::pending())
    }

    fn runtime(&self) -> tokio::runtime::Handle {
        tokio::runtime::Handle::current()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_line_is_truncated_and_full_queue_counts_losses() {
        let (ctx, _canceller, mut emissions) = Context::new(RunInfo::default());
        ctx.log("é".repeat(MAX_LOG_CHARS + 5));
        let Ok(Emission::Log { message, .. }) = emissions.try_recv() else { panic!("no line") };
        assert_eq!(message.chars().count(), MAX_LOG_CHARS);
        for _ in 0..MAX_QUEUED_EMISSIONS + 3 {
            ctx.log("x");
        }
        assert_eq!(ctx.lost_lines(), 3);
    }

    #[tokio::test]
    async fn later_cancel_reason_is_ignored() {
        let (ctx, canceller, _emissions) = Context::new(RunInfo::default());
        assert!(ctx.check_cancelled().is_ok());
        canceller.cancel(CancelReason::TimedOut);
        canceller.cancel(CancelReason::Shutdown);
        assert_eq!(ctx.cancelled().await, CancelReason::TimedOut);
        assert!(ctx.check_cancelled().is_err());
    }
}
