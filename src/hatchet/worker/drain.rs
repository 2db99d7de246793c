//! Drains a worker: stops the intake of work, waits for running attempts, cancels the others.
//!
//! ```text
//!  1. stop the intake    pause the workers over REST, or close the streams
//!  2. wait               running attempts finish within the grace period (default 25 s)
//!  3. cancel the work    the attempts that still run, with the reason `Shutdown`
//!  4. wait               bodies end and outcomes are acknowledged, within the cancellation grace plus LINGER
//! ```
//!
//! A drain without outstanding attempts is complete after step 2. The caller unsubscribes the workers and closes the
//! streams afterwards.
//!
//! A paused worker has open streams, so cancellations still arrive and heartbeats are still accepted. Without REST the
//! streams are closed instead. The engine considers a worker dead 30 s after its stream was closed and reassigns its
//! attempts, so the grace period is then limited to [`MAX_CLOSED_STREAM_GRACE`].

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    attempt::{AttemptTable, Outstanding, WorkerResources},
    name_list::list_names,
    session::SessionStates,
    state::RegisteredWorker,
};
use crate::hatchet::{task::CancelReason, wire::readable_duration};

/// Timeout of pausing the workers over REST.
const PAUSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time without attempts after which the worker is idle. An assignment made just before the pause arrives within about
/// 50 ms. If the stream were closed by then, its run would wait 30 s for another worker.
const IDLE_AFTER: Duration = Duration::from_millis(400);
/// Time for bodies to end and outcomes to be acknowledged after the cancellation, in addition to the cancellation
/// grace.
const LINGER: Duration = Duration::from_secs(4);
/// Maximum grace period after the streams were closed. Leaves time to report before the engine reassigns the attempts.
const MAX_CLOSED_STREAM_GRACE: Duration = Duration::from_secs(20);

/// The result of a drain. Each attempt is listed as `task (run id)`.
///
/// A cancelled attempt was reported, unless it is in one of the other lists as well. The engine reassigns those
/// attempts 30 s after the last heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainOutcome {
    /// Attempts that were cancelled at the end of the grace period.
    pub cancelled: Vec<String>,
    /// Attempts whose body ignored its cancellation and was still running at the end.
    pub still_running: Vec<String>,
    /// Attempts whose body had finished and whose outcome the engine had not acknowledged at the end.
    pub unreported: Vec<String>,
}

/// Drains the worker. `intake_stopped` closes the streams if the workers cannot be paused.
pub(super) async fn drain(
    resources: &Arc<WorkerResources>,
    states: &SessionStates,
    intake_stopped: &CancellationToken,
    grace: Duration,
) -> DrainOutcome {
    let started = Instant::now();
    stop_intake(resources, &states.workers(), intake_stopped).await;

    let grace = if intake_stopped.is_cancelled() { limit_grace(grace, started) } else { grace };
    let remaining = grace.saturating_sub(started.elapsed());
    if timeout(remaining, wait_until_idle(&resources.table)).await.is_ok() || resources.table.len() == 0 {
        return DrainOutcome::default();
    }

    let linger = resources.cancel_grace.saturating_add(LINGER);
    let Outstanding { running: cancelled, unreported } = resources.table.outstanding();
    warn_grace_ended(grace, linger, &cancelled, &unreported);
    resources.table.cancel_all(CancelReason::Shutdown);

    // Attempts that are still outstanding afterwards are in the outcome.
    let _ = timeout(linger, resources.table.wait_until_empty()).await;
    let Outstanding { running: still_running, unreported } = resources.table.outstanding();
    DrainOutcome { cancelled, still_running, unreported }
}

/// Pauses the workers, or closes all streams if a worker cannot be paused.
async fn stop_intake(
    resources: &Arc<WorkerResources>,
    workers: &[RegisteredWorker],
    intake_stopped: &CancellationToken,
) {
    let cause = match resources.client.rest() {
        None => "the REST address is unknown, set HATCHET_CLIENT_SERVER_URL".to_owned(),
        Some(rest) => {
            let pauses = workers.iter().map(|worker| rest.pause_worker(worker.id, true));
            match timeout(PAUSE_TIMEOUT, try_join_all(pauses)).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no response within {}", readable_duration(PAUSE_TIMEOUT)),
            }
        }
    };
    tracing::warn!("the worker cannot be paused, closing its stream instead: {cause}");
    intake_stopped.cancel();
}

/// Limits the grace period after the streams were closed. The time since `started` does not count towards the limit.
fn limit_grace(grace: Duration, started: Instant) -> Duration {
    let limit = MAX_CLOSED_STREAM_GRACE + started.elapsed();
    if grace <= limit {
        return grace;
    }
    tracing::warn!(
        "the grace period of {} is reduced to {}: the engine reassigns attempts after 30s without a stream",
        readable_duration(grace),
        readable_duration(MAX_CLOSED_STREAM_GRACE)
    );
    limit
}

/// Waits until there has been no attempt for [`IDLE_AFTER`].
async fn wait_until_idle(table: &AttemptTable) {
    loop {
        table.wait_until_empty().await;
        sleep(IDLE_AFTER).await;
        if table.len() == 0 {
            return;
        }
    }
}

fn warn_grace_ended(grace: Duration, linger: Duration, running: &[String], unreported: &[String]) {
    let grace = readable_duration(grace);
    if !running.is_empty() {
        tracing::warn!("the grace period of {grace} has ended, cancelling {}", list_names(running));
    }
    if !unreported.is_empty() {
        tracing::warn!(
            "the grace period of {grace} has ended, and the engine has not acknowledged the outcome of {}: retrying for \
             another {}",
            list_names(unreported),
            readable_duration(linger)
        );
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::watch, task::yield_now, time::advance};

    use super::*;
    use crate::hatchet::{
        client::Client,
        task::Hooks,
        transport::fixtures::config,
        wire::{RunId, WorkerId},
        worker::{
            attempt::RunningAttempt,
            health::Counters,
            options::WorkerOptions,
            state::{Registration, WorkerState},
        },
    };

    /// Runs every ready task.
    async fn run_ready_tasks() {
        for _ in 0..10 {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_wait_covers_an_assignment_in_flight() {
        let table = Arc::new(AttemptTable::default());
        let waiting = tokio::spawn({
            let table = table.clone();
            async move { wait_until_idle(&table).await }
        });
        run_ready_tasks().await;
        assert!(!waiting.is_finished(), "an assignment may be in flight");
        advance(IDLE_AFTER - Duration::from_millis(1)).await;
        run_ready_tasks().await;
        let late = (RunId::random(), 0);
        assert!(table.insert(late, RunningAttempt::new("late".to_owned())));
        advance(Duration::from_secs(600)).await;
        run_ready_tasks().await;
        assert!(!waiting.is_finished(), "the late attempt is running");
        table.remove(late);
        run_ready_tasks().await;
        assert!(!waiting.is_finished(), "another assignment may be in flight");
        advance(IDLE_AFTER).await;
        run_ready_tasks().await;
        assert!(waiting.is_finished());
    }

    /// Returns the resources of a worker without a REST address. No call is made.
    fn resources_without_rest() -> Arc<WorkerResources> {
        let client = Client::new(config("127.0.0.1:9".to_owned())).unwrap();
        assert!(client.rest().is_none());
        let options = WorkerOptions::default();
        let counters = Arc::new(Counters::new(&[], &options, watch::channel(WorkerState::Draining).1));
        let bodies = tokio::runtime::Handle::current();
        Arc::new(WorkerResources::new(client, &[], &options, counters, bodies, None, Hooks::default()).unwrap())
    }

    /// Returns the states of a draining process with one worker.
    fn states(resources: &Arc<WorkerResources>) -> SessionStates {
        let worker = RegisteredWorker { id: WorkerId::random(), name: "w".to_owned(), slots: 1 };
        let registration = Registration { workers: vec![worker], engine_version: String::new() };
        SessionStates::new(registration, watch::Sender::new(WorkerState::Draining), resources.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn unreported_outcome_is_listed_apart_from_running_body() {
        let resources = resources_without_rest();
        let [ignoring, ending, reporting] = ["ignoring", "ending", "reporting"].map(|task| {
            let (key, attempt) = ((RunId::random(), 0), RunningAttempt::new(task.to_owned()));
            assert!(resources.table.insert(key, attempt.clone()));
            (key, attempt, format!("{task} ({})", key.0))
        });
        reporting.1.set_body_finished();
        let states = states(&resources);
        let draining = tokio::spawn({
            let resources = resources.clone();
            async move { drain(&resources, &states, &CancellationToken::new(), Duration::from_secs(1)).await }
        });
        ending.1.canceller.cancelled().await;
        // Its body ends, and its outcome is never acknowledged.
        ending.1.set_body_finished();
        let outcome = draining.await.unwrap();
        assert_eq!(outcome.cancelled, [ending.2.clone(), ignoring.2.clone()]);
        assert_eq!(outcome.still_running, [ignoring.2]);
        assert_eq!(outcome.unreported, [ending.2, reporting.2]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_rest_attempts_are_cancelled_before_reassignment() {
        for (grace, cancelled_after) in [
            (MAX_CLOSED_STREAM_GRACE * 10, MAX_CLOSED_STREAM_GRACE),
            (MAX_CLOSED_STREAM_GRACE / 2, MAX_CLOSED_STREAM_GRACE / 2),
        ] {
            let resources = resources_without_rest();
            let attempt = RunningAttempt::new("long".to_owned());
            let key = (RunId::random(), 0);
            assert!(resources.table.insert(key, attempt.clone()));
            let states = states(&resources);
            let (started, intake_stopped) = (Instant::now(), CancellationToken::new());
            let draining = tokio::spawn({
                let (resources, intake_stopped) = (resources.clone(), intake_stopped.clone());
                async move { drain(&resources, &states, &intake_stopped, grace).await }
            });
            assert_eq!(attempt.canceller.cancelled().await, CancelReason::Shutdown);
            assert!(intake_stopped.is_cancelled(), "the stream is closed");
            assert_eq!(started.elapsed(), cancelled_after);
            resources.table.remove(key);
            let outcome = draining.await.unwrap();
            assert_eq!((outcome.cancelled, outcome.still_running), (vec![format!("long ({})", key.0)], Vec::new()));
        }
    }
}
