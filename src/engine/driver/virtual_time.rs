//! Time that a test moves forward.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use super::core::Driver;
use crate::engine::state::{RunFilter, State};

/// Interval of the checks whether the engine is quiet.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Time without an effect after which an engine without running attempts is quiet.
const QUIET: Duration = Duration::from_millis(10);

/// Time without an effect after which an engine with running attempts is quiet. Longer, because a body may be about to
/// end.
const QUIET_WITH_ATTEMPTS: Duration = Duration::from_millis(100);

/// Checks in this time that must find the engine quiet: half of those that fit. On a busy machine they take longer, as
/// the bodies and reports do that the engine waits for.
const fn checks_in(quiet: Duration) -> u128 {
    quiet.as_millis() / POLL_INTERVAL.as_millis() / 2
}

/// Maximum time to wait until the engine is quiet.
const MAX_WAIT: Duration = Duration::from_secs(10);

impl Driver {
    /// Moves all clocks forward. Stops at each timer that becomes due, until workers and clients have reacted to it.
    pub(crate) async fn advance(&self, duration: Duration) {
        let mut remaining = duration;
        loop {
            self.settle().await;
            let now = self.now();
            let next = {
                let deadline = self.lock().state.next_deadline();
                let monotonic = deadline.monotonic.map(|instant| instant.since(now.monotonic));
                let wall = deadline.wall.map(|instant| instant.since(now.wall));
                [monotonic, wall].into_iter().flatten().min()
            };
            let step = next.map_or(remaining, |next| next.min(remaining));
            self.clock.advance(step);
            remaining -= step;
            self.apply(State::tick);
            if next.is_none_or(|next| next > step) && remaining.is_zero() {
                break;
            }
        }
        self.settle().await;
    }

    /// Waits until the engine is quiet: it has no assignment that a worker has not acknowledged, and has had no effect
    /// on a worker or client for 10 ms; for 100 ms while attempts are running. Waits for 10 s at most.
    pub(crate) async fn settle(&self) {
        let started = Instant::now();
        let (mut effects, mut quiet_since, mut checks) = (self.effects.load(Ordering::Relaxed), Instant::now(), 0);
        while started.elapsed() < MAX_WAIT {
            tokio::time::sleep(POLL_INTERVAL).await;
            checks += 1;
            let (is_delivered, is_running) = self.attempts();
            let effects_now = self.effects.load(Ordering::Relaxed);
            if std::mem::replace(&mut effects, effects_now) != effects_now || !is_delivered {
                (quiet_since, checks) = (Instant::now(), 0);
            }
            let quiet = if is_running { QUIET_WITH_ATTEMPTS } else { QUIET };
            if quiet_since.elapsed() >= quiet && checks >= checks_in(quiet) {
                break;
            }
        }
    }

    /// Whether workers have acknowledged all running attempts, and whether there are running attempts.
    fn attempts(&self) -> (bool, bool) {
        let shared = self.lock();
        let mut workers = shared.state.workers();
        let is_delivered = workers.all(|(id, _)| shared.state.unacknowledged(id).is_empty());
        (is_delivered, shared.state.workers().any(|(_, worker)| !worker.running.is_empty()))
    }

    /// Returns the inputs of the runs of a workflow, oldest first.
    pub(crate) fn inputs_of(&self, workflow: &str) -> Vec<String> {
        let shared = self.lock();
        let filter = RunFilter::default();
        let runs = shared.state.select(&filter).filter_map(|id| shared.state.run(id));
        let runs = runs.filter(|(_, run)| *run.version.definition.name == *workflow);
        let mut inputs: Vec<String> = runs.map(|(_, run)| run.input.as_ref().to_owned()).collect();
        inputs.reverse();
        inputs
    }
}
