//! Rate limits.

use super::{
    restart::{snapshot, tracked_world},
    *,
};
use crate::engine::state::{
    HistoryEventKind, Phase,
    expression::TaskExpression,
    rate_limits::{RateRule, RateTarget, Window},
};
use RunStatus::{Queued, Running};

pub(super) fn fixed(key: &str, units: i64) -> RateRule {
    RateRule { key: RateTarget::Fixed(key.into()), units: RateTarget::Fixed(units), limit: None }
}

#[cfg(feature = "cel")]
fn computed(text: &str) -> TaskExpression {
    TaskExpression::compile(text).unwrap()
}

impl World {
    pub(super) fn put_rate_limit(&mut self, key: &str, limit: i64, window: Window) {
        self.event(|state, now| state.put_rate_limit(key, limit, window, now));
    }

    fn by_status(&self, runs: &[RunId]) -> Vec<RunStatus> {
        runs.iter().map(|run| self.statuses(*run).0).collect()
    }

    /// Advances the clocks while the worker sends heartbeats.
    fn seconds_with(&mut self, worker: WorkerId, seconds: u64) {
        for _ in 0..seconds {
            self.seconds(1);
            self.heartbeat(worker);
        }
    }
}

/// A workflow whose tasks take two units of `key`, of which there are five a minute.
fn world() -> (World, WorkerId) {
    let mut world = World::new();
    world.put_rate_limit("key", 5, Window::Minute);
    world.declare("t", |t| {
        t.timeout = Duration::from_secs(3600);
        t.rate_limits = vec![fixed("key", 2)];
    });
    let (worker, _) = world.worker(&["t"], 100);
    (world, worker)
}

#[test]
fn tasks_beyond_the_units_of_a_window_wait_for_the_next() {
    let (mut world, worker) = world();
    let runs = [0; 5].map(|_| world.trigger("t"));
    assert_eq!(world.by_status(&runs), [Running, Running, Queued, Queued, Queued]);
    let message = "Rate limit exceeded for key key, attempting to consume 2 units, but only had 1 remaining";
    let last = world.state.task(runs[2]).unwrap().history.last();
    assert_eq!(last, Some(HistoryEventKind::RateLimited(message.into())));
    world.seconds_with(worker, 58);
    assert_eq!(world.by_status(&runs)[2], Queued);
    world.seconds_with(worker, 3);
    assert_eq!(world.by_status(&runs), [Running, Running, Running, Running, Queued]);
}

#[test]
fn units_are_taken_at_the_assignment() {
    let mut world = World::new();
    world.put_rate_limit("key", 1, Window::Minute);
    world.declare("t", |t| t.rate_limits = vec![fixed("key", 1)]);
    let runs = [0; 3].map(|_| world.trigger("t"));
    world.seconds(130);
    world.worker(&["t"], 100);
    assert_eq!(world.by_status(&runs), [Running, Queued, Queued], "waiting for a worker uses no units");
}

#[test]
fn task_without_units_blocks_no_other_task() {
    let (mut world, _) = world();
    world.declare("plain", |_| ());
    world.worker(&["plain", "t"], 1);
    let limited = [0; 3].map(|_| world.trigger("t"));
    let plain = world.trigger("plain");
    assert_eq!(world.by_status(&limited)[2], Queued);
    assert_eq!(world.by_status(&[plain]), [Running]);
}

#[test]
fn raised_limit_and_created_key_wake_waiting_tasks() {
    let (mut world, worker) = world();
    let runs = [0; 3].map(|_| world.trigger("t"));
    assert_eq!(world.by_status(&runs)[2], Queued);
    // A larger limit keeps the units of the window; the next window has more.
    world.put_rate_limit("key", 9, Window::Second);
    let limit = world.state.rate_limit("key").unwrap();
    assert_eq!((limit.limit, limit.value), (9, 1));
    world.seconds_with(worker, 2);
    assert_eq!(world.by_status(&runs)[2], Running);
    world.put_rate_limit("key", 0, Window::Second);
    let blocked = world.trigger("t");
    world.seconds_with(worker, 2);
    assert_eq!(world.by_status(&[blocked]), [Queued], "no window has two units");
    world.put_rate_limit("key", 2, Window::Second);
    world.seconds_with(worker, 2);
    assert_eq!(world.by_status(&[blocked]), [Running]);
}

#[test]
fn paused_key_gives_no_units_until_the_end_of_the_pause() {
    let (mut world, worker) = world();
    let until = world.now.wall.plus(Duration::from_secs(90));
    let earlier = world.now.wall.plus(Duration::from_secs(10));
    assert_eq!(world.event(|state, now| state.pause_rate_limit("key", until, now)), Some(until));
    assert_eq!(world.event(|state, now| state.pause_rate_limit("key", earlier, now)), Some(until));
    assert_eq!(world.event(|state, now| state.pause_rate_limit("other", until, now)), None);
    let run = world.trigger("t");
    world.seconds_with(worker, 88);
    assert_eq!(world.by_status(&[run]), [Queued]);
    world.seconds_with(worker, 3);
    assert_eq!(world.by_status(&[run]), [Running]);
}

#[cfg(feature = "cel")]
#[test]
fn computed_limits_are_created_by_their_tasks() {
    let mut world = World::new();
    world.declare("t", |t| {
        t.rate_limits = vec![RateRule {
            key: RateTarget::Computed(computed("'user:' + input.k")),
            units: RateTarget::Computed(computed("int(input.k)")),
            limit: Some((computed("3"), Window::Hour)),
        }];
    });
    world.worker(&["t"], 100);
    let runs = ["1", "2", "2", "4"].map(|key| world.trigger_key("t", key));
    assert_eq!(world.by_status(&runs), [Running, Running, Queued, Queued]);
    let limit = world.state.rate_limit("user:1").unwrap();
    assert_eq!((limit.limit, limit.window, limit.value), (3, Window::Hour, 2));
    let bad = world.trigger_key("t", "x");
    let error = world.state.task(bad).unwrap().phase.error().unwrap_or_default().to_owned();
    assert!(error.starts_with("failed to parse step expression (int(input.k)): "), "{error}");
}

#[cfg(feature = "cel")]
#[test]
fn negative_limit_leaves_the_rate_limit_alone() {
    let mut world = World::new();
    world.put_rate_limit("key", 2, Window::Hour);
    world.declare("t", |t| {
        t.rate_limits = vec![RateRule { limit: Some((computed("-1"), Window::Minute)), ..fixed("key", 1) }];
    });
    world.worker(&["t"], 100);
    let run = world.trigger("t");
    assert_eq!(world.by_status(&[run]), [Running]);
    let limit = world.state.rate_limit("key").unwrap();
    assert_eq!((limit.limit, limit.window, limit.value), (2, Window::Hour, 1));
}

#[cfg(feature = "cel")]
#[test]
fn missing_key_holds_its_tasks_until_it_is_created() {
    let mut world = World::new();
    world.declare("t", |t| {
        let key = RateTarget::Computed(computed("'late'"));
        t.rate_limits = vec![RateRule { key, units: RateTarget::Fixed(1), limit: None }];
    });
    world.worker(&["t"], 100);
    let run = world.trigger("t");
    assert_eq!(world.by_status(&[run]), [Queued]);
    world.put_rate_limit("late", 1, Window::Second);
    assert_eq!(world.by_status(&[run]), [Running]);
}

#[test]
fn declared_key_must_exist() {
    let mut world = World::new();
    world.put_rate_limit("known", 1, Window::Second);
    let rules = vec![fixed("known", 1), fixed("unknown", 1)];
    let task = TaskDefinition { rate_limits: rules, ..World::task("a", &[]) };
    let definition = Definition::sample("w", vec![World::task("b", &[]), task]);
    assert_eq!(world.state.missing_rate_limit(&definition), Some((1, 1, "unknown".to_owned())));
}

#[test]
fn lane_is_removed_with_its_last_task() {
    let (mut world, _) = world();
    let runs = [0; 4].map(|_| world.trigger("t"));
    let lanes = world.state.scheduler.lanes();
    assert_eq!(lanes, 1);
    for run in runs {
        world.event(|state, now| state.cancel(run, now));
    }
    assert_eq!(world.state.scheduler.lanes(), 0);
    assert_eq!(world.state.rate_limits.waiting(), (0, 0), "no key refers to the removed lane");
}

#[cfg(feature = "cel")]
#[test]
fn restart_keeps_a_changed_limit() {
    let (mut world, mut store) = tracked_world();
    world.declare("t", |t| {
        t.rate_limits = vec![RateRule { limit: Some((computed("int(input.k)"), Window::Hour)), ..fixed("key", 1) }];
    });
    for key in ["5", "9"] {
        world.trigger_key("t", key);
    }
    world.put_rate_limit("key", 20, Window::Hour);
    world.restart(&mut store);
    assert_eq!(world.state.rate_limit("key").unwrap().limit, 20);
}

#[test]
fn units_and_pause_survive_a_restart() {
    let (mut world, mut store) = tracked_world();
    world.put_rate_limit("key", 3, Window::Hour);
    world.declare("t", |t| t.rate_limits = vec![fixed("key", 2)]);
    world.worker(&["t"], 100);
    let runs = [world.trigger("t"), world.trigger("t")];
    assert_eq!(world.by_status(&runs), [Running, Queued]);
    let until = world.now.wall.plus(Duration::from_secs(7200));
    world.event(|state, now| state.pause_rate_limit("key", until, now));
    world.restart(&mut store);
    let before = snapshot(&world.state);
    let limit = world.state.rate_limit("key").unwrap();
    assert_eq!((limit.limit, limit.value, limit.window), (3, 1, Window::Hour));
    world.restart(&mut store);
    assert_eq!(before, snapshot(&world.state));
    world.worker(&["t"], 100);
    assert!(matches!(world.state.task(runs[1]).unwrap().phase, Phase::Queued(_)), "too few units");
}
