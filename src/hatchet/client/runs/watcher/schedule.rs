//! The order and the rate of polls.
//!
//! Each watched run is in one of two queues with the time of its next poll:
//!
//! - [`PollQueue::Background`]: runs whose end the subscription should report. Polls are the safety net, so while the
//!   subscription delivers events they start [`WHILE_EVENTS_ARRIVE`] apart.
//! - [`PollQueue::Urgent`]: runs whose poll is the only source: the subscription has reported the end but not the outcome, or
//!   a follower wants each status.
//!
//! Polls of both queues start at least [`FASTEST`] apart: 100 a second, a tenth of what a real engine allows. An engine
//! that asks to slow down increases that distance.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use crate::hatchet::wire::RunId;

/// Least time between two polls.
const FASTEST: Duration = Duration::from_millis(10);
/// Least time between two polls of the background queue while the subscription delivers events.
const WHILE_EVENTS_ARRIVE: Duration = Duration::from_millis(200);
/// Without an event for this long, the subscription does not slow down the background queue.
const EVENTS_STOPPED: Duration = Duration::from_secs(2);
/// Most that an engine that asks to slow down adds between two polls.
const LARGEST_PENALTY: Duration = Duration::from_secs(5);

/// Why a run is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PollQueue {
    Urgent,
    Background,
}

/// When which run is polled next.
#[derive(Default)]
pub(super) struct Schedule {
    urgent: BTreeSet<(Instant, RunId)>,
    background: BTreeSet<(Instant, RunId)>,
    last_poll: Option<Instant>,
    last_background_poll: Option<Instant>,
    last_event: Option<Instant>,
    penalty: Duration,
}

impl Schedule {
    fn queue(&mut self, queue: PollQueue) -> &mut BTreeSet<(Instant, RunId)> {
        match queue {
            PollQueue::Urgent => &mut self.urgent,
            PollQueue::Background => &mut self.background,
        }
    }

    pub(super) fn insert(&mut self, queue: PollQueue, at: Instant, run: RunId) {
        self.queue(queue).insert((at, run));
    }

    pub(super) fn remove(&mut self, queue: PollQueue, at: Instant, run: RunId) {
        self.queue(queue).remove(&(at, run));
    }

    /// Records that the subscription delivers events.
    pub(super) fn event_arrived(&mut self, now: Instant) {
        self.last_event = Some(now);
    }

    /// Halves what an engine that asked to slow down has added.
    pub(super) fn speed_up(&mut self) {
        self.penalty /= 2;
    }

    /// Doubles the time between polls.
    pub(super) fn slow_down(&mut self) {
        self.penalty = (self.penalty * 2).clamp(FASTEST, LARGEST_PENALTY);
    }

    /// When the next poll may start; `None` if no run is scheduled.
    pub(super) fn next(&self) -> Option<Instant> {
        self.urgent_at().into_iter().chain(self.background_at()).min()
    }

    fn urgent_at(&self) -> Option<Instant> {
        let (at, _) = self.urgent.first()?;
        Some(self.last_poll.map_or(*at, |last| (*at).max(last + FASTEST + self.penalty)))
    }

    fn background_at(&self) -> Option<Instant> {
        let (at, _) = self.background.first()?;
        let mut at = self.last_poll.map_or(*at, |last| (*at).max(last + FASTEST + self.penalty));
        if let (Some(event), Some(last)) = (self.last_event, self.last_background_poll)
            && last < event + EVENTS_STOPPED
        {
            at = at.max((last + WHILE_EVENTS_ARRIVE + self.penalty).min(event + EVENTS_STOPPED));
        }
        Some(at)
    }

    /// Takes a run whose poll is due: of both queues, the run that has been due for longest.
    pub(super) fn take(&mut self, now: Instant) -> Option<RunId> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let urgent = self.urgent.first().copied().filter(|_| is_due(self.urgent_at()));
        let background = self.background.first().copied().filter(|_| is_due(self.background_at()));
        let (at, run) = urgent.into_iter().chain(background).min()?;
        if urgent.is_some_and(|(_, urgent)| urgent == run) {
            self.urgent.remove(&(at, run));
        } else {
            self.background.remove(&(at, run));
        }
        Some(run)
    }

    /// Records that a run of this queue is polled now.
    pub(super) fn polled(&mut self, queue: PollQueue, now: Instant) {
        self.last_poll = Some(now);
        if queue == PollQueue::Background {
            self.last_background_poll = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls for one second and returns the number of polls; each run is due again at once.
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
            let run = schedule.take(now).expect("what is due can be taken");
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
        ] {
            let mut schedule = Schedule::default();
            if events {
                schedule.event_arrived(start);
            }
            assert_eq!(polls_in_a_second(&mut schedule, queue, start), expected, "{queue:?}, events: {events}");
            // Events have stopped for long enough.
            let later = start + EVENTS_STOPPED + Duration::from_secs(1);
            assert!(polls_in_a_second(&mut schedule, queue, later) >= 100, "{queue:?}, events: {events}");
        }
    }

    #[test]
    fn throttled_polls_slow_down_and_recover() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        let distance = |schedule: &mut Schedule, now: &mut Instant| {
            let run = RunId::random();
            schedule.insert(PollQueue::Urgent, *now, run);
            let at = schedule.next().unwrap();
            let waited = at - *now;
            *now = at;
            assert_eq!(schedule.take(*now), Some(run));
            schedule.polled(PollQueue::Urgent, *now);
            waited
        };
        distance(&mut schedule, &mut now);
        assert_eq!(distance(&mut schedule, &mut now), FASTEST);
        for _ in 0..20 {
            schedule.slow_down();
        }
        assert_eq!(distance(&mut schedule, &mut now), FASTEST + LARGEST_PENALTY);
        for _ in 0..40 {
            schedule.speed_up();
        }
        assert_eq!(distance(&mut schedule, &mut now), FASTEST);
    }

    #[test]
    fn saturated_urgent_queue_does_not_starve_background() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        let waiting = RunId::random();
        for _ in 0..50 {
            schedule.insert(PollQueue::Urgent, now, RunId::random());
        }
        schedule.insert(PollQueue::Background, now + Duration::from_millis(500), waiting);
        for _ in 0..200 {
            now = schedule.next().unwrap().max(now);
            let run = schedule.take(now).unwrap();
            if run == waiting {
                return;
            }
            schedule.polled(PollQueue::Urgent, now);
            schedule.insert(PollQueue::Urgent, now, run);
        }
        panic!("the run of the background queue is never polled");
    }
}
