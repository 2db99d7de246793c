//! Executes one attempt: waits for a slot, runs the body, and reports the outcome.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::{Either, join, maybe_done, select};
use tokio::{
    sync::{Semaphore, SemaphorePermit, oneshot},
    time::{Instant, timeout},
};

use super::{
    assignment::Assignment,
    body::RunningBody,
    control::{self, Adjustable},
    emissions,
    outcome::{PendingReport, TIMEOUT_MARGIN, classify_end, report_outcome},
    report,
    resources::{RegisteredTask, WorkerResources},
    span,
    supervise::{report_after_cancellation, supervise},
    table::{AttemptKey, RunningAttempt},
};
use crate::hatchet::{
    task::{AttemptInput, AttemptSpan, CancelReason, Canceller, Context, Outcome},
    wire::RunId,
    worker::{
        children::{ChildrenToCancel, cancel_with_parent},
        run_log,
    },
};

/// Delay of the STARTED report, which contains its own timestamp. If the body ends within this time, both reports are
/// sent in one packet, which saves a wake-up on each side. Observers of the run do not notice the delay.
const STARTED_DELAY: Duration = Duration::from_millis(1);

/// Runs the body of an assignment and reports its start and its outcome.
pub(super) async fn execute(resources: Arc<WorkerResources>, mut assignment: Assignment, attempt: RunningAttempt) {
    let _entry = TableEntryGuard { resources: &resources, key: assignment.key };
    let _counted = resources.counters.attempts.enter();
    let input = std::mem::replace(&mut assignment.input, Ok(AttemptInput::default()));
    let registered = resources.task(&assignment.action_id);
    if let Ok(registered) = &registered {
        assignment.info.max_attempts = registered.task.options().retries.saturating_add(1);
    }
    let span = span::start(&assignment, &resources.client.config().namespace);
    let mut started = pin!(maybe_done(report::send_started(&resources.client, &assignment)));
    let mut work = pin!(async {
        let (report, duration) = match (&registered, input) {
            (Err(unknown_task), _) => (PendingReport::Outcome(Outcome::fatal("UnknownTask", unknown_task)), None),
            (_, Err(cause)) => {
                let cause = format!("the action's payload cannot be read: {cause}");
                (PendingReport::Outcome(Outcome::fatal("BadInput", &cause)), None)
            }
            (Ok(registered), Ok(input)) => run_body(&resources, &assignment, registered, input, &attempt, &span).await,
        };
        attempt.set_body_finished();
        let task = registered.as_ref().ok().map(|registered| &*registered.task);
        let end = classify_end(&report, attempt.canceller.reason());
        resources.counters.attempt_finished(task, end);
        run_log::finished(&assignment.info, end, duration, report.error());
        span::end(&span, end, report.error());
        report
    });
    let report = match timeout(STARTED_DELAY, &mut work).await {
        Ok(report) => report,
        // STARTED is informative, so the body does not wait for its response.
        Err(_) => match select(work, started.as_mut()).await {
            Either::Left((report, _)) => report,
            Either::Right(((), work)) => work.await,
        },
    };
    // `join` polls in this order, so STARTED is sent first.
    join(started, report_outcome(&resources, &assignment, report)).await;
}

/// Removes the attempt from the table on drop.
struct TableEntryGuard<'a> {
    resources: &'a WorkerResources,
    key: AttemptKey,
}

impl Drop for TableEntryGuard<'_> {
    fn drop(&mut self) {
        self.resources.table.remove(self.key);
    }
}

/// Waits for a slot, then runs the body and sends its log lines and chunks. Also returns the duration of the body;
/// `None` if it did not start.
async fn run_body(
    resources: &WorkerResources,
    assignment: &Assignment,
    RegisteredTask { task, slots }: &RegisteredTask,
    input: AttemptInput,
    attempt: &RunningAttempt,
    span: &AttemptSpan,
) -> (PendingReport, Option<Duration>) {
    let canceller = &attempt.canceller;
    // The engine assigns at most as many attempts as the worker has slots, but a body that outlives its attempt keeps
    // its slot. In the engine an attempt runs from its assignment on, so the wait counts towards the execution timeout.
    let limit = task.options().execution_timeout;
    let permit = match timeout(
        limit.saturating_add(TIMEOUT_MARGIN),
        acquire_slots(slots, task.options().slots, canceller),
    )
    .await
    {
        Ok(Ok(permit)) => permit,
        Ok(Err(reason)) => {
            cancel_children(resources, assignment, canceller, Vec::new()).await;
            return (report_after_cancellation(Outcome::Cancelled, reason), None);
        }
        Err(_) => {
            canceller.cancel(CancelReason::TimedOut);
            return (PendingReport::Timeout(limit), None);
        }
    };
    let (info, children) = (assignment.info.clone(), resources.children.clone());
    let (ctx, emitted) = Context::for_attempt(info, span.clone(), canceller.clone(), children);
    run_log::started(&assignment.info);
    let adjustable = Adjustable::new(permit);
    let controlled = control::serve(resources, assignment, ctx.take_controls(), &adjustable);
    let mut body = RunningBody::start(resources, task, input, ctx.clone(), &attempt.poll_clock);
    let (finished, body_finished) = oneshot::channel::<()>();
    let started = Instant::now();
    let supervised = async {
        let report = supervise(resources, assignment, task, &mut body, canceller, &adjustable);
        let report = tokio::select! {
            report = report => report,
            never = controlled => match never {},
        };
        let duration = started.elapsed();
        resources.counters.record_duration(task, duration);
        let _ = finished.send(());
        (report, Some(duration))
    };
    let forwarded = emissions::forward(resources, assignment, emitted, body_finished);
    let (result, ()) = tokio::join!(supervised, forwarded);
    if ctx.lost_lines() > 0 {
        resources.counters.lines_lost.add(ctx.lost_lines());
        tracing::warn!(
            run = %assignment.key.0,
            lines = ctx.lost_lines(),
            "dropped log lines: the body writes faster than the engine accepts them"
        );
    }
    drop(adjustable);
    cancel_children(resources, assignment, canceller, ctx.children().started()).await;
    result
}

/// Cancels the children of an attempt that was cancelled by request, those of earlier attempts included.
async fn cancel_children(
    resources: &WorkerResources,
    assignment: &Assignment,
    canceller: &Canceller,
    started: Vec<RunId>,
) {
    let children = ChildrenToCancel { started, has_earlier_attempts: assignment.info.retry_count > 0 };
    let may_have_children = children.has_earlier_attempts || !children.started.is_empty();
    if canceller.reason() == Some(CancelReason::Requested) && may_have_children {
        cancel_with_parent(resources.client.clone(), assignment.key.0, children).await;
    }
}

async fn acquire_slots<'a>(
    slots: &'a Semaphore,
    number: u32,
    canceller: &Canceller,
) -> Result<SemaphorePermit<'a>, CancelReason> {
    tokio::select! {
        biased;
        // The semaphore is never closed.
        Ok(permit) = slots.acquire_many(number) => Ok(permit),
        reason = canceller.cancelled() => Err(reason),
    }
}
