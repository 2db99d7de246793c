//! The watched runs, with their waiters and the times of their next polls.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{
    details::RunDetails,
    outcome::RunOutcome,
    poll_result::{PollResult, SILENCE_TIMEOUT, classify},
    run_evidence::{LIST_AFTER, List},
    schedule::{PollQueue, Schedule},
    sink::{Sink, WaitResult, Waiter},
};
use crate::hatchet::{
    transport::ClientError,
    wire::{RunId, RunStatus, readable_duration},
};

/// Initial poll interval of a run whose end the subscription should report. It doubles up to [`MAX_INTERVAL`].
const BACKGROUND_INTERVAL: Duration = Duration::from_millis(250);
/// Initial poll interval of a run whose end was reported without its outcome: a real engine has the details about 50 ms
/// later. It doubles up to [`MAX_INTERVAL`].
const END_REPORTED_INTERVAL: Duration = Duration::from_millis(20);
/// Initial poll interval of a followed run, whose status changes are reported. It grows by half with each poll, up to
/// [`MAX_FOLLOWED_INTERVAL`].
const FOLLOWED_INTERVAL: Duration = Duration::from_millis(20);
const MAX_FOLLOWED_INTERVAL: Duration = Duration::from_secs(1);
/// Time after which the poll interval of a followed, running run grows up to [`MAX_INTERVAL`]: its only further change
/// is its end, which the subscription reports.
const LONG_RUNNING: Duration = Duration::from_secs(10);
/// Maximum poll interval of a run.
const MAX_INTERVAL: Duration = Duration::from_secs(5);
/// Poll interval of a run that gRPC does not find and that is not listed either, once the list is read.
const UNLISTED_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum poll interval of a run that is only listed and not followed: it may wait for its conditions for days.
const MAX_LISTED_INTERVAL: Duration = Duration::from_secs(30);
/// Time after which a wait for a run that is only listed is logged.
const LONG_LISTED: Duration = Duration::from_secs(60);

/// An ongoing failure of all calls to the engine.
#[derive(Debug, Clone)]
pub(in crate::hatchet::client) struct Outage {
    /// The time of the first failure after the last response.
    pub(in crate::hatchet::client) since: Instant,
    /// The latest failure.
    pub(in crate::hatchet::client) error: ClientError,
}

/// A run with at least one waiter.
struct Watched {
    waiters: Vec<Waiter>,
    since: Instant,
    /// The position of the run in the schedule; `None` while it is being polled.
    scheduled: Option<(PollQueue, Instant)>,
    /// The delay between the next poll and the one after it.
    interval: Duration,
    /// The subscription has reported the end without the outcome.
    end_reported: bool,
    unknown_since: Option<Instant>,
    running_since: Option<Instant>,
    /// gRPC does not find the run: a poll also reads the list.
    reads_list: bool,
    /// The time since which the run is only listed.
    listed_since: Option<Instant>,
    is_logged: bool,
}

impl Watched {
    fn queue(&self) -> PollQueue {
        let is_followed = || self.waiters.iter().any(|waiter| matches!(waiter.sink, Sink::Progress(_)));
        if self.end_reported {
            PollQueue::Finished
        } else if is_followed() {
            PollQueue::Urgent
        } else {
            PollQueue::Background
        }
    }
}

/// All runs that are waited for, as a state machine without I/O. Each method takes the current time.
pub(super) struct WatchedRuns {
    runs: HashMap<RunId, Watched>,
    /// Whether there is a list, in which a run is searched that gRPC does not find.
    has_list: bool,
    schedule: Schedule,
    last_response: Instant,
    outage: Option<Outage>,
    /// Runs that were removed since the last [`WatchedRuns::take_removed`].
    removed: Vec<RunId>,
}

impl WatchedRuns {
    pub(super) fn new(has_list: bool, now: Instant) -> Self {
        Self {
            runs: HashMap::new(),
            has_list,
            schedule: Schedule::default(),
            last_response: now,
            outage: None,
            removed: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, run: RunId, waiter: Waiter, now: Instant) {
        if self.runs.is_empty() {
            // Without runs there were no calls, so an earlier outage may have ended.
            self.record_response(now);
            self.schedule.event_arrived(now);
        }
        let is_followed = matches!(waiter.sink, Sink::Progress(_));
        let watched = self.runs.entry(run).or_insert_with(|| Watched {
            // Few runs have a second waiter.
            waiters: Vec::with_capacity(1),
            since: now,
            scheduled: None,
            interval: BACKGROUND_INTERVAL,
            end_reported: false,
            unknown_since: None,
            running_since: None,
            reads_list: false,
            listed_since: None,
            is_logged: false,
        });
        let is_new = watched.waiters.is_empty();
        watched.waiters.push(waiter);
        if is_followed {
            watched.interval = FOLLOWED_INTERVAL;
        }
        if is_new || (is_followed && watched.scheduled.is_some()) {
            let due = now + watched.interval;
            self.poll_at(run, due);
        }
    }

    /// Ends the waits for a run, or schedules an immediate poll if the event has no outcome.
    pub(super) fn event(&mut self, run: RunId, outcome: Option<RunOutcome>, now: Instant) {
        self.schedule.event_arrived(now);
        self.record_response(now);
        let Some(watched) = self.runs.get_mut(&run) else { return };
        match outcome {
            Some(outcome) => self.end(run, Ok(outcome)),
            None => {
                watched.end_reported = true;
                watched.interval = END_REPORTED_INTERVAL;
                if watched.scheduled.is_some() {
                    self.poll_at(run, now);
                }
            }
        }
    }

    /// The time at which the next poll may start; `None` if no run is scheduled.
    pub(super) fn next_poll(&self) -> Option<Instant> {
        self.schedule.next()
    }

    /// Takes a run whose poll is due. Removes runs without waiters.
    pub(super) fn take_poll(&mut self, now: Instant) -> Option<RunId> {
        while let Some(run) = self.schedule.take(now) {
            let Some(watched) = self.runs.get_mut(&run) else { continue };
            watched.scheduled = None;
            watched.waiters.retain(|waiter| !waiter.sink.is_closed());
            if watched.waiters.is_empty() {
                self.remove(run);
                continue;
            }
            self.schedule.polled(watched.queue(), now);
            return Some(run);
        }
        None
    }

    /// Acts on the response to a poll.
    pub(super) fn poll_returned(&mut self, run: RunId, response: Result<RunDetails, ClientError>, now: Instant) {
        let Some(watched) = self.runs.get_mut(&run) else { return };
        let silent_for = now - self.last_response.max(watched.since);
        match classify(run, response, silent_for) {
            PollResult::Finished(outcome) => {
                self.record_response(now);
                self.schedule.reduce_penalty();
                self.end(run, Ok(outcome));
            }
            PollResult::Unfinished(status) => {
                watched.unknown_since = None;
                watched.reads_list = false;
                watched.listed_since = None;
                watched.running_since = (status == RunStatus::Running).then(|| watched.running_since.unwrap_or(now));
                for waiter in &watched.waiters {
                    waiter.evidence.mark_found();
                    waiter.sink.publish(status);
                }
                self.record_response(now);
                self.schedule.reduce_penalty();
                self.poll_again(run, now);
            }
            PollResult::Unknown => {
                let unknown_for = now - *watched.unknown_since.get_or_insert(now);
                self.record_response(now);
                if self.has_list && unknown_for >= LIST_AFTER {
                    // Without waiting: the next poll reads the list as well.
                    self.read_list(run, now);
                } else {
                    self.not_found(run, List::Missing, BACKGROUND_INTERVAL, now);
                }
            }
            PollResult::Throttled => {
                self.record_response(now);
                self.schedule.increase_penalty();
                self.poll_again(run, now);
            }
            PollResult::NoResponse(error) => {
                self.record_failure(error, now);
                self.poll_again(run, now);
            }
            PollResult::GiveUp(error) => {
                self.poll_again(run, now);
                let last_response = self.last_response;
                let is_silent = |watched: &Watched| now - last_response.max(watched.since) > SILENCE_TIMEOUT;
                self.end_all(&error, is_silent);
            }
            PollResult::FailRun(error) => self.end(run, Err(error)),
            PollResult::FailAll(error) => self.end_all(&error, |_| true),
        }
    }

    /// Whether the poll of a run reads the list if gRPC does not find it.
    pub(super) fn reads_list(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|watched| watched.reads_list)
    }

    fn read_list(&mut self, run: RunId, now: Instant) {
        if let Some(watched) = self.runs.get_mut(&run) {
            watched.reads_list = true;
            watched.interval = UNLISTED_INTERVAL;
        }
        self.poll_at(run, now);
    }

    /// Acts on the list's response to a poll for which gRPC has returned NOT_FOUND.
    pub(super) fn list_returned(
        &mut self,
        run: RunId,
        response: Result<Option<RunDetails>, ClientError>,
        now: Instant,
    ) {
        self.record_response(now);
        let Some(watched) = self.runs.get_mut(&run) else { return };
        let details = match response {
            Ok(Some(details)) => details,
            Ok(None) => return self.not_found(run, List::Missing, UNLISTED_INTERVAL, now),
            Err(error) => return self.not_found(run, List::Failed(&error), MAX_INTERVAL, now),
        };
        if let Some(outcome) = RunOutcome::from_details(run, &details) {
            return self.end(run, Ok(outcome));
        }
        watched.unknown_since = None;
        let listed_for = now - *watched.listed_since.get_or_insert(now);
        if listed_for >= LONG_LISTED && !std::mem::replace(&mut watched.is_logged, true) {
            tracing::info!(
                "run {run} is {} and has had no task for {}: its first tasks wait for their conditions",
                details.status,
                readable_duration(listed_for)
            );
        }
        for waiter in &watched.waiters {
            waiter.evidence.mark_listed();
            waiter.sink.publish(details.status);
        }
        self.poll_again(run, now);
    }

    /// Ends the waits whose grace period has elapsed, and schedules the next poll for the others.
    fn not_found(&mut self, run: RunId, list: List<'_>, interval: Duration, now: Instant) {
        let Some(watched) = self.runs.get_mut(&run) else { return };
        let unknown_for = now - *watched.unknown_since.get_or_insert(now);
        watched.interval = interval;
        for waiter in std::mem::take(&mut watched.waiters) {
            match waiter.evidence.not_found_error(run, unknown_for, list) {
                Some(error) => waiter.end(Err(error)),
                None => watched.waiters.push(waiter),
            }
        }
        if watched.waiters.is_empty() {
            self.remove(run);
        } else {
            self.poll_at(run, now + interval);
        }
    }

    /// Records that the subscription broke. The first failure of an outage schedules every run soon, since the
    /// subscription may have lost the end of a run. Does nothing without an error.
    pub(super) fn subscription_broke(&mut self, error: Option<ClientError>, now: Instant) {
        if let Some(error) = error {
            let is_first = self.outage.is_none();
            self.record_failure(error, now);
            if is_first {
                self.poll_all_soon(now);
            }
        }
    }

    /// Schedules every run within [`BACKGROUND_INTERVAL`].
    fn poll_all_soon(&mut self, now: Instant) {
        let soon = now + BACKGROUND_INTERVAL;
        for (run, watched) in &mut self.runs {
            watched.interval = watched.interval.min(BACKGROUND_INTERVAL);
            if let Some((queue, due)) = watched.scheduled
                && due > soon
            {
                self.schedule.remove(queue, due, *run);
                self.schedule.insert(queue, soon, *run);
                watched.scheduled = Some((queue, soon));
            }
        }
    }

    /// Takes the runs that were removed since the last call.
    pub(super) fn take_removed(&mut self) -> Vec<RunId> {
        std::mem::take(&mut self.removed)
    }

    pub(super) fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    fn record_response(&mut self, now: Instant) {
        self.last_response = now;
        self.outage = None;
    }

    fn record_failure(&mut self, error: ClientError, now: Instant) {
        let since = self.outage.as_ref().map_or(now, |outage| outage.since);
        self.outage = Some(Outage { since, error });
    }

    /// Schedules the next poll of a run after the growing interval of its queue.
    fn poll_again(&mut self, run: RunId, now: Instant) {
        let Some(watched) = self.runs.get_mut(&run) else { return };
        let interval = watched.interval;
        watched.interval = if watched.listed_since.is_some() {
            let is_urgent = watched.queue() != PollQueue::Background;
            (interval * 2).min(if is_urgent { MAX_INTERVAL } else { MAX_LISTED_INTERVAL })
        } else if watched.end_reported || watched.queue() == PollQueue::Background {
            (interval * 2).min(MAX_INTERVAL)
        } else if watched.running_since.is_some_and(|since| now - since > LONG_RUNNING) {
            (interval * 3 / 2).min(MAX_INTERVAL)
        } else {
            (interval * 3 / 2).min(MAX_FOLLOWED_INTERVAL)
        };
        self.poll_at(run, now + interval);
    }

    fn poll_at(&mut self, run: RunId, due: Instant) {
        let Some(watched) = self.runs.get_mut(&run) else { return };
        if let Some((queue, previous)) = watched.scheduled.take() {
            self.schedule.remove(queue, previous, run);
        }
        let queue = watched.queue();
        self.schedule.insert(queue, due, run);
        watched.scheduled = Some((queue, due));
    }

    fn end(&mut self, run: RunId, result: WaitResult) {
        let Some(mut watched) = self.remove(run) else { return };
        let Some(last) = watched.waiters.pop() else { return };
        for waiter in watched.waiters {
            waiter.end(result.clone());
        }
        last.end(result);
    }

    fn end_all(&mut self, error: &ClientError, is_selected: impl Fn(&Watched) -> bool) {
        let runs: Vec<RunId> =
            self.runs.iter().filter(|(_, watched)| is_selected(watched)).map(|(run, _)| *run).collect();
        for run in runs {
            self.end(run, Err(error.clone()));
        }
    }

    fn remove(&mut self, run: RunId) -> Option<Watched> {
        let watched = self.runs.remove(&run)?;
        if let Some((queue, due)) = watched.scheduled {
            self.schedule.remove(queue, due, run);
        }
        self.removed.push(run);
        Some(watched)
    }
}

#[cfg(test)]
mod tests;
