//! The order and the rate of polls.
//!
//! Each watched run is in one of three queues with the time at which its next poll is due:
//!
//! - [`PollQueue::Finished`]: runs whose end the subscription has reported without the outcome, as it does for a
//!   cancelled run and for a workflow of several tasks that has failed. Their number is that of the finished runs, so
//!   their polls have a rate of their own: [`FINISHED_DISTANCE`] apart on average, the rate that a real engine allows,
//!   up to [`FINISHED_BURST`] at a time.
//! - [`PollQueue::Urgent`]: runs whose status is followed, so that the poll is the only source.
//! - [`PollQueue::Background`]: runs whose end the subscription should report. A poll is needed only if the
//!   subscription loses an event. So while it delivers events, background polls start [`BACKGROUND_DISTANCE`] apart,
//!   which many runs share. A run that is overdue by [`MAX_OVERDUE`] is polled without that distance, so that the rate
//!   grows with the number of runs: up to 3,000 runs are polled at least every 30 s each, and 10,000 every 100 s.
//!
//! Polls of the other two queues start at least [`MIN_DISTANCE`] apart: 100 a second, a tenth of the rate that a real
//! engine allows. The protocol has no call for the details of several runs. An engine at its rate limit increases both
//! distances.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use crate::hatchet::wire::RunId;

/// Average time between the starts of two polls of finished runs.
const FINISHED_DISTANCE: Duration = Duration::from_millis(1);
/// Polls of finished runs that may start together after a pause. A timer has a resolution of 1 ms, so without it the rate
/// would be half of the intended one.
const FINISHED_BURST: u32 = 16;
/// Minimum time between the starts of two other polls.
const MIN_DISTANCE: Duration = Duration::from_millis(10);
/// Minimum time between the starts of two background polls while the subscription delivers events.
const BACKGROUND_DISTANCE: Duration = Duration::from_millis(200);
/// The subscription counts as delivering for this time after an event.
const EVENTS_TIMEOUT: Duration = Duration::from_secs(2);
/// A run that is overdue by this time is polled although the subscription delivers events.
const MAX_OVERDUE: Duration = Duration::from_secs(25);
/// Maximum time that an engine at its rate limit adds between two polls.
const MAX_PENALTY: Duration = Duration::from_secs(5);

/// The queue of a run, by the reason for its polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PollQueue {
    Finished,
    Urgent,
    Background,
}

/// The runs in the order of their next polls.
#[derive(Default)]
pub(super) struct Schedule {
    finished: BTreeSet<(Instant, RunId)>,
    urgent: BTreeSet<(Instant, RunId)>,
    background: BTreeSet<(Instant, RunId)>,
    /// The time from which the next poll of a finished run may start.
    next_finished: Option<Instant>,
    /// Whether the latest poll was that of a finished run.
    is_after_finished: bool,
    /// The latest poll of another run.
    last_poll: Option<Instant>,
    last_background_poll: Option<Instant>,
    last_event: Option<Instant>,
    penalty: Duration,
}

impl Schedule {
    fn queue(&mut self, queue: PollQueue) -> &mut BTreeSet<(Instant, RunId)> {
        match queue {
            PollQueue::Finished => &mut self.finished,
            PollQueue::Urgent => &mut self.urgent,
            PollQueue::Background => &mut self.background,
        }
    }

    pub(super) fn insert(&mut self, queue: PollQueue, due: Instant, run: RunId) {
        self.queue(queue).insert((due, run));
    }

    pub(super) fn remove(&mut self, queue: PollQueue, due: Instant, run: RunId) {
        self.queue(queue).remove(&(due, run));
    }

    /// Records that the subscription delivers events.
    pub(super) fn event_arrived(&mut self, now: Instant) {
        self.last_event = Some(now);
    }

    /// Halves the time that an engine at its rate limit has added.
    pub(super) fn reduce_penalty(&mut self) {
        self.penalty /= 2;
    }

    /// Doubles the time that an engine at its rate limit adds.
    pub(super) fn increase_penalty(&mut self) {
        self.penalty = (self.penalty * 2).clamp(MIN_DISTANCE, MAX_PENALTY);
    }

    /// The time at which the next poll may start; `None` if no run is scheduled.
    pub(super) fn next(&self) -> Option<Instant> {
        self.finished_at().into_iter().chain(self.urgent_at()).chain(self.background_at()).min()
    }

    fn finished_at(&self) -> Option<Instant> {
        self.finished.first().map(|(due, _)| self.next_finished.map_or(*due, |next| next.max(*due)))
    }

    fn urgent_at(&self) -> Option<Instant> {
        self.urgent.first().map(|(due, _)| self.after_distance(*due))
    }

    fn background_at(&self) -> Option<Instant> {
        let (due, _) = *self.background.first()?;
        let mut time = self.after_distance(due);
        if let (Some(event), Some(last)) = (self.last_event, self.last_background_poll)
            && last < event + EVENTS_TIMEOUT
        {
            let end = (due + MAX_OVERDUE).min(event + EVENTS_TIMEOUT);
            time = time.max((last + BACKGROUND_DISTANCE + self.penalty).min(end));
        }
        Some(time)
    }

    fn after_distance(&self, due: Instant) -> Instant {
        self.last_poll.map_or(due, |last| due.max(last + MIN_DISTANCE + self.penalty))
    }

    /// Takes a run whose poll is due. While finished and other runs are due, they take turns. Of the other two queues,
    /// takes the run that has been due for longest. While both have such a run, at most every second of these polls is a
    /// background poll.
    pub(super) fn take(&mut self, now: Instant) -> Option<RunId> {
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        let is_other_due = is_due(self.urgent_at()) || is_due(self.background_at());
        if is_due(self.finished_at()) && !(self.is_after_finished && is_other_due) {
            return self.finished.pop_first().map(|(_, run)| run);
        }
        let urgent = self.urgent.first().copied().filter(|_| is_due(self.urgent_at()));
        let must_alternate = urgent.is_some() && self.last_background_poll == self.last_poll;
        let background = self.background.first().copied();
        let background = background.filter(|_| is_due(self.background_at()) && !must_alternate);
        let (due, run) = urgent.into_iter().chain(background).min()?;
        if urgent.is_some_and(|(_, urgent)| urgent == run) {
            self.urgent.remove(&(due, run));
        } else {
            self.background.remove(&(due, run));
        }
        Some(run)
    }

    /// Records the start of a poll.
    pub(super) fn polled(&mut self, queue: PollQueue, now: Instant) {
        self.is_after_finished = queue == PollQueue::Finished;
        if queue == PollQueue::Finished {
            // The time of an unused poll is saved for a burst, unless the engine is at its rate limit.
            let earliest = now.checked_sub(FINISHED_DISTANCE * FINISHED_BURST).unwrap_or(now);
            let from = if self.penalty.is_zero() { earliest } else { now };
            self.next_finished =
                Some(self.next_finished.map_or(from, |next| next.max(from)) + FINISHED_DISTANCE + self.penalty);
            return;
        }
        self.last_poll = Some(now);
        if queue == PollQueue::Background {
            self.last_background_poll = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls for one second and returns the number of polls. Each run is due again immediately.
    fn polls_in_a_second(schedule: &mut Schedule, queue: PollQueue, mut now: Instant) -> usize {
        let end = now + Duration::from_secs(1);
        let mut polls = 0;
        for _ in 0..50 {
            schedule.insert(queue, now, RunId::random());
        }
        loop {
            now = schedule.next().unwrap().max(now);
            if now >= end {
                return polls;
            }
            let run = schedule.take(now).expect("a due run can be taken");
            schedule.polled(queue, now);
            schedule.insert(queue, now, run);
            polls += 1;
        }
    }

    #[test]
    fn events_slow_down_background_polls_only() {
        let start = Instant::now();
        for (queue, events, expected) in [
            (PollQueue::Background, true, 5),
            (PollQueue::Background, false, 100),
            (PollQueue::Urgent, true, 100),
            (PollQueue::Urgent, false, 100),
            (PollQueue::Finished, true, 1_016),
            (PollQueue::Finished, false, 1_016),
        ] {
            let mut schedule = Schedule::default();
            if events {
                schedule.event_arrived(start);
            }
            assert_eq!(polls_in_a_second(&mut schedule, queue, start), expected, "{queue:?}, events: {events}");
            // Events have stopped.
            let later = start + EVENTS_TIMEOUT + Duration::from_secs(1);
            assert!(polls_in_a_second(&mut schedule, queue, later) >= 100, "{queue:?}, events: {events}");
        }
    }

    #[test]
    fn throttled_polls_slow_down_and_recover() {
        for (queue, usual, throttled) in [
            (PollQueue::Urgent, MIN_DISTANCE, MIN_DISTANCE + MAX_PENALTY),
            (PollQueue::Finished, FINISHED_DISTANCE, FINISHED_DISTANCE + MAX_PENALTY),
        ] {
            let (mut schedule, mut now) = (Schedule::default(), Instant::now());
            let distance = |schedule: &mut Schedule, now: &mut Instant| {
                let run = RunId::random();
                schedule.insert(queue, *now, run);
                let next = schedule.next().unwrap().max(*now);
                let waited = next - *now;
                *now = next;
                assert_eq!(schedule.take(*now), Some(run));
                schedule.polled(queue, *now);
                waited
            };
            // Uses the burst.
            for _ in 0..=FINISHED_BURST {
                distance(&mut schedule, &mut now);
            }
            assert_eq!(distance(&mut schedule, &mut now), usual, "{queue:?}");
            for _ in 0..20 {
                schedule.increase_penalty();
            }
            distance(&mut schedule, &mut now);
            assert_eq!(distance(&mut schedule, &mut now), throttled, "{queue:?}");
            for _ in 0..40 {
                schedule.reduce_penalty();
            }
            distance(&mut schedule, &mut now);
            assert_eq!(distance(&mut schedule, &mut now), usual, "{queue:?}");
        }
    }

    #[test]
    fn saturated_queue_does_not_starve_the_other() {
        use PollQueue::{Background, Finished, Urgent};
        for (saturated, other) in [
            (Urgent, Background),
            (Background, Urgent),
            (Finished, Urgent),
            (Finished, Background),
            (Urgent, Finished),
            (Background, Finished),
        ] {
            let (mut schedule, mut now) = (Schedule::default(), Instant::now());
            let waiting = RunId::random();
            for _ in 0..5_000 {
                schedule.insert(saturated, now, RunId::random());
            }
            // The whole queue is overdue.
            now += MAX_OVERDUE;
            schedule.insert(other, now, waiting);
            let is_polled = (0..8_000).any(|_| {
                schedule.event_arrived(now);
                now = schedule.next().unwrap().max(now);
                let run = schedule.take(now).unwrap();
                if run != waiting {
                    schedule.polled(saturated, now);
                    schedule.insert(saturated, now, run);
                }
                run == waiting
            });
            assert!(is_polled, "{other:?}");
        }
    }
}
