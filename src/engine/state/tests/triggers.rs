//! Tests of events, schedules and crons.

use super::*;
use crate::engine::{
    cron::CronRule,
    persistence::row::Table,
    state::{CronError, PushedEvent, TriggerError, metadata},
};

fn has_pair(text: &str, key: &str, value: &str) -> bool {
    metadata::pairs(text).any(|pair| pair == (key.to_owned(), value.to_owned()))
}

fn pushed(key: &str) -> PushedEvent {
    PushedEvent {
        key: key.into(),
        input: r#"{"a":1}"#.into(),
        metadata: r#"{"m":"1","hatchet__x":"y","hatchet__source_step_run_id":"s"}"#.into(),
        priority: Some(3),
        scope: None,
    }
}

/// Declares a workflow that these event keys trigger.
fn declare_with_events(world: &mut World, name: &str, keys: &[&str]) {
    world.declare_all(name, vec![World::task(name, &[])], |definition| {
        definition.content = Declaration::sample(&format!("{name} {keys:?}"));
        definition.events = keys.iter().map(|key| (*key).into()).collect();
    });
}

#[test]
fn event_triggers_each_workflow_once() {
    let mut world = World::new();
    declare_with_events(&mut world, "exact", &["user:new"]);
    declare_with_events(&mut world, "both", &["user:*", "*:new"]);
    declare_with_events(&mut world, "other", &["User:new"]);
    let id = world.event(|state, now| state.push_event(pushed("user:new"), now));
    let runs = world.state.event(id).unwrap().runs.clone();
    let names: Vec<&str> = runs.iter().map(|id| &*world.state.run(*id).unwrap().1.version.definition.name).collect();
    assert_eq!(names, ["both", "exact"]);
    let (_, run) = world.state.run(runs[0]).unwrap();
    assert_eq!((&*run.input, run.priority), (r#"{"a":1}"#, 3));
    assert!(has_pair(&run.metadata, "hatchet__event_id", &id.to_string()) && has_pair(&run.metadata, "m", "1"));
    assert!(!has_pair(&run.metadata, "hatchet__x", "y") && has_pair(&run.metadata, "hatchet__source_step_run_id", "s"));

    declare_with_events(&mut world, "both", &["another"]);
    let id = world.event(|state, now| state.push_event(pushed("user:old"), now));
    assert!(world.state.event(id).unwrap().runs.is_empty(), "the newest declaration applies");
}

#[test]
fn events_are_retained_up_to_limit() {
    let mut world = World::with_retention(2);
    let ids = [0; 3].map(|_| world.event(|state, now| state.push_event(pushed("e"), now)));
    assert!(world.state.event(ids[0]).is_none());
    let retained: Vec<Uuid> = world.state.events().map(|(id, _)| id).collect();
    assert_eq!(retained, [ids[2], ids[1]], "the newest first");
}

#[test]
fn triggered_schedule_starts_its_run_once() {
    let mut world = World::new();
    world.declare("t", |_| ());
    let at = world.now.wall.plus(Duration::from_secs(60));
    let ids = world.event(|state, now| state.schedule(&World::template("t"), &[at], now)).unwrap();
    let run = world.event(|state, now| state.trigger_schedule(ids[0], now)).unwrap();
    assert_eq!(world.state.run(run).unwrap().1.origin, Origin::Schedule(ids[0]));
    assert!(world.state.scheduled(ids[0]).is_none());
    assert!(world.event(|state, now| state.trigger_schedule(ids[0], now)).is_none());
    world.seconds(61);
    assert_eq!(runs(&world, "t"), 1);
}

#[cfg(feature = "cel")]
#[test]
fn schedule_whose_run_is_refused_is_kept() {
    let mut world = World::new();
    world.declare_all("t", vec![World::task("t", &[])], |definition| {
        definition.idempotency = Some(Idempotency {
            expression: Expression::compile("'k'").unwrap(),
            lease: Lease { ttl: Duration::from_secs(100), until_end: false },
        });
    });
    let at = world.now.wall.plus(Duration::from_secs(600));
    let ids = world.event(|state, now| state.schedule(&World::template("t"), &[at, at], now)).unwrap();
    assert!(world.event(|state, now| state.trigger_schedule(ids[0], now)).is_some());
    assert!(world.event(|state, now| state.trigger_schedule(ids[1], now)).is_none(), "the key is claimed");
    assert_eq!(ids.iter().map(|id| world.state.scheduled(*id).is_some()).collect::<Vec<_>>(), [false, true]);
    world.seconds(600);
    assert_eq!((runs(&world, "t"), world.state.schedules().count()), (2, 0), "it starts at its time");
}

#[test]
fn schedule_starts_run_at_its_time() {
    let mut world = World::new();
    world.declare("t", |_| ());
    world.worker(&["t"], 1);
    let (soon, later) = (world.now.wall.plus(Duration::from_secs(60)), world.now.wall.plus(Duration::from_secs(600)));
    let ids =
        world.event(|state, now| state.schedule(&World::template("t"), &[soon, later, Timestamp(0)], now)).unwrap();
    let scheduled = |world: &World| ids.iter().filter(|id| world.state.scheduled(**id).is_some()).count();
    world.seconds(0);
    assert_eq!(
        (runs(&world, "t"), scheduled(&world)),
        (1, 2),
        "a schedule in the past starts immediately and is removed"
    );
    assert!(!world.event(|state, _| state.reschedule(ids[2], soon)));
    assert!(world.event(|state, _| state.reschedule(ids[1], soon)));
    assert!(world.event(|state, _| state.unschedule(ids[0])));
    assert!(!world.event(|state, _| state.unschedule(ids[0])));
    world.seconds(59);
    assert_eq!((runs(&world, "t"), scheduled(&world)), (1, 1));
    world.seconds(1);
    assert_eq!((runs(&world, "t"), scheduled(&world)), (2, 0));
    let refused = world.event(|state, now| state.schedule(&World::template("x"), &[soon], now));
    assert_eq!(refused, Err(TriggerError::UnknownWorkflow("x".into())));
}

#[test]
fn cron_starts_runs_until_it_is_removed() {
    let mut world = World::new();
    let rule = |seconds: u32| CronRule::parse(&format!("*/{seconds} * * * * *")).unwrap();
    let declare = |world: &mut World, seconds: u32| {
        world.declare_all("t", vec![World::task("t", &[])], |definition| {
            definition.content = Declaration::sample(&seconds.to_string());
            definition.crons = vec![rule(seconds)];
            definition.cron_input = r#"{"by":"cron"}"#.into();
        });
    };
    declare(&mut world, 10);
    world.seconds(60);
    assert_eq!(world.state.runs.runs.len(), 6);
    let run = world.state.runs.runs.values().next().unwrap();
    assert_eq!(&*run.input, r#"{"by":"cron"}"#);
    assert!(has_pair(&run.metadata, "hatchet__cron_expression", "*/10 * * * * *"));
    declare(&mut world, 30);
    world.seconds(60);
    assert_eq!(world.state.runs.runs.len(), 8, "the newest declaration applies");
    let declared = world.state.crons().next().unwrap().0;

    let add = |world: &mut World, workflow: &str| {
        world.event(|state, now| state.add_cron(World::template(workflow), rule(20), "mine".into(), now))
    };
    let cron = add(&mut world, "t").unwrap();
    assert_eq!(add(&mut world, "t"), Err(CronError::Duplicate));
    assert_eq!(add(&mut world, "x"), Err(CronError::UnknownWorkflow));
    assert!(world.event(|state, now| state.enable_cron(declared, false, now)));
    world.seconds(60);
    assert_eq!(world.state.runs.runs.len(), 11);
    assert!(world.event(|state, _| state.remove_cron(cron)));
    assert!(!world.event(|state, _| state.remove_cron(cron)));
    world.seconds(60);
    assert_eq!(world.state.runs.runs.len(), 11);
}

#[test]
fn new_version_adds_removed_declared_cron_again() {
    let mut world = World::new();
    let declare = |world: &mut World, name: &str| {
        world.declare_all("t", vec![World::task("t", &[])], |definition| {
            definition.content = Declaration::sample(name);
            definition.crons = vec![CronRule::parse("*/10 * * * * *").unwrap()];
        });
    };
    declare(&mut world, "1");
    let declared = world.state.crons().next().unwrap().0;
    assert!(world.event(|state, _| state.remove_cron(declared)));
    declare(&mut world, "1");
    world.seconds(60);
    assert_eq!(world.state.runs.runs.len(), 0, "equal content creates no new version");
    declare(&mut world, "2");
    world.seconds(60);
    assert_eq!(world.state.runs.runs.len(), 6);
}

#[test]
fn obsolete_schedule_is_dropped_at_start() {
    let (mut world, mut store) = super::restart::tracked_world();
    world.declare("t", |_| ());
    let time = world.now.wall.plus(Duration::from_secs(60));
    world.event(|state, now| state.schedule(&World::template("t"), &[time, time], now)).unwrap();
    store.persist(&mut world.state, world.now);
    // Field 6: the id of its run.
    let run = [&[0x32, 18, 0x09][..], &[1; 8], &[0x11], &[2; 8]].concat();
    store.add_field(Table::Schedules, &run);
    world.state = store.load(&world).unwrap();
    assert_eq!(world.state.schedules().count(), 1);
    store.persist(&mut world.state, world.now);
    assert_eq!(store.rows(Table::Schedules), 1);
    world.seconds(60);
    assert_eq!((runs(&world, "t"), world.state.schedules().count()), (1, 0));
}

#[cfg(feature = "cel")]
#[test]
fn cron_with_costly_expression_starts_no_run() {
    let mut world = World::new();
    let lists = (0..8).map(|level| format!("[0,1,2,3,4,5,6,7,8,9].all(x{level}, ")).collect::<String>();
    for (name, text) in [("costly", format!("{lists}true{} ? 'a' : 'b'", ")".repeat(8))), ("cheap", "'c'".into())] {
        world.declare_all(name, vec![World::task("t", &[])], |definition| {
            definition.crons = vec![CronRule::parse("*/20 * * * * *").unwrap()];
            definition.idempotency = Some(Idempotency {
                expression: Expression::compile(&text).unwrap(),
                lease: Lease { ttl: Duration::from_secs(1), until_end: false },
            });
        });
    }
    world.seconds(60);
    assert_eq!((runs(&world, "costly"), runs(&world, "cheap")), (0, 3));
}

/// Runs of one workflow.
fn runs(world: &World, name: &str) -> usize {
    world.state.runs.runs.values().filter(|run| &*run.version.definition.name == name).count()
}

/// Triggers a run and returns its creation time.
fn created_now(world: &mut World) -> Timestamp {
    let run = world.trigger("runs");
    world.state.run(run).unwrap().1.created
}

#[test]
fn clock_set_forward_starts_due_runs_only() {
    let mut world = World::new();
    for name in ["scheduled", "hourly", "runs"] {
        world.declare(name, |task| task.timeout = Duration::from_secs(60));
    }
    let (worker, _) = world.worker(&["runs"], 1);
    let (running, waiting) = (world.trigger("runs"), world.trigger("runs"));
    let time = world.now.wall.plus(Duration::from_secs(1800));
    world.event(|state, now| state.schedule(&World::template("scheduled"), &[time], now)).unwrap();
    let rule = CronRule::parse("0 * * * *").unwrap();
    world.event(|state, now| state.add_cron(World::template("hourly"), rule, "c".into(), now)).unwrap();
    world.seconds(1);
    world.set_wall(|wall| wall + 2 * 3_600_000);
    world.seconds(10);
    assert_eq!(
        [runs(&world, "scheduled"), runs(&world, "hourly")],
        [1, 1],
        "a cron starts one run for all skipped times"
    );
    assert_eq!(
        world.status(running),
        (RunStatus::Running, 0),
        "neither its timeout nor its worker's lease has elapsed"
    );
    assert_eq!(world.status(waiting), (RunStatus::Queued, 0));
    assert!(world.state.worker(worker).is_some());
    let later = world.trigger("runs");
    assert_eq!(world.state.run(later).unwrap().1.created, world.now.wall, "display time follows the wall clock");
    world.seconds(60);
    assert_ne!(world.status(running), (RunStatus::Running, 0));
}

#[test]
fn clock_set_back_starts_no_run_twice() {
    let mut world = World::new();
    for name in ["scheduled", "hourly", "runs"] {
        world.declare(name, |_| ());
    }
    let times = [0, 1800].map(|seconds| world.now.wall.plus(Duration::from_secs(seconds)));
    world.event(|state, now| state.schedule(&World::template("scheduled"), &times, now)).unwrap();
    let rule = CronRule::parse("0 * * * *").unwrap();
    world.event(|state, now| state.add_cron(World::template("hourly"), rule, "c".into(), now)).unwrap();
    // To a minute after the full hour.
    world.seconds(3600 - 1000 + 60);
    let (created, before) = (created_now(&mut world), world.now.display);
    assert_eq!([runs(&world, "scheduled"), runs(&world, "hourly")], [2, 1]);
    world.set_wall(|wall| wall - 3_600_000);
    world.seconds(3600);
    assert_eq!([runs(&world, "scheduled"), runs(&world, "hourly")], [2, 1], "the same hour again");
    let after = created_now(&mut world);
    assert!(after >= created && after >= before);
    world.seconds(3600);
    assert_eq!(runs(&world, "hourly"), 2, "the next hour has a new run");
    // A day ahead, then corrected: crons follow the corrected time immediately.
    world.set_wall(|wall| wall + 24 * 3_600_000);
    world.seconds(10);
    world.set_wall(|wall| wall - 24 * 3_600_000);
    world.seconds(3610);
    assert_eq!(runs(&world, "hourly"), 4, "a run at the jump, and another in the hour after it");
}

#[test]
fn cron_created_with_wrong_clock_follows_corrected_clock() {
    let hourly = || CronRule::parse("0 * * * *").unwrap();
    let (mut world, mut store) = super::restart::tracked_world();
    world.declare("hourly", |_| ());
    world.declare("later", |_| ());
    world.set_wall(|wall| wall + 24 * 3_600_000);
    world.event(|state, now| state.add_cron(World::template("hourly"), hourly(), "c".into(), now)).unwrap();
    // The clock is corrected before the cron was due, and another cron is added.
    world.set_wall(|wall| wall - 24 * 3_600_000);
    world.event(|state, now| state.add_cron(World::template("later"), hourly(), "c".into(), now)).unwrap();
    world.seconds(3600);
    assert_eq!([runs(&world, "hourly"), runs(&world, "later")], [1, 1]);
    // The same after a restart.
    store.persist(&mut world.state, world.now);
    world.set_wall(|wall| wall + 24 * 3_600_000);
    world.state = store.load(&world).unwrap();
    world.set_wall(|wall| wall - 24 * 3_600_000);
    world.seconds(3600);
    assert_eq!([runs(&world, "hourly"), runs(&world, "later")], [2, 2]);
}

#[test]
fn restored_waits_follow_wall_clock_of_restart() {
    let (mut world, mut store) = super::restart::tracked_world();
    world.declare("t", |task| task.timeout = Duration::from_secs(60));
    world.worker(&["t"], 1);
    world.set_wall(|wall| wall + 3_600_000);
    let run = world.trigger("t");
    store.persist(&mut world.state, world.now);
    world.advance_clock(Duration::from_secs(20));
    world.now.monotonic = MonotonicInstant(0);
    world.state = store.load(&world).unwrap();
    world.seconds(29);
    assert_eq!(
        world.status(run),
        (RunStatus::Running, 0),
        "the task has 40 s left, and its worker 30 s to open a stream"
    );
}

#[test]
fn wall_clock_jump_expires_no_run() {
    const DAY: u64 = 24 * 3_600_000;
    let mut world = World::new();
    world.declare("t", |_| ());
    let run = world.trigger("t");
    world.event(|state, now| state.cancel(run, now));
    for days in [8, 365] {
        world.set_wall(|wall| wall + days * DAY);
        world.trigger("t");
        assert!(world.state.run(run).is_some(), "{days} days ahead");
        world.set_wall(|wall| wall - days * DAY);
        world.trigger("t");
        assert!(world.state.run(run).is_some(), "{days} days back");
    }
    world.advance_clock(Duration::from_millis(7 * DAY));
    world.trigger("t");
    assert!(world.state.run(run).is_none(), "after seven days on the monotonic clock");
}

#[test]
fn extreme_timeout_extension_does_not_overflow() {
    let mut world = World::new();
    let max = crate::hatchet::wire::parse_duration("2562047h47m16.854775807s").unwrap();
    world.declare("t", |task| {
        task.timeout = max;
        task.schedule_timeout = max;
    });
    let run = world.trigger("t");
    world.seconds(60);
    world.worker(&["t"], 1);
    for _ in 0..10_000 {
        world.event(|state, now| state.refresh_timeout(run, max, now)).unwrap();
    }
    assert!(world.state.next_deadline().wait(world.now).is_some());
    world.complete(run, 0);
    assert_eq!(world.status(run).0, RunStatus::Completed);
}
