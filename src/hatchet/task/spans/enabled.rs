//! Spans of the program's global tracer provider.
//!
//! A span is the current one while its body or call is polled, so spans that the program creates there are its children,
//! and a call that starts runs sends the ids of its span as the `traceparent` of the runs.

use opentelemetry::{
    Context as TraceContext, InstrumentationScope, KeyValue, global,
    trace::{
        FutureExt as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
        Tracer as _,
    },
};

use crate::hatchet::wire::Failure;

/// The span of an attempt, as the context in which its body runs. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::hatchet) struct AttemptSpan(TraceContext);

/// The span of a call that starts runs, as the context in which the call is made.
pub(in crate::hatchet) struct CallSpan(TraceContext);

/// The attributes of a span.
pub(in crate::hatchet) struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn new() -> Self {
        Self(vec![KeyValue::new("instrumentor", "hatchet")])
    }

    /// Adds a text, unless it is empty.
    pub(in crate::hatchet) fn text(mut self, key: &'static str, value: &str) -> Self {
        if !value.is_empty() {
            self.0.push(KeyValue::new(key, value.to_owned()));
        }
        self
    }

    /// Adds a number; does nothing without a number.
    pub(in crate::hatchet) fn number(mut self, key: &'static str, value: Option<i64>) -> Self {
        self.0.extend(value.map(|value| KeyValue::new(key, value)));
        self
    }
}

impl Default for AttemptSpan {
    /// No span: the body runs in the current context.
    fn default() -> Self {
        Self(TraceContext::current())
    }
}

impl AttemptSpan {
    /// Starts the span of an attempt. Its parent is the span of the `traceparent`; without a valid one, it is the root of
    /// a trace.
    pub(in crate::hatchet) fn start(
        attributes: impl FnOnce(Attributes) -> Attributes,
        traceparent: Option<&str>,
    ) -> Self {
        let parent = match traceparent.and_then(parse_traceparent) {
            Some(parent) => TraceContext::new().with_remote_span_context(parent),
            None => TraceContext::new(),
        };
        Self(start("hatchet.start_step_run", SpanKind::Consumer, attributes, &parent))
    }

    /// Makes the span the current one while the body is polled.
    pub(in crate::hatchet) fn scope<F: Future>(&self, body: F) -> impl Future<Output = F::Output> + use<F> {
        body.with_context(self.0.clone())
    }

    /// Makes the span the current one during the call of the body.
    pub(in crate::hatchet) fn sync_scope<R>(&self, body: impl FnOnce() -> R) -> R {
        let _current = self.0.clone().attach();
        body()
    }

    /// Makes the span the current one while a call is polled, if there is no current span: a tokio task that the body
    /// has spawned does not inherit it.
    pub(in crate::hatchet) fn parent_scope<F: Future>(&self, call: F) -> impl Future<Output = F::Output> + use<F> {
        let current = TraceContext::current();
        let has_span = current.span().span_context().is_valid();
        call.with_context(if has_span { current } else { self.0.clone() })
    }

    /// Ends the span, with the error text of a failed attempt.
    pub(in crate::hatchet) fn end(&self, error: impl FnOnce() -> Option<String>) {
        end(&self.0, error().as_deref());
    }
}

impl CallSpan {
    /// Starts a span, which is a child of the current span.
    pub(in crate::hatchet) fn start(name: &'static str, attributes: impl FnOnce(Attributes) -> Attributes) -> Self {
        Self(start(name, SpanKind::Producer, attributes, &TraceContext::current()))
    }

    /// Makes the call in the span, then ends the span. `error` returns the error text of a call that has failed.
    pub(in crate::hatchet) async fn run<F: Future>(
        self,
        call: F,
        error: impl FnOnce(&F::Output) -> Option<String>,
    ) -> F::Output {
        let result = call.with_context(self.0.clone()).await;
        end(&self.0, error(&result).as_deref());
        result
    }
}

/// Returns the `traceparent` of the current span.
pub(in crate::hatchet) fn current_traceparent() -> Option<String> {
    TraceContext::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        let sampled = span.trace_flags() & TraceFlags::SAMPLED;
        span.is_valid().then(|| format!("00-{}-{}-{sampled:02x}", span.trace_id(), span.span_id()))
    })
}

fn start(
    name: &'static str,
    kind: SpanKind,
    attributes: impl FnOnce(Attributes) -> Attributes,
    parent: &TraceContext,
) -> TraceContext {
    let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION")).build();
    let tracer = global::tracer_with_scope(scope);
    let builder = tracer.span_builder(name).with_kind(kind).with_attributes(attributes(Attributes::new()).0);
    parent.with_span(builder.start_with_context(&tracer, parent))
}

/// Ends a span. An error text is recorded as the status and as an event, with the keys of OpenTelemetry's conventions.
fn end(context: &TraceContext, error: Option<&str>) {
    let span = context.span();
    if let Some(error) = error {
        let failure = Failure::parse(error);
        let attributes = vec![
            KeyValue::new("exception.type", failure.type_name.unwrap_or("Error").to_owned()),
            KeyValue::new("exception.message", failure.message.clone().into_owned()),
            KeyValue::new("exception.stacktrace", error.to_owned()),
        ];
        span.add_event("exception", attributes);
        span.set_status(Status::error(failure.to_string()));
    }
    span.end();
}

/// Parses a W3C `traceparent`: version, trace id, span id and flags. Later versions may have further fields.
fn parse_traceparent(text: &str) -> Option<SpanContext> {
    let mut fields = text.trim().split('-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_hex =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_valid = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    if !is_valid || version == "ff" || (version == "00" && fields.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE)).filter(SpanContext::is_valid)
}
