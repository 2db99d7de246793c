//! One attempt, from its assignment to the engine's receipt of its outcome.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, join, maybe_done, select};
use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot},
    time::{Instant, sleep, timeout},
};

use tokio_util::task::AbortOnDropHandle;

use super::{
    dispatch::{Assignment, AttemptKey, Shared},
    report::{self, Terminal},
    stats::AttemptEnd,
    watchdog::PollClock,
};
use crate::hatchet::task::{Body, CancelReason, Canceller, Context, Outcome, Task, panic_message};

/// The engine ends an attempt that runs too long, and says so. Only when it has not, this long after, does the worker
/// do it: the engine's clock checks about once a second, and the deadline may have been extended there.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(5);

/// STARTED, which carries its own time, waits this long for the body's end: of a body that is quicker, both reports
/// leave in one packet, which saves a wake-up of each side. Far below what anybody watching a run can see.
const STARTED_HOLD: Duration = Duration::from_millis(1);

/// What is left of an attempt to tell the engine.
enum Verdict {
    /// This outcome.
    Report(Outcome),
    /// Nothing: the engine has ended it by itself.
    Nothing,
}

pub(super) async fn run(shared: Arc<Shared>, assignment: Assignment, canceller: Canceller, polls: PollClock) {
    let _registered = ForgetOnDrop { shared: &shared, key: assignment.key };
    let _counted = shared.stats.attempts.one();
    let task = shared.tasks.get(&assignment.action_id.to_lowercase()).cloned();
    let mut started = pin!(maybe_done(report::started(&shared.client, &assignment)));
    let work = async {
        let verdict = match (&task, &assignment.input) {
            (None, _) => Verdict::Report(Outcome::fatal(format!(
                "UnknownTask: this worker has no task for the action `{}`, only for {}",
                assignment.action_id,
                shared.tasks.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            ))),
            (_, Err(why)) => {
                Verdict::Report(Outcome::fatal(format!("BadInput: the action's payload cannot be read: {why}")))
            }
            (Some(task), Ok(input)) => run_body(&shared, &assignment, task, input.clone(), &canceller, &polls).await,
        };
        shared.stats.ended(task.as_deref(), end_of(&verdict, canceller.reason()));
        match verdict {
            Verdict::Report(outcome) => terminal(outcome, &assignment),
            Verdict::Nothing => None,
        }
    };
    let mut work = pin!(work);
    let terminal = match timeout(STARTED_HOLD, &mut work).await {
        Ok(terminal) => terminal,
        // STARTED only informs, so nothing waits for its answer.
        Err(_) => match select(work, started.as_mut()).await {
            Either::Left((terminal, _)) => terminal,
            Either::Right(((), work)) => work.await,
        },
    };
    let report = async {
        if let Some(terminal) = terminal {
            let _waiting = shared.stats.reports.one();
            report::terminal(&shared.client, &shared.stats, &assignment, terminal).await;
        }
    };
    // In this order: the first to be polled is the first to be sent.
    join(started, report).await;
}

/// What to tell of an outcome, if anything.
fn terminal(outcome: Outcome, assignment: &Assignment) -> Option<Terminal> {
    match outcome {
        Outcome::Completed(output) => Some(Terminal::Completed(output)),
        // The second line is for readers that take the first for the message, as the Python SDK's does.
        Outcome::Failed { error, may_retry } => Some(Terminal::Failed {
            error: format!(
                "{error}\n    in task {}, attempt {}",
                assignment.info.task_name,
                assignment.info.retry_count.saturating_add(1)
            ),
            may_retry,
        }),
        Outcome::Cancelled => None,
    }
}

fn end_of(verdict: &Verdict, reason: Option<CancelReason>) -> AttemptEnd {
    match (verdict, reason) {
        (Verdict::Report(Outcome::Completed(_)), _) => AttemptEnd::Completed,
        (Verdict::Report(Outcome::Failed { may_retry: false, .. }), _) => AttemptEnd::Fatal,
        (Verdict::Report(_), Some(CancelReason::Shutdown)) => AttemptEnd::Shutdown,
        (Verdict::Report(_), _) => AttemptEnd::Failed,
        (Verdict::Nothing, Some(CancelReason::TimedOut)) => AttemptEnd::TimedOut,
        (Verdict::Nothing, _) => AttemptEnd::Cancelled,
    }
}

/// Takes the attempt off the table whatever way it ends.
struct ForgetOnDrop<'a> {
    shared: &'a Shared,
    key: AttemptKey,
}

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        self.shared.forget(self.key);
    }
}

async fn run_body(
    shared: &Arc<Shared>,
    assignment: &Assignment,
    task: &Task,
    input: String,
    canceller: &Canceller,
    polls: &PollClock,
) -> Verdict {
    let slots = if task.slot_type() == "cpu" { &shared.cpu_slots } else { &shared.default_slots };
    // The engine assigns no more than there are slots; a body that outlives its attempt still holds one, though.
    let permit = match slot(slots, canceller).await {
        Ok(permit) => permit,
        Err(reason) => return after_cancel(Outcome::Cancelled, reason),
    };
    let (ctx, emissions) = Context::for_attempt(assignment.info.clone(), canceller.clone());
    let mut body = Started::new(shared, task, input, ctx.clone(), polls);
    let finished = oneshot::channel::<()>();
    let begun = Instant::now();
    let supervised = async {
        let verdict = supervise(shared, assignment, task, &mut body, canceller).await;
        shared.stats.took(task, begun.elapsed());
        let _ = finished.0.send(());
        verdict
    };
    let pumped = report::pump(&shared.client, &shared.stats, assignment, emissions, finished.1);
    let (verdict, ()) = tokio::join!(supervised, pumped);
    if ctx.lost_lines() > 0 {
        shared.stats.lines_lost.add(ctx.lost_lines());
        tracing::warn!(run = %assignment.key.0, lines = ctx.lost_lines(), "log lines were dropped: they came faster than the engine takes them");
    }
    drop(permit);
    verdict
}

async fn slot<'a>(slots: &'a Semaphore, canceller: &Canceller) -> Result<SemaphorePermit<'a>, CancelReason> {
    tokio::select! {
        biased;
        // The semaphore is never closed.
        Ok(permit) = slots.acquire() => Ok(permit),
        reason = canceller.cancelled() => Err(reason),
    }
}

/// Follows a body to its end, through cancellation and timeout.
async fn supervise(
    shared: &Shared,
    assignment: &Assignment,
    task: &Task,
    body: &mut Started,
    canceller: &Canceller,
) -> Verdict {
    let reason = tokio::select! {
        biased;
        outcome = body.outcome() => return match (outcome, canceller.reason()) {
            (Outcome::Cancelled, Some(reason)) => after_cancel(Outcome::Cancelled, reason),
            // The body says that it was cancelled and was not: without a report the run would wait for its timeout.
            (Outcome::Cancelled, None) => Verdict::Report(Outcome::Failed {
                error: "Cancelled: the task stopped as if cancelled, but nobody had cancelled it".to_owned(),
                may_retry: true,
            }),
            (outcome, Some(reason)) => after_cancel(outcome, reason),
            (outcome, None) => Verdict::Report(outcome),
        },
        reason = canceller.cancelled() => reason,
        () = sleep(task.options().execution_timeout + TIMEOUT_MARGIN) => {
            canceller.cancel(CancelReason::TimedOut);
            CancelReason::TimedOut
        }
    };
    if let Ok(outcome) = timeout(shared.cancel_grace, body.outcome()).await {
        return after_cancel(outcome, reason);
    }
    let (run, name) = (assignment.key.0, task.name());
    if body.abort() {
        tracing::warn!(%run, task = name, grace = ?shared.cancel_grace, "dropped: it did not end within the grace after its cancellation ({reason})");
    } else {
        tracing::warn!(%run, task = name, "ignores its cancellation ({reason}) and keeps its slot: call ctx.check_cancelled()? in its loop");
    }
    after_cancel(body.outcome().await, reason)
}

/// What to report of a body that was asked to stop.
fn after_cancel(outcome: Outcome, reason: CancelReason) -> Verdict {
    match (reason, outcome) {
        // The engine has given the attempt its end already, and a late report would change it.
        (CancelReason::Requested | CancelReason::TimedOut, _) => Verdict::Nothing,
        (CancelReason::Shutdown, Outcome::Cancelled) => Verdict::Report(cut_by_shutdown()),
        (CancelReason::Shutdown, outcome) => Verdict::Report(outcome),
    }
}

/// A failure that may be retried: the task has done nothing wrong.
fn cut_by_shutdown() -> Outcome {
    Outcome::Failed { error: "Shutdown: the worker was stopped before the task had ended".to_owned(), may_retry: true }
}

/// A body that runs.
enum Started {
    /// Dropped with its attempt, as when the worker is abandoned.
    Async(AbortOnDropHandle<Outcome>),
    Blocking(tokio::task::JoinHandle<Outcome>),
    Cpu(oneshot::Receiver<Result<Outcome, Box<dyn std::any::Any + Send>>>),
    Ended(Outcome),
}

impl Started {
    fn new(shared: &Shared, task: &Task, input: String, ctx: Context, polls: &PollClock) -> Self {
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
                None => Self::Ended(Outcome::fatal("NoCpuPool: this worker has no threads for CPU tasks")),
            },
        }
    }

    /// How the body ended. May be asked again after it was given up half-way.
    async fn outcome(&mut self) -> Outcome {
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
    fn abort(&self) -> bool {
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
    Outcome::Failed { error: panic_message(panic), may_retry: true }
}
