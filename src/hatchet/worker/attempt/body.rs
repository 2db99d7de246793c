//! A body that runs, on whichever threads its kind runs on.

use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

use super::dispatch::Shared;
use crate::hatchet::task::{Body, Context, ErasedTask, Outcome};
use crate::hatchet::worker::watchdog::PollClock;

/// A body that runs.
pub(in crate::hatchet::worker) enum Started {
    /// Dropped with its attempt, as when the worker is abandoned.
    Async(AbortOnDropHandle<Outcome>),
    Blocking(tokio::task::JoinHandle<Outcome>),
    Cpu(oneshot::Receiver<Result<Outcome, Box<dyn std::any::Any + Send>>>),
    Ended(Outcome),
}

impl Started {
    pub(in crate::hatchet::worker) fn new(
        shared: &Shared,
        task: &ErasedTask,
        input: String,
        ctx: Context,
        polls: &PollClock,
    ) -> Self {
        let queued = shared.stats.queued(task.kind());
        match task.body().clone() {
            // Called inside the task, since decoding may panic as well as the body.
            Body::Async(body) => {
                let running = Box::pin(async move {
                    drop(queued);
                    body(input, ctx).await
                });
                Self::Async(AbortOnDropHandle::new(shared.bodies.spawn(polls.time(running, shared.start))))
            }
            Body::Blocking(body) => Self::Blocking(shared.bodies.spawn_blocking(move || {
                drop(queued);
                body(input, ctx)
            })),
            Body::Cpu(body) => match &shared.cpu {
                Some(pool) => Self::Cpu(pool.spawn(move || {
                    drop(queued);
                    body(input, ctx)
                })),
                None => Self::Ended(Outcome::fatal("NoCpuPool", "this worker has no threads for CPU tasks")),
            },
        }
    }

    /// How the body ended. May be asked again after it was given up half-way.
    pub(in crate::hatchet::worker) async fn outcome(&mut self) -> Outcome {
        let outcome = match self {
            Self::Async(body) => joined(body.await),
            Self::Blocking(body) => joined(body.await),
            Self::Cpu(body) => match body.await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(panic)) => panicked(&*panic),
                Err(_) => Outcome::Cancelled,
            },
            Self::Ended(outcome) => return outcome.clone(),
        };
        *self = Self::Ended(outcome.clone());
        outcome
    }

    /// Drops an async body at its next await; a thread cannot be stopped from outside.
    pub(in crate::hatchet::worker) fn abort(&self) -> bool {
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

fn joined(result: Result<Outcome, tokio::task::JoinError>) -> Outcome {
    match result.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(outcome) => outcome,
        Err(Ok(panic)) => panicked(&*panic),
        // Aborted, or its runtime is gone.
        Err(Err(_)) => Outcome::Cancelled,
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Outcome {
    Outcome::panicked(panic)
}
