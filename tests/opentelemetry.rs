//! Spans of calls and attempts. A binary of its own, since the provider of spans is that of the process and the cargo
//! feature `opentelemetry` is off by default; `make test` runs it.

#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "it/documented.rs"]
mod documented;

use std::{
    collections::BTreeMap,
    path::Path,
    process::Command,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use hatchet_quickstart::{
    hatchet::{client::NewEvent, testing::TestEngine},
    prelude::*,
};
use opentelemetry::{
    Context as TraceContext, global,
    trace::{FutureExt as _, SpanId, SpanKind, Status, TraceContextExt as _, TraceId, Tracer as _},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use serde_json::{Map, Value, json};

type Json = Map<String, Value>;

/// The ended spans of all tests, which tell their own by the id of their trace.
#[derive(Debug, Clone, Default)]
struct Ended(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Ended {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

static ENDED: LazyLock<Ended> = LazyLock::new(|| {
    let ended = Ended::default();
    global::set_tracer_provider(SdkTracerProvider::builder().with_simple_exporter(ended.clone()).build());
    ended
});

/// A trace of a test, with its root span.
struct Trace(TraceContext);

impl Trace {
    fn start() -> Self {
        LazyLock::force(&ENDED);
        Self(TraceContext::new().with_span(global::tracer("test").start("root")))
    }

    fn id(&self) -> TraceId {
        self.0.span().span_context().trace_id()
    }

    fn root(&self) -> SpanId {
        self.0.span().span_context().span_id()
    }

    /// Makes a call with the root span as the current one.
    async fn call<C: IntoFuture>(&self, call: C) -> C::Output {
        call.into_future().with_context(self.0.clone()).await
    }

    /// The ended spans with this name, in the order of their ends.
    fn spans(&self, name: &str) -> Vec<SpanData> {
        let ended = ENDED.0.lock().unwrap();
        let is_wanted = |span: &&SpanData| span.span_context.trace_id() == self.id() && span.name == name;
        ended.iter().filter(is_wanted).cloned().collect()
    }

    fn span(&self, name: &str) -> SpanData {
        let mut spans = self.spans(name);
        assert_eq!(spans.len(), 1, "{name}: {spans:?}");
        spans.remove(0)
    }
}

fn attributes(span: &SpanData) -> BTreeMap<&str, String> {
    span.attributes.iter().map(|attribute| (attribute.key.as_str(), attribute.value.to_string())).collect()
}

fn error(span: &SpanData) -> Option<&str> {
    match &span.status {
        Status::Error { description } => Some(description),
        Status::Ok | Status::Unset => None,
    }
}

const ORDER: Stub<Json, Json> = Stub::new("order");
const CHILD: Stub<Json, Json> = Stub::new("child");
const KEY: &str = "order:created";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn span_of_each_attempt_has_the_ids_of_its_run() {
    let (mut engine, trace) = (TestEngine::start().await, Trace::start());
    let body = |_: Json, ctx: Context| async move {
        if ctx.retry_count() == 0 { Err(TaskError::new("not yet")) } else { Ok(Json::new()) }
    };
    engine.work([ORDER.task(body).retries(1)]).await;
    let call = engine.client().run_no_wait(&ORDER, &Json::new()).metadata("team", "a").priority(Priority::High);
    let run = trace.call(call).await.unwrap();
    run.result().await.unwrap();

    let call = trace.span("hatchet.run_workflow");
    assert_eq!((call.span_kind.clone(), call.parent_span_id), (SpanKind::Producer, trace.root()));
    let expected = [
        ("hatchet.additional_metadata", r#"{"team":"a"}"#),
        ("hatchet.priority", "3"),
        ("hatchet.workflow_name", "order"),
        ("instrumentor", "hatchet"),
    ];
    assert_eq!(attributes(&call), expected.map(|(key, value)| (key, value.to_owned())).into());

    let attempts = trace.spans("hatchet.start_step_run");
    assert_eq!(attempts.len(), 2);
    for (number, attempt) in attempts.iter().enumerate() {
        let parent = call.span_context.span_id();
        assert_eq!((attempt.span_kind.clone(), attempt.parent_span_id), (SpanKind::Consumer, parent));
        assert!(attempt.parent_span_is_remote);
        let (attributes, id) = (attributes(attempt), run.id().to_string());
        for (key, value) in [
            ("hatchet.step_run_id", &*id),
            ("hatchet.workflow_run_id", &*id),
            ("hatchet.step_name", "order"),
            ("hatchet.workflow_name", "order"),
            ("hatchet.action_name", "order:order"),
            ("hatchet.retry_count", &*number.to_string()),
        ] {
            assert_eq!(attributes.get(key).map(String::as_str), Some(value), "{key}");
        }
        for key in ["tenant_id", "worker_id", "workflow_id", "workflow_version_id", "step_id"] {
            let value = attributes.get(&*format!("hatchet.{key}"));
            assert!(value.is_some_and(|value| value.parse::<uuid::Uuid>().is_ok()), "{key}: {value:?}");
        }
    }
    assert_eq!(error(&attempts[0]), Some("TaskError: not yet"));
    let exception: Vec<_> = attempts[0].events[0].attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(attempts[0].events[0].name, "exception");
    assert_eq!(exception, ["exception.type", "exception.message", "exception.stacktrace"]);
    assert_eq!(error(&attempts[1]), None);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_body_are_children_of_its_span() {
    let (mut engine, trace) = (TestEngine::start().await, Trace::start());
    let client = engine.client().clone();
    let body = move |_: Json, ctx: Context| {
        let client = client.clone();
        async move {
            ctx.run(&CHILD, &Json::new()).key("awaited").await?;
            // A spawned task does not inherit the current span, but the context knows that of the attempt.
            let spawned = ctx.clone();
            tokio::spawn(async move { spawned.run(&CHILD, &Json::new()).key("spawned").await }).await??;
            client.run(&CHILD, &Json::new()).await?;
            Ok(Json::new())
        }
    };
    let child = CHILD.task(|_: Json, ctx: Context| async move {
        global::tracer("test").in_span("in child", |_span| {});
        Ok(ctx.additional_metadata().clone())
    });
    engine.work([ORDER.task(body), child]).await;
    trace.call(engine.client().run(&ORDER, &Json::new())).await.unwrap();

    let attempts = trace.spans("hatchet.start_step_run");
    let parent = attempts.iter().find(|span| attributes(span)["hatchet.step_name"] == "order").unwrap();
    let calls: Vec<_> = trace.spans("hatchet.run_workflow");
    let body_calls: Vec<_> = calls.iter().filter(|call| call.parent_span_id == parent.span_context.span_id()).collect();
    assert_eq!(body_calls.len(), 3, "{calls:?}");
    let keys: Vec<_> = body_calls.iter().filter_map(|call| attributes(call).remove("hatchet.child_key")).collect();
    assert_eq!(keys, ["awaited", "spawned"]);
    for call in body_calls {
        let child = attempts.iter().find(|span| span.parent_span_id == call.span_context.span_id()).unwrap();
        let inner = trace.spans("in child").into_iter().find(|s| s.parent_span_id == child.span_context.span_id());
        assert!(inner.is_some());
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_runs_events_and_schedules_continue_the_trace() {
    let (mut engine, trace) = (TestEngine::start().await, Trace::start());
    engine.work([ORDER.task(|_: Json, _| async { Ok(Json::new()) }).on_event(KEY)]).await;
    let (client, input) = (engine.client(), Json::new());
    for result in trace.call(client.run_many(&ORDER, [&input, &input])).await {
        result.unwrap();
    }
    trace.call(client.push_event(KEY, &input).scope("eu")).await.unwrap();
    let events = ["b", KEY, KEY].map(|key| NewEvent::new(key, &input));
    for event in trace.call(client.push_events(events)).await {
        event.unwrap();
    }
    let at = engine.now() + Duration::from_secs(60);
    trace.call(client.schedule(&ORDER, &input).at(at)).await.unwrap();
    engine.advance(Duration::from_secs(61)).await;

    let bulk = trace.span("hatchet.run_workflows");
    assert_eq!(attributes(&bulk)["hatchet.num_workflows"], "2");
    assert_eq!(attributes(&bulk)["hatchet.unique_workflow_names"], r#"["order"]"#);
    let event = trace.span("hatchet.push_event");
    assert_eq!((&*attributes(&event)["hatchet.event_key"], &*attributes(&event)["hatchet.scope"]), (KEY, "eu"));
    let events = trace.span("hatchet.bulk_push_event");
    assert_eq!(attributes(&events)["hatchet.num_events"], "3");
    assert_eq!(attributes(&events)["hatchet.unique_event_keys"], json!(["b", KEY]).to_string());
    let schedule = trace.span("hatchet.schedule_workflow");
    assert!(attributes(&schedule).contains_key("hatchet.run_at_timestamps"));
    let attempts = trace.spans("hatchet.start_step_run");
    for (call, runs) in [(&bulk, 2), (&event, 1), (&events, 2), (&schedule, 1)] {
        let call_attempts: Vec<_> =
            attempts.iter().filter(|a| a.parent_span_id == call.span_context.span_id()).collect();
        assert_eq!((call_attempts.len(), call.parent_span_id), (runs, trace.root()), "{}", call.name);
        let is_event = call_attempts[0].attributes.iter().any(|a| a.key.as_str() == "hatchet.triggering_event_key");
        assert_eq!(is_event, call.name.ends_with("push_event"), "{}", call.name);
    }
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_call_and_cancelled_attempt_have_an_error() {
    let (mut engine, trace) = (TestEngine::start().await, Trace::start());
    let body = |_: Json, ctx: Context| async move { Err::<Json, _>(TaskError::cancelled(ctx.cancelled().await)) };
    engine.work([ORDER.task(body)]).await;
    let run = trace.call(engine.client().run_no_wait(&ORDER, &Json::new())).await.unwrap();
    engine.settle().await;
    run.cancel().await.unwrap();
    run.result().await.unwrap_err();
    let unknown = Stub::<Json, Json>::from_name("unknown");
    trace.call(engine.client().run(&unknown, &Json::new())).await.unwrap_err();
    // The worker waits for its attempts.
    engine.stop().await;
    assert_eq!(error(&trace.span("hatchet.start_step_run")), Some("Cancelled: the engine cancelled the attempt"));
    let calls = trace.spans("hatchet.run_workflow");
    assert!(error(&calls[1]).is_some_and(|text| text.starts_with("ClientError: ")), "{calls:?}");
    assert_eq!(error(&calls[0]), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traceparent_of_a_call_takes_precedence_unless_it_is_invalid() {
    let (mut engine, trace) = (TestEngine::start().await, Trace::start());
    let current = |_: Json, ctx: Context| {
        let current = TraceContext::current();
        let id = current.span().span_context().trace_id().to_string();
        Ok(Json::from_iter([("trace".to_owned(), id.into()), ("sent".to_owned(), ctx.traceparent().into())]))
    };
    let (blocking, cpu) = (Stub::new("blocking"), Stub::new("cpu"));
    let tasks: [Task<Json, Json>; 2] = [blocking.blocking_task(current), cpu.cpu_task(current)];
    engine.work(tasks).await;
    let other = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for stub in [&blocking, &cpu] {
        let run = |traceparent: &'static str| {
            trace.call(engine.client().run(stub, &Json::new()).metadata("traceparent", traceparent))
        };
        let output = run(other).await.unwrap();
        assert_eq!((&output["trace"], &output["sent"]), (&json!(&other[3..35]), &json!(other)));
        for invalid in ["", "00-", "zz-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "é".repeat(55).leak()] {
            let output = run(invalid).await.unwrap();
            let root = output["trace"].as_str().unwrap();
            assert!(root != trace.id().to_string() && root != TraceId::INVALID.to_string(), "{invalid}: {root}");
        }
    }
    engine.stop().await;
}

#[tokio::test]
async fn example_prints_its_documented_output() {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/opentelemetry.rs"));
    let built = Path::new(env!("CARGO_BIN_EXE_runner")).with_file_name("examples").join("opentelemetry");
    let output = Command::new(&built).env("HATCHET_CLIENT_TOKEN", "").output();
    let output = output.unwrap_or_else(|e| panic!("{} is not built: {e}", built.display()));
    assert_eq!(String::from_utf8_lossy(&output.stdout), documented::documented_output(&source.unwrap()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
