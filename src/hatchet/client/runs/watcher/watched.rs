//! The watched runs: who waits for them, and when each is polled next.

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};

use super::{
    super::{RunDetails, RunOutcome, recognition::Recognition},
    schedule::{PollQueue, Schedule},
    verdict::{LONGEST_SILENCE, Verdict, judge},
};
use crate::hatchet::{
    transport::ClientError,
    wire::{RunId, RunStatus},
};

/// Interval of the first polls of a run whose end the subscription should report. It doubles up to [`SLOWEST`].
const FIRST_BACKGROUND: Duration = Duration::from_millis(250);
/// Interval of the first polls of a run whose end was reported without its outcome: a real engine has the details some
/// 50 ms later. It doubles up to [`SLOWEST`].
const FIRST_AFTER_END: Duration = Duration::from_millis(20);
/// Interval of the first polls of a run that is followed. It grows by half each time, up to [`SLOWEST_FOLLOWED`].
const FIRST_FOLLOWED: Duration = Duration::from_millis(20);
const SLOWEST_FOLLOWED: Duration = Duration::from_secs(1);
/// A followed run that has been running for this long slows down to [`SLOWEST`]: only its end is still to come, and the
/// subscription reports that.
const SETTLED: Duration = Duration::from_secs(10);
/// Longest interval between two polls of a run.
const SLOWEST: Duration = Duration::from_secs(5);

/// The end of a wait.
pub(in super::super) type WaitResult = Result<RunOutcome, ClientError>;

/// What a follower of a run is shown.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Progress {
    /// The latest status of the unfinished run.
    pub(in super::super) status: Option<RunStatus>,
    pub(in super::super) result: Option<WaitResult>,
}

/// An ongoing failure to get answers from the engine.
#[derive(Debug, Clone)]
pub(in super::super) struct Outage {
    /// The first failure after the last answer.
    pub(in super::super) since: Instant,
    /// The latest failure.
    pub(in super::super) error: ClientError,
}

/// Where the result of a watch goes.
pub(super) enum Sink {
    Outcome(oneshot::Sender<WaitResult>),
    Progress(watch::Sender<Progress>),
}

impl Sink {
    fn is_closed(&self) -> bool {
        match self {
            Self::Outcome(sender) => sender.is_closed(),
            Self::Progress(sender) => sender.is_closed(),
        }
    }

    fn show(&self, status: RunStatus) {
        if let Self::Progress(sender) = self {
            sender.send_if_modified(|progress| progress.status.replace(status) != Some(status));
        }
    }

    fn end(self, result: WaitResult) {
        match self {
            // It fails if the wait was dropped.
            Self::Outcome(sender) => drop(sender.send(result)),
            Self::Progress(sender) => sender.send_modify(|progress| progress.result = Some(result)),
        }
    }
}

/// One wait for a run.
pub(super) struct Waiter {
    pub(super) recognition: Recognition,
    pub(super) sink: Sink,
}

impl Waiter {
    fn end(self, result: WaitResult) {
        if result.is_ok() {
            self.recognition.mark_seen();
        }
        self.sink.end(result);
    }
}

/// A run that is waited for.
struct Watched {
    waiters: Vec<Waiter>,
    since: Instant,
    /// Where the run is in the schedule; `None` while it is being polled.
    scheduled: Option<(PollQueue, Instant)>,
    /// The time between the last two polls, or before the first.
    interval: Duration,
    /// The subscription has reported the end without the outcome.
    ended: bool,
    unknown_since: Option<Instant>,
    running_since: Option<Instant>,
}

impl Watched {
    fn queue(&self) -> PollQueue {
        let is_followed = || self.waiters.iter().any(|waiter| matches!(waiter.sink, Sink::Progress(_)));
        if self.ended || is_followed() { PollQueue::Urgent } else { PollQueue::Background }
    }
}

/// All runs that are waited for, as a state machine without I/O. Each method takes the current time.
pub(super) struct WatchedRuns {
    runs: HashMap<RunId, Watched>,
    schedule: Schedule,
    last_answer: Instant,
    outage: Option<Outage>,
    /// Runs that are no longer watched since [`WatchedRuns::take_removed`].
    removed: Vec<RunId>,
}

impl WatchedRuns {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            runs: HashMap::new(),
            schedule: Schedule::default(),
            last_answer: now,
            outage: None,
            removed: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, run: RunId, waiter: Waiter, now: Instant) {
        if self.runs.is_empty() {
            // An outage that nobody watched is over as far as anybody knows.
            self.answered(now);
            self.schedule.event_arrived(now);
        }
        let is_followed = matches!(waiter.sink, Sink::Progress(_));
        let watched = self.runs.entry(run).or_insert_with(|| Watched {
            waiters: Vec::new(),
            since: now,
            scheduled: None,
            interval: FIRST_BACKGROUND,
            ended: false,
            unknown_since: None,
            running_since: None,
        });
        let is_new = watched.waiters.is_empty();
        watched.waiters.push(waiter);
        if is_followed {
            watched.interval = FIRST_FOLLOWED;
        }
        if is_new || (is_followed && watched.scheduled.is_some()) {
            let at = now + watched.interval;
            self.poll_at(run, at);
        }
    }

    /// Ends the waits for a run, or schedules a poll at once if the event does not say how the run ended.
    pub(super) fn event(&mut self, run: RunId, outcome: Option<RunOutcome>, now: Instant) {
        self.schedule.event_arrived(now);
        self.answered(now);
        let Some(watched) = self.runs.get_mut(&run) else { return };
        match outcome {
            Some(outcome) => self.end(run, Ok(outcome)),
            None => {
                watched.ended = true;
                watched.interval = FIRST_AFTER_END;
                if watched.scheduled.is_some() {
                    self.poll_at(run, now);
                }
            }
        }
    }

    /// When the next poll may start.
    pub(super) fn next_poll(&self) -> Option<Instant> {
        self.schedule.next()
    }

    /// The run whose poll is due, if there is one. Drops runs that nobody waits for any more.
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

    /// Acts on the answer to a poll.
    pub(super) fn poll_answered(&mut self, run: RunId, answer: Result<RunDetails, ClientError>, now: Instant) {
        let Some(watched) = self.runs.get_mut(&run) else { return };
        let silent_for = now - self.last_answer.max(watched.since);
        match judge(run, answer, silent_for) {
            Verdict::Finished(outcome) => {
                self.answered(now);
                self.schedule.speed_up();
                self.end(run, Ok(outcome));
            }
            Verdict::Unfinished(status) => {
                watched.unknown_since = None;
                watched.running_since = (status == RunStatus::Running).then(|| watched.running_since.unwrap_or(now));
                for waiter in &watched.waiters {
                    waiter.recognition.mark_seen();
                    waiter.sink.show(status);
                }
                self.answered(now);
                self.schedule.speed_up();
                self.poll_again(run, now);
            }
            Verdict::Unknown => {
                let unknown_for = now - *watched.unknown_since.get_or_insert(now);
                watched.interval = FIRST_BACKGROUND;
                for waiter in std::mem::take(&mut watched.waiters) {
                    match waiter.recognition.refuse(run, unknown_for) {
                        Some(error) => waiter.end(Err(error)),
                        None => watched.waiters.push(waiter),
                    }
                }
                let is_given_up = watched.waiters.is_empty();
                self.answered(now);
                if is_given_up {
                    self.remove(run);
                } else {
                    self.poll_at(run, now + FIRST_BACKGROUND);
                }
            }
            Verdict::Throttled => {
                self.answered(now);
                self.schedule.slow_down();
                self.poll_again(run, now);
            }
            Verdict::NoAnswer(error) => {
                self.failed(error, now);
                self.poll_again(run, now);
            }
            Verdict::GiveUp(error) => {
                self.poll_again(run, now);
                let last_answer = self.last_answer;
                let is_silent = |watched: &Watched| now - last_answer.max(watched.since) > LONGEST_SILENCE;
                self.end_all(&error, is_silent);
            }
            Verdict::FailRun(error) => self.end(run, Err(error)),
            Verdict::FailAll(error) => self.end_all(&error, |_| true),
        }
    }

    /// Records that the subscription broke. It can have lost the end of a run, so every run is polled soon.
    pub(super) fn subscription_broke(&mut self, error: Option<ClientError>, now: Instant) {
        if let Some(error) = error {
            let is_first = self.outage.is_none();
            self.failed(error, now);
            if is_first {
                self.poll_all_soon(now);
            }
        }
    }

    /// Polls every run within [`FIRST_BACKGROUND`], as far as the rate of polls allows.
    fn poll_all_soon(&mut self, now: Instant) {
        let soon = now + FIRST_BACKGROUND;
        for (run, watched) in &mut self.runs {
            watched.interval = watched.interval.min(FIRST_BACKGROUND);
            if let Some((queue, at)) = watched.scheduled
                && at > soon
            {
                self.schedule.remove(queue, at, *run);
                self.schedule.insert(queue, soon, *run);
                watched.scheduled = Some((queue, soon));
            }
        }
    }

    /// The runs that are no longer watched since the last call.
    pub(super) fn take_removed(&mut self) -> Vec<RunId> {
        std::mem::take(&mut self.removed)
    }

    pub(super) fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    fn answered(&mut self, now: Instant) {
        self.last_answer = now;
        self.outage = None;
    }

    fn failed(&mut self, error: ClientError, now: Instant) {
        let since = self.outage.as_ref().map_or(now, |outage| outage.since);
        self.outage = Some(Outage { since, error });
    }

    /// Schedules the next poll of a run after the growing interval of its queue.
    fn poll_again(&mut self, run: RunId, now: Instant) {
        let Some(watched) = self.runs.get_mut(&run) else { return };
        let interval = watched.interval;
        watched.interval = if watched.ended || watched.queue() == PollQueue::Background {
            (interval * 2).min(SLOWEST)
        } else if watched.running_since.is_some_and(|since| now - since > SETTLED) {
            (interval * 3 / 2).min(SLOWEST)
        } else {
            (interval * 3 / 2).min(SLOWEST_FOLLOWED)
        };
        self.poll_at(run, now + interval);
    }

    fn poll_at(&mut self, run: RunId, at: Instant) {
        let Some(watched) = self.runs.get_mut(&run) else { return };
        if let Some((queue, at)) = watched.scheduled.take() {
            self.schedule.remove(queue, at, run);
        }
        let queue = watched.queue();
        self.schedule.insert(queue, at, run);
        watched.scheduled = Some((queue, at));
    }

    fn end(&mut self, run: RunId, result: WaitResult) {
        let Some(mut watched) = self.remove(run) else { return };
        let Some(last) = watched.waiters.pop() else { return };
        for waiter in watched.waiters {
            waiter.end(result.clone());
        }
        last.end(result);
    }

    fn end_all(&mut self, error: &ClientError, which: impl Fn(&Watched) -> bool) {
        let runs: Vec<RunId> = self.runs.iter().filter(|(_, watched)| which(watched)).map(|(run, _)| *run).collect();
        for run in runs {
            self.end(run, Err(error.clone()));
        }
    }

    fn remove(&mut self, run: RunId) -> Option<Watched> {
        let watched = self.runs.remove(&run)?;
        if let Some((queue, at)) = watched.scheduled {
            self.schedule.remove(queue, at, run);
        }
        self.removed.push(run);
        Some(watched)
    }
}

#[cfg(test)]
mod tests;
