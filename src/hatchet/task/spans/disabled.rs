//! No spans.

/// The span of an attempt.
#[derive(Debug, Clone, Default)]
pub(in crate::hatchet) struct AttemptSpan {}

/// The span of a call that starts runs.
pub(in crate::hatchet) struct CallSpan;

/// The attributes of a span.
#[allow(dead_code, reason = "there are no spans, so no function is called that adds attributes")]
pub(in crate::hatchet) struct Attributes;

impl Attributes {
    pub(in crate::hatchet) fn text(self, _: &'static str, _: &str) -> Self {
        self
    }

    pub(in crate::hatchet) fn number(self, _: &'static str, _: Option<i64>) -> Self {
        self
    }
}

impl AttemptSpan {
    pub(in crate::hatchet) fn start(_: impl FnOnce(Attributes) -> Attributes, _: Option<&str>) -> Self {
        Self {}
    }

    pub(in crate::hatchet) fn scope<F: Future>(&self, body: F) -> F {
        body
    }

    pub(in crate::hatchet) fn sync_scope<R>(&self, body: impl FnOnce() -> R) -> R {
        body()
    }

    pub(in crate::hatchet) fn parent_scope<F: Future>(&self, call: F) -> F {
        call
    }

    pub(in crate::hatchet) fn end(&self, _: impl FnOnce() -> Option<String>) {}
}

impl CallSpan {
    pub(in crate::hatchet) fn start(_: &'static str, _: impl FnOnce(Attributes) -> Attributes) -> Self {
        Self
    }

    pub(in crate::hatchet) fn run<F: Future>(self, call: F, _: impl FnOnce(&F::Output) -> Option<String>) -> F {
        call
    }
}

pub(in crate::hatchet) fn current_traceparent() -> Option<String> {
    None
}
