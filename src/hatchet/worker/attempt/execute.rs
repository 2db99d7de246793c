//! One attempt, from its assignment to the engine's receipt of its outcome.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, join, maybe_done, select};
use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot},
    time::{Instant, sleep, timeout},
};

use super::{
    body::Started,
    dispatch::{Assignment, Shared},
    report::{self, Terminal},
    table::{AttemptKey, Running},
};
use crate::hatchet::{
    task::{CancelReason, Canceller, Context, Outcome, Task},
    transport::{Backoff, ErrorKind},
    wire::format_duration,
    worker::health::AttemptEnd,
};

/// The engine ends an attempt that runs too long, and says so. Only when it has not, this long after, does the worker
/// do it: the engine's clock checks about once a second, and the deadline may have been extended there.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(5);

/// Before such a timeout is reported the engine is asked for the run's status, again at most this long after a failure.
const LONGEST_LOOK_DELAY: Duration = Duration::from_secs(5);

/// STARTED, which carries its own time, waits this long for the body's end: of a body that is quicker, both reports
/// leave in one packet, which saves a wake-up of each side. Far below what anybody watching a run can see.
const STARTED_HOLD: Duration = Duration::from_millis(1);

/// What is left of an attempt to tell the engine.
enum Verdict {
    /// This outcome.
    Report(Outcome),
    /// That it ran longer than this, its execution timeout, unless the engine knows it already.
    Overdue(Duration),
    /// Nothing: the engine has ended it by itself.
    Nothing,
}

pub(in crate::hatchet::worker) async fn run(shared: Arc<Shared>, mut assignment: Assignment, running: Running) {
    let _registered = ForgetOnDrop { shared: &shared, key: assignment.key };
    let _counted = shared.stats.attempts.one();
    let input = std::mem::replace(&mut assignment.input, Ok(String::new()));
    let task = shared.tasks.get(&assignment.action_id.to_lowercase()).cloned();
    let mut started = pin!(maybe_done(report::started(&shared.client, &assignment)));
    let work = async {
        let verdict = match (&task, input) {
            (None, _) => Verdict::Report(Outcome::fatal(format!(
                "UnknownTask: this worker has no task for the action `{}`, only for {}",
                assignment.action_id,
                shared.tasks.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            ))),
            (_, Err(why)) => {
                Verdict::Report(Outcome::fatal(format!("BadInput: the action's payload cannot be read: {why}")))
            }
            (Some(task), Ok(input)) => run_body(&shared, &assignment, task, input, &running).await,
        };
        running.end();
        shared.stats.ended(task.as_deref(), end_of(&verdict, running.canceller.reason()));
        verdict
    };
    let mut work = pin!(work);
    let verdict = match timeout(STARTED_HOLD, &mut work).await {
        Ok(verdict) => verdict,
        // STARTED only informs, so nothing waits for its answer.
        Err(_) => match select(work, started.as_mut()).await {
            Either::Left((verdict, _)) => verdict,
            Either::Right(((), work)) => work.await,
        },
    };
    // In this order: the first to be polled is the first to be sent.
    join(started, report_end(&shared, &assignment, verdict)).await;
}

/// Tells the engine how the attempt ended, if it is to know.
async fn report_end(shared: &Shared, assignment: &Assignment, verdict: Verdict) {
    let _waiting = shared.stats.reports.one();
    let outcome = match verdict {
        Verdict::Report(outcome) => Some(outcome),
        Verdict::Overdue(limit) => overdue(shared, assignment, limit).await,
        Verdict::Nothing => None,
    };
    if let Some(terminal) = outcome.and_then(|outcome| terminal(outcome, assignment)) {
        report::terminal(&shared.client, &shared.stats, assignment, terminal).await;
    }
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
        (Verdict::Report(_), Some(CancelReason::TimedOut)) => AttemptEnd::TimedOut,
        (Verdict::Report(_), _) => AttemptEnd::Failed,
        (Verdict::Overdue(_), _) | (Verdict::Nothing, Some(CancelReason::TimedOut)) => AttemptEnd::TimedOut,
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
        self.shared.table.remove(self.key);
    }
}

async fn run_body(
    shared: &Arc<Shared>,
    assignment: &Assignment,
    task: &Task,
    input: String,
    running: &Running,
) -> Verdict {
    let canceller = &running.canceller;
    let slots = if task.slot_pool() == "cpu" { &shared.cpu_slots } else { &shared.default_slots };
    // The engine assigns no more than there are slots; a body that outlives its attempt still holds one, though. For the
    // engine the attempt runs since its assignment, so that the wait counts.
    let limit = task.options().execution_timeout;
    let permit = match timeout(limit.saturating_add(TIMEOUT_MARGIN), slot(slots, canceller)).await {
        Ok(Ok(permit)) => permit,
        Ok(Err(reason)) => return after_cancel(Outcome::Cancelled, reason),
        Err(_) => {
            canceller.cancel(CancelReason::TimedOut);
            return Verdict::Overdue(limit);
        }
    };
    let (ctx, emissions) = Context::for_attempt(assignment.info.clone(), canceller.clone());
    let mut body = Started::new(shared, task, input, ctx.clone(), &running.polls);
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
        () = sleep(task.options().execution_timeout.saturating_add(TIMEOUT_MARGIN)) => {
            canceller.cancel(CancelReason::TimedOut);
            CancelReason::TimedOut
        }
    };
    let (run, name) = (assignment.key.0, task.name());
    let overdue = Verdict::Overdue(task.options().execution_timeout);
    let outcome = match timeout(shared.cancel_grace, body.outcome()).await {
        Ok(outcome) => outcome,
        Err(_) if body.abort() => {
            tracing::warn!(%run, task = name, grace = ?shared.cancel_grace, "dropped: it did not end within the grace after its cancellation ({reason})");
            body.outcome().await
        }
        Err(_) => {
            shared.stats.cancellations_ignored.add(1);
            tracing::warn!(%run, task = name, "ignores its cancellation ({reason}) and keeps its slot: call ctx.check_cancelled()? in its loop");
            if reason == CancelReason::TimedOut {
                // The run need not wait for the body.
                join(report_end(shared, assignment, overdue), body.outcome()).await;
                return Verdict::Nothing;
            }
            body.outcome().await
        }
    };
    match reason {
        CancelReason::TimedOut => overdue,
        CancelReason::Requested | CancelReason::Shutdown => after_cancel(outcome, reason),
    }
}

/// What to report of an attempt that the worker ended for its timeout: a failure, unless the engine has ended it in the
/// meantime and the word of it was lost, as with the link. A failure would be written over the end that it has there;
/// one that comes after a retry was made is of another attempt, and passed over. So the engine is asked until it answers,
/// for up to [`report::OUTCOME_PATIENCE`]. Details that are too large to be received are an answer as well: the run has an
/// output there, so it has ended.
async fn overdue(shared: &Shared, assignment: &Assignment, limit: Duration) -> Option<Outcome> {
    let run = shared.client.run(assignment.key.0);
    let give_up = Instant::now() + report::OUTCOME_PATIENCE;
    let mut waits = Backoff::new(Duration::from_millis(50), LONGEST_LOOK_DELAY);
    loop {
        match run.details_once().await {
            Ok(details) if details.done => return None,
            Err(error) if error.kind() == ErrorKind::TooLarge => return None,
            Err(error) if error.is_temporary() && Instant::now() < give_up => sleep(waits.next_delay()).await,
            // Where it refuses to say, it takes the report or counts as lost.
            Ok(_) | Err(_) => break,
        }
    }
    let error = format!(
        "TimedOut: the attempt ran longer than its execution timeout of {}; the engine had not ended it {} later, so the \
         worker did",
        format_duration(limit),
        format_duration(TIMEOUT_MARGIN)
    );
    Some(Outcome::Failed { error, may_retry: true })
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
