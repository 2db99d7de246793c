//! A running body, on the executor for its kind.

use std::any::Any;

use tokio::{
    sync::oneshot,
    task::{JoinError, JoinHandle},
};
use tokio_util::task::AbortOnDropHandle;

use super::{resources::WorkerResources, table::PollClock};
use crate::hatchet::task::{AttemptInput, Body, Context, ErasedTask, Hooks, Outcome};

/// A started body.
pub(super) enum RunningBody {
    /// Aborted when the attempt is dropped.
    Async(AbortOnDropHandle<Outcome>),
    Blocking(JoinHandle<Outcome>),
    Cpu(oneshot::Receiver<Result<Outcome, Box<dyn Any + Send>>>),
    Ended(Outcome),
}

impl RunningBody {
    /// Submits the body to its executor. The input is decoded there too, since decoding may panic.
    pub(super) fn start(
        resources: &WorkerResources,
        task: &ErasedTask,
        input: AttemptInput,
        ctx: Context,
        poll_clock: &PollClock,
    ) -> Self {
        let queued = resources.counters.body_queued(task.kind());
        let hooks = resources.hooks.clone();
        match task.body().clone() {
            Body::Async(body) => {
                let running = Box::pin(ctx.clone().scope(async move {
                    drop(queued);
                    let hooks = hooks.start(&ctx);
                    hooks.end(body(input, ctx).await)
                }));
                let timed = poll_clock.time(running, resources.start);
                Self::Async(AbortOnDropHandle::new(resources.body_runtime.spawn(timed)))
            }
            Body::Blocking(body) => Self::Blocking(resources.body_runtime.spawn_blocking(move || {
                drop(queued);
                on_thread(&hooks, ctx, |ctx| body(input, ctx))
            })),
            Body::Cpu(body) => match &resources.cpu_pool {
                Some(pool) => Self::Cpu(pool.spawn(move || {
                    drop(queued);
                    on_thread(&hooks, ctx, |ctx| body(input, ctx))
                })),
                None => Self::Ended(Outcome::fatal("NoCpuPool", "this worker has no threads for CPU tasks")),
            },
        }
    }

    /// Waits for the outcome of the body. Cancel safe: the call may be dropped and repeated.
    pub(super) async fn outcome(&mut self) -> Outcome {
        let outcome = match self {
            Self::Async(body) => join_outcome(body.await),
            Self::Blocking(body) => join_outcome(body.await),
            Self::Cpu(body) => match body.await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => Outcome::panicked(&*panic),
                Err(_) => Outcome::Cancelled,
            },
            Self::Ended(outcome) => return outcome.clone(),
        };
        *self = Self::Ended(outcome.clone());
        outcome
    }

    /// Drops an async body at its next await. Returns false for a running body on a thread, which cannot be stopped
    /// from outside.
    pub(super) fn abort(&self) -> bool {
        match self {
            Self::Async(body) => {
                body.abort();
                true
            }
            Self::Blocking(_) | Self::Cpu(_) => false,
            Self::Ended(_) => true,
        }
    }
}

/// Runs a body on the current thread, with its hooks.
fn on_thread(hooks: &Hooks, ctx: Context, body: impl FnOnce(Context) -> Outcome) -> Outcome {
    ctx.clone().sync_scope(|| {
        let hooks = hooks.start(&ctx);
        hooks.end(body(ctx))
    })
}

fn join_outcome(result: Result<Outcome, JoinError>) -> Outcome {
    match result.map_err(JoinError::try_into_panic) {
        Ok(outcome) => outcome,
        Err(Ok(panic)) => Outcome::panicked(&*panic),
        // Aborted, or its runtime was shut down.
        Err(Err(_)) => Outcome::Cancelled,
    }
}
