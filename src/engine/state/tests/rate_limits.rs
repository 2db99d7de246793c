//! Rate limits.

use super::{
    restart::{snapshot, tracked_world},
    *,
};
use crate::engine::persistence::row::Table;
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
fn tasks_beyond_window_units_wait_for_next_window() {
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
fn wait_for_units_is_one_event_of_the_history() {
    let (mut world, worker) = world();
    let runs = [0; 3].map(|_| world.trigger("t"));
    let events = |world: &World| world.state.task(runs[2]).unwrap().history.numbered().count();
    assert_eq!((world.by_status(&runs)[2], events(&world)), (Queued, 2));
    // Each change wakes the task, which finds too few units again.
    for limit in 6..106 {
        world.put_rate_limit("key", limit, Window::Minute);
    }
    assert_eq!((world.by_status(&runs)[2], events(&world)), (Queued, 2));
    world.seconds_with(worker, 61);
    assert_eq!((world.by_status(&runs)[2], events(&world)), (Running, 3));
}

#[test]
fn history_has_each_key_for_which_a_task_waits() {
    let mut world = World::new();
    for key in ["a", "b"] {
        world.put_rate_limit(key, 1, Window::Hour);
    }
    world.declare("t", |t| t.rate_limits = vec![fixed("a", 2), fixed("b", 2)]);
    world.worker(&["t"], 1);
    let run = world.trigger("t");
    let last = |world: &World| match world.state.task(run).unwrap().history.last() {
        Some(HistoryEventKind::RateLimited(message)) => message.split(',').next().unwrap_or_default().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(last(&world), "Rate limit exceeded for key a");
    world.put_rate_limit("a", 3, Window::Second);
    world.seconds(2);
    assert_eq!(last(&world), "Rate limit exceeded for key b");
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
fn paused_key_gives_no_units_until_pause_ends() {
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

/// A workflow with a limit of three units a minute for each `input.k`, of which a task takes `units`.
#[cfg(feature = "cel")]
fn declare_dynamic(world: &mut World, units: i64) {
    world.declare("t", |t| {
        t.timeout = Duration::from_secs(3600);
        t.schedule_timeout = Duration::from_secs(3600);
        t.rate_limits = vec![RateRule {
            key: RateTarget::Computed(computed("'user:' + input.k")),
            units: RateTarget::Fixed(units),
            limit: Some((computed("3"), Window::Minute)),
        }];
    });
}

#[cfg(feature = "cel")]
#[test]
fn dynamic_limits_are_removed_after_their_window() {
    let (mut world, mut store) = tracked_world();
    world.put_rate_limit("put", 1, Window::Second);
    declare_dynamic(&mut world, 1);
    let (worker, _) = world.worker(&["t"], 1000);
    for key in 0..100 {
        let run = world.trigger_key("t", &key.to_string());
        world.complete(run, 0);
    }
    assert_eq!(world.state.rate_limits().count(), 101);
    world.seconds_with(worker, 59);
    assert_eq!(world.state.rate_limits().count(), 101, "the units of the window are still known");
    world.seconds_with(worker, 2);
    world.trigger_key("t", "7");
    world.restart(&mut store);
    world.seconds(2);
    store.persist(&mut world.state, world.now);
    let mut keys: Vec<&str> = world.state.rate_limits().map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["put", "user:7"]);
    assert_eq!((store.rows(Table::RateLimits), world.state.rate_limits.timers()), (2, 1));
    world.seconds(60);
    store.persist(&mut world.state, world.now);
    assert_eq!((store.rows(Table::RateLimits), world.state.rate_limits.timers()), (1, 0));
}

#[cfg(feature = "cel")]
#[test]
fn waiting_task_sets_its_removed_limit_again() {
    let mut world = World::new();
    declare_dynamic(&mut world, 2);
    let runs = [0; 2].map(|_| world.trigger_key("t", "1"));
    world.seconds(120);
    assert!(world.state.rate_limit("user:1").is_none(), "no task has taken units");
    world.worker(&["t"], 100);
    assert_eq!(world.by_status(&runs), [Running, Queued]);
    assert_eq!(world.state.rate_limit("user:1").unwrap().value, 1);
}

#[cfg(feature = "cel")]
#[test]
fn limit_set_by_resumed_worker_wakes_waiting_tasks() {
    let mut world = World::new();
    declare_dynamic(&mut world, 2);
    world.declare("user", |t| {
        t.schedule_timeout = Duration::from_secs(3600);
        let key = RateTarget::Computed(computed("'user:1'"));
        t.rate_limits = vec![RateRule { key, units: RateTarget::Fixed(1), limit: None }];
    });
    let [(paused, _), (worker, _)] = ["t", "user"].map(|name| world.worker(&[name], 1));
    world.event(|state, now| state.pause(paused, true, now)).unwrap();
    let setter = world.trigger_key("t", "1");
    for _ in 0..130 {
        world.seconds(1);
        [paused, worker].into_iter().for_each(|worker| world.heartbeat(worker));
    }
    assert!(world.state.rate_limit("user:1").is_none(), "no task has taken units");
    let user = world.trigger("user");
    assert_eq!(world.by_status(&[setter, user]), [Queued, Queued]);
    world.event(|state, now| state.pause(paused, false, now)).unwrap();
    assert_eq!(world.by_status(&[setter, user]), [Running, Running]);
}

#[cfg(feature = "cel")]
#[test]
fn dynamic_limit_stays_while_it_is_in_use() {
    let mut world = World::new();
    declare_dynamic(&mut world, 4);
    let (worker, _) = world.worker(&["t"], 100);
    // More units than the limit: waits until the limit is raised.
    let run = world.trigger_key("t", "1");
    world.seconds_with(worker, 130);
    assert!(world.state.rate_limit("user:1").is_some(), "a task waits for its units");
    world.event(|state, now| state.cancel(run, now));
    world.seconds_with(worker, 70);
    assert!(world.state.rate_limit("user:1").is_none());
    let until = world.now.wall.plus(Duration::from_secs(300));
    for key in ["paused", "put", "required"] {
        let run = world.trigger_key("t", key);
        world.event(|state, now| state.cancel(run, now));
    }
    world.event(|state, now| state.pause_rate_limit("user:paused", until, now));
    world.put_rate_limit("user:put", 3, Window::Minute);
    world.declare("other", |t| t.rate_limits = vec![fixed("user:required", 1)]);
    world.seconds_with(worker, 290);
    assert_eq!(world.state.rate_limits().count(), 3);
    world.seconds_with(worker, 70);
    assert!(world.state.rate_limit("user:paused").is_none());
    assert_eq!(world.state.rate_limits().count(), 2, "a call and a declared workflow keep their keys");
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
fn tasks_wait_until_their_missing_key_is_created() {
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
fn temporary_queue_is_removed_with_its_last_task() {
    let (mut world, _) = world();
    let runs = [0; 4].map(|_| world.trigger("t"));
    let queues = world.state.scheduler.temporary_queues();
    assert_eq!(queues, 1);
    for run in runs {
        world.event(|state, now| state.cancel(run, now));
    }
    assert_eq!(world.state.scheduler.temporary_queues(), 0);
    assert_eq!(world.state.rate_limits.waiting(), (0, 0), "no key refers to the removed queue");
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
