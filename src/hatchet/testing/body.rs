//! One attempt of a task's body.

use std::{collections::HashMap, fmt, marker::PhantomData, pin::pin};

use serde_json::{Map, Value};

use super::children::{RecordedChildren, Response, TestChild, response};
use crate::hatchet::task::{
    AttemptSpan, CancelReason, Canceller, Context, Emission, LogLevel, Payload, RunInfo, Stub, Task, TaskError,
    TypedBody,
};

/// An attempt of a task's body, prepared for a test. Returned by [`Task::test`] and
/// [`Workflow::test`](crate::hatchet::task::Workflow::test).
#[must_use = "a test runs the body only when `run` is called"]
pub struct BodyTest<I, O, B = Task<I, O>> {
    pub(super) body: B,
    info: RunInfo,
    canceller: Canceller,
    children: HashMap<String, Response>,
    types: PhantomData<fn(I) -> O>,
}

/// A body under test: that of a [`Task`], or of a task of a [`Workflow`](crate::hatchet::task::Workflow).
pub trait TestedBody<I, O> {
    /// Runs the body to its end.
    fn run_body(self, input: I, ctx: Context) -> impl Future<Output = Result<O, TaskError>> + Send;
}

/// The result of an attempt in a test, with the log lines, chunks and child runs of its body.
#[derive(Debug)]
#[non_exhaustive]
pub struct TestRun<O> {
    /// The output, or the error that the body returned.
    pub result: Result<O, TaskError>,
    /// The lines of [`Context::log`] and [`Context::log_at`], in order.
    pub logs: Vec<LogLine>,
    /// The chunks of [`Context::put_stream`], in order.
    pub chunks: Vec<String>,
    /// The child runs of [`Context::run`] and its variants, in order.
    pub children: Vec<TestChild>,
}

/// A line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// [`LogLevel::Info`] for lines of [`Context::log`].
    pub level: LogLevel,
    /// The text, without a newline at its end.
    pub message: String,
    /// The fields of a `tracing` event; empty for other lines.
    pub fields: Map<String, Value>,
}

impl<I: Payload, O: Payload> Task<I, O> {
    /// Prepares an attempt of the body without an engine: the first attempt of a run with random ids, without metadata,
    /// and not cancelled. See [`testing`](crate::hatchet::testing) for an example.
    pub fn test(&self) -> BodyTest<I, O> {
        let id = uuid::Uuid::new_v4().to_string();
        let info = RunInfo {
            run_id: id.clone(),
            workflow_run_id: id,
            task_name: self.name().to_owned(),
            max_attempts: self.options().retries.saturating_add(1),
            worker_id: uuid::Uuid::new_v4().to_string(),
            ..RunInfo::default()
        };
        BodyTest::new(self.clone(), info)
    }
}

impl<I: Payload, O: Payload, B: TestedBody<I, O>> BodyTest<I, O, B> {
    pub(super) fn new(body: B, info: RunInfo) -> Self {
        Self { body, info, canceller: Canceller::default(), children: HashMap::new(), types: PhantomData }
    }

    /// Sets the number of earlier attempts. Default 0.
    pub fn retry_count(mut self, retries: u32) -> Self {
        self.info.retry_count = retries;
        self
    }

    /// Adds a pair to the run's additional metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.info.additional_metadata.insert(key.into(), value.into());
        self
    }

    /// Adds a field to the payload of the event filter that has started the run.
    pub fn filter_payload(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.info.filter_payload.insert(key.into(), value.into());
        self
    }

    /// Cancels the attempt before the body starts.
    pub fn cancelled(self, reason: CancelReason) -> Self {
        self.canceller.cancel(reason);
        self
    }

    /// States the output of the children of a task, by their inputs. A child of a task without a stated outcome is not
    /// started: the body gets [`ChildError::Call`](crate::hatchet::task::ChildError::Call).
    pub fn child<C: Payload, P: Payload>(
        mut self,
        task: &Stub<C, P>,
        output: impl Fn(C) -> P + Send + Sync + 'static,
    ) -> Self {
        let response = response(task.name(), move |input| Ok(output(input)));
        self.children.insert(task.name().to_owned(), response);
        self
    }

    /// States that the children of a task fail with this error text.
    pub fn failed_child<C: Payload, P: Payload>(mut self, task: &Stub<C, P>, error: &str) -> Self {
        let error = error.to_owned();
        let response = response(task.name(), move |_: Value| Err::<P, _>(error.clone()));
        self.children.insert(task.name().to_owned(), response);
        self
    }

    /// Runs the body to its end: an async body on the current tokio task, any other body on a separate thread, where
    /// `par_iter` uses rayon's global pool. Timeouts and retries are features of an engine and are not applied.
    ///
    /// # Panics
    ///
    /// Panics if the body panics, or if a blocking or CPU body is run outside a tokio runtime.
    pub async fn run(self, input: I) -> TestRun<O> {
        let children = RecordedChildren::new(self.children);
        let (ctx, mut emissions) =
            Context::for_attempt(self.info, AttemptSpan::default(), self.canceller, children.clone());
        let mut body = pin!(self.body.run_body(input, ctx));
        let (mut logs, mut chunks) = (Vec::new(), Vec::new());
        let mut collect = |emission| match emission {
            Emission::Log { level, message, fields } => logs.push(LogLine { level, message, fields }),
            Emission::Chunk(chunk) => chunks.push(chunk),
        };
        let result = loop {
            tokio::select! {
                result = &mut body => break result,
                Some(emission) = emissions.recv() => collect(emission),
            }
        };
        // A clone of the context may outlive the body, so the channel may stay open.
        while let Ok(emission) = emissions.try_recv() {
            collect(emission);
        }
        TestRun { result, logs, chunks, children: children.take() }
    }
}

impl<I: Payload, O: Payload> TestedBody<I, O> for Task<I, O> {
    async fn run_body(self, input: I, ctx: Context) -> Result<O, TaskError> {
        match self.body() {
            TypedBody::Async(body) => ctx.clone().scope(async { body(input, ctx).await }).await,
            TypedBody::Blocking(body) | TypedBody::Cpu(body) => {
                let body = body.clone();
                on_thread(move || ctx.clone().sync_scope(|| body(input, ctx))).await
            }
        }
    }
}

/// Runs a body on a separate thread, and panics if it panics.
pub(super) async fn on_thread<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    match tokio::task::spawn_blocking(body).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

impl<I, O, B: fmt::Debug> fmt::Debug for BodyTest<I, O, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyTest")
            .field("body", &self.body)
            .field("info", &self.info)
            .field("cancelled", &self.canceller.reason())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::task::Stub;

    type Json = serde_json::Map<String, Value>;

    #[tokio::test]
    async fn context_describes_the_prepared_attempt() {
        let task = Stub::new("t").task(|_: Json, ctx: Context| async move {
            let numbers = format!("{} of {}", ctx.attempt_number(), ctx.max_attempts());
            let (metadata, payload) = (&ctx.additional_metadata()["k"], &ctx.filter_payload()["f"]);
            ctx.log_at(LogLevel::Warn, format!("{numbers} {metadata} {payload}"));
            Err::<Json, _>(TaskError::new("failed after its log line"))
        });
        let test = task.retries(4).test().retry_count(2).metadata("k", "v").filter_payload("f", 1);
        let run = test.run(Json::new()).await;
        assert_eq!(run.result.unwrap_err().to_string(), "failed after its log line");
        let line = LogLine { level: LogLevel::Warn, message: "3 of 5 \"v\" 1".to_owned(), fields: Map::new() };
        assert_eq!(run.logs, [line]);
    }

    #[tokio::test]
    async fn chunks_beyond_the_queue_size_are_collected() {
        let task = Stub::new("t").blocking_task(|input: Json, ctx: Context| {
            (0..3_000).for_each(|n| ctx.put_stream_blocking(n.to_string()));
            Ok(input)
        });
        let run = task.test().run(Json::new()).await;
        assert_eq!((run.chunks.len(), run.chunks[2_999].as_str()), (3_000, "2999"));
    }

    #[tokio::test]
    async fn run_ends_while_a_context_outlives_the_body() {
        let task = Stub::new("t").task(|input: Json, ctx: Context| async move {
            tokio::spawn(async move { ctx.cancelled().await });
            Ok(input)
        });
        assert!(task.test().run(Json::new()).await.result.is_ok());
    }
}
