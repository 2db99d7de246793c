//! The order and the rate of polls.
//!
//! Each watched run is in one of two lanes with the time of its next poll:
//!
//! - [`Lane::Background`]: runs whose end the subscription should report. Polls are the safety net, so while the
//!   subscription delivers events they start [`WHILE_EVENTS_ARRIVE`] apart.
//! - [`Lane::Urgent`]: runs whose poll is the only source: the subscription has reported the end but not the outcome, or
//!   a follower wants each status.
//!
//! Polls of both lanes start at least [`FASTEST`] apart: 100 a second, a tenth of what a real engine allows. An engine
//! that asks to slow down increases that distance.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use crate::hatchet::wire::RunId;

/// Least time between two polls.
const FASTEST: Duration = Duration::from_millis(10);
/// Least time between two polls of the background lane while the subscription delivers events.
const WHILE_EVENTS_ARRIVE: Duration = Duration::from_millis(200);
/// Without an event for this long, the subscription does not slow down the background lane.
const EVENTS_STOPPED: Duration = Duration::from_secs(2);
/// Most that an engine that asks to slow down adds between two polls.
const LARGEST_PENALTY: Duration = Duration::from_secs(5);

/// Why a run is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
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
    fn lane(&mut self, lane: Lane) -> &mut BTreeSet<(Instant, RunId)> {
        match lane {
            Lane::Urgent => &mut self.urgent,
            Lane::Background => &mut self.background,
        }
    }

    pub(super) fn insert(&mut self, lane: Lane, at: Instant, run: RunId) {
        self.lane(lane).insert((at, run));
    }

    pub(super) fn remove(&mut self, lane: Lane, at: Instant, run: RunId) {
        self.lane(lane).remove(&(at, run));
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

    /// When the next poll may start; none if no run is scheduled.
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

    /// Takes a run whose poll is due: of both lanes, the run that has been due for longest.
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

    /// Records that a run of this lane is polled now.
    pub(super) fn polled(&mut self, lane: Lane, now: Instant) {
        self.last_poll = Some(now);
        if lane == Lane::Background {
            self.last_background_poll = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polls for one second and returns the number of polls; each run is due again at once.
    fn polls_in_a_second(schedule: &mut Schedule, lane: Lane, mut now: Instant) -> usize {
        let end = now + Duration::from_secs(1);
        let mut polls = 0;
        for _ in 0..50 {
            schedule.insert(lane, now, RunId::random());
        }
        loop {
            now = schedule.next().unwrap().max(now);
            if now >= end {
                return polls;
            }
            let run = schedule.take(now).expect("what is due can be taken");
            schedule.polled(lane, now);
            schedule.insert(lane, now, run);
            polls += 1;
        }
    }

    #[test]
    fn events_slow_down_background_polls_only() {
        let start = Instant::now();
        for (lane, events, expected) in [
            (Lane::Background, true, 5),
            (Lane::Background, false, 100),
            (Lane::Urgent, true, 100),
            (Lane::Urgent, false, 100),
        ] {
            let mut schedule = Schedule::default();
            if events {
                schedule.event_arrived(start);
            }
            assert_eq!(polls_in_a_second(&mut schedule, lane, start), expected, "{lane:?}, events: {events}");
            // Events have stopped for long enough.
            let later = start + EVENTS_STOPPED + Duration::from_secs(1);
            assert!(polls_in_a_second(&mut schedule, lane, later) >= 100, "{lane:?}, events: {events}");
        }
    }

    #[test]
    fn throttled_polls_slow_down_and_recover() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        let distance = |schedule: &mut Schedule, now: &mut Instant| {
            let run = RunId::random();
            schedule.insert(Lane::Urgent, *now, run);
            let at = schedule.next().unwrap();
            let waited = at - *now;
            *now = at;
            assert_eq!(schedule.take(*now), Some(run));
            schedule.polled(Lane::Urgent, *now);
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
    fn saturated_urgent_lane_does_not_starve_background() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        let waiting = RunId::random();
        for _ in 0..50 {
            schedule.insert(Lane::Urgent, now, RunId::random());
        }
        schedule.insert(Lane::Background, now + Duration::from_millis(500), waiting);
        for _ in 0..200 {
            now = schedule.next().unwrap().max(now);
            let run = schedule.take(now).unwrap();
            if run == waiting {
                return;
            }
            schedule.polled(Lane::Urgent, now);
            schedule.insert(Lane::Urgent, now, run);
        }
        panic!("the run of the background lane is never polled");
    }
}
