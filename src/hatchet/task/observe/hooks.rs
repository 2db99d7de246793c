//! Functions that a worker calls before and after each body.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::hatchet::task::{Context, Outcome};

/// A body that has ended. Passed to the functions of
/// [`Worker::after_attempt`](crate::hatchet::worker::Worker::after_attempt).
#[derive(Debug)]
#[non_exhaustive]
pub struct AttemptReport<'a> {
    /// The attempt: its task, run and number.
    pub ctx: &'a Context,
    /// The time that the body has taken.
    pub duration: Duration,
    /// The end of the body.
    pub outcome: AttemptOutcome<'a>,
}

/// The end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttemptOutcome<'a> {
    /// It returned an output.
    Completed,
    /// It returned an error.
    #[non_exhaustive]
    Failed {
        /// The error text: type, message, causes.
        error: &'a str,
        /// Whether the attempt may be retried, if the task has retries left.
        may_retry: bool,
    },
    /// It stopped because it was cancelled, or was dropped after its cancellation.
    Cancelled,
    /// It panicked.
    Panicked,
}

type Before = Arc<dyn Fn(&Context) + Send + Sync>;
type After = Arc<dyn Fn(&AttemptReport<'_>) + Send + Sync>;

/// The functions of a worker. Cheap to clone.
#[derive(Clone, Default)]
pub(in crate::hatchet) struct Hooks {
    before: Vec<Before>,
    after: Vec<After>,
}

impl Hooks {
    pub(in crate::hatchet) fn add_before(&mut self, hook: impl Fn(&Context) + Send + Sync + 'static) {
        self.before.push(Arc::new(hook));
    }

    pub(in crate::hatchet) fn add_after(&mut self, hook: impl Fn(&AttemptReport<'_>) + Send + Sync + 'static) {
        self.after.push(Arc::new(hook));
    }

    /// Calls the functions before a body. The returned guard calls the functions after it.
    pub(in crate::hatchet) fn start(&self, ctx: &Context) -> RunningHooks {
        self.before.iter().for_each(|hook| hook(ctx));
        RunningHooks { after: self.after.clone(), ctx: ctx.clone(), started: Instant::now(), is_ended: false }
    }
}

/// Calls the functions after a body: with its outcome, or on drop for a body that panicked or was dropped.
pub(in crate::hatchet) struct RunningHooks {
    after: Vec<After>,
    ctx: Context,
    started: Instant,
    is_ended: bool,
}

impl RunningHooks {
    /// Reports the outcome of the body, and returns it.
    pub(in crate::hatchet) fn end(mut self, outcome: Outcome) -> Outcome {
        self.is_ended = true;
        self.report(match &outcome {
            Outcome::Completed(_) => AttemptOutcome::Completed,
            Outcome::Failed { error, may_retry, .. } => AttemptOutcome::Failed { error, may_retry: *may_retry },
            Outcome::Cancelled => AttemptOutcome::Cancelled,
        });
        outcome
    }

    fn report(&self, outcome: AttemptOutcome<'_>) {
        let report = AttemptReport { ctx: &self.ctx, duration: self.started.elapsed(), outcome };
        self.after.iter().for_each(|hook| hook(&report));
    }
}

impl Drop for RunningHooks {
    fn drop(&mut self) {
        if !self.is_ended {
            let panicked = std::thread::panicking();
            let outcome = if panicked { AttemptOutcome::Panicked } else { AttemptOutcome::Cancelled };
            // A second panic during a panic would abort the process.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| self.report(outcome)));
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("before", &self.before.len()).field("after", &self.after.len()).finish()
    }
}
