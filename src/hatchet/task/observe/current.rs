//! The attempt whose body runs on the current thread.

use crate::hatchet::task::Context;

tokio::task_local! {
    static CURRENT: Context;
}

impl Context {
    /// Returns the context of the attempt whose body makes this call; `None` outside of a body.
    ///
    /// Tasks that the body spawns with `tokio::spawn`, and threads that it starts, are outside: give them a clone of
    /// the context.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    /// Calls a function with the current context, unless there is none.
    pub(in crate::hatchet) fn with_current<R>(call: impl FnOnce(&Self) -> R) -> Option<R> {
        CURRENT.try_with(call).ok()
    }

    /// Makes this context and its span the current ones while the future is polled.
    pub(in crate::hatchet) fn scope<F: Future>(self, body: F) -> impl Future<Output = F::Output> {
        let body = self.span().scope(body);
        CURRENT.scope(self, body)
    }

    /// Makes this context and its span the current ones during the call.
    pub(in crate::hatchet) fn sync_scope<R>(self, body: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self.clone(), || self.span().sync_scope(body))
    }
}
