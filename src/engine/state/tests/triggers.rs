//! Events, schedules and crons.

use super::*;
use crate::engine::{
    cron::CronRule,
    persistence::row::Table,
    state::triggers::metadata::has_pair,
    state::{CronError, PushedEvent, RunTemplate, TriggerError},
};

fn pushed(key: &str) -> PushedEvent {
    PushedEvent {
        key: key.into(),
        input: r#"{"a":1}"#.into(),
        metadata: r#"{"m":"1","hatchet__x":"y","hatchet__source_step_run_id":"s"}"#.into(),
        priority: Some(3),
        scope: None,
    }
}

fn on(world: &mut World, name: &str, keys: &[&str]) {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    world.declare_all(name, vec![World::task(name, &[])], |definition| {
        definition.content.event_triggers = keys.clone();
        definition.events = keys;
    });
}

fn template(workflow: &str) -> RunTemplate {
    RunTemplate { workflow: workflow.into(), input: "{}".into(), metadata: "{}".into(), priority: None }
}

#[test]
fn an_event_starts_each_workflow_once() {
    let mut world = World::new();
    on(&mut world, "exact", &["user:new"]);
    on(&mut world, "both", &["user:*", "*:new"]);
    on(&mut world, "other", &["User:new"]);
    let id = world.event(|state, now| state.push_event(pushed("user:new"), now));
    let runs = world.state.event(id).unwrap().runs.clone();
    let names: Vec<&str> = runs.iter().map(|id| &*world.state.run(*id).unwrap().1.version.workflow).collect();
    assert_eq!(names, ["both", "exact"]);
    let (_, run) = world.state.run(runs[0]).unwrap();
    assert_eq!((&*run.input, run.priority), (r#"{"a":1}"#, 3));
    assert!(has_pair(&run.metadata, "hatchet__event_id", &id.to_string()) && has_pair(&run.metadata, "m", "1"));
    assert!(!has_pair(&run.metadata, "hatchet__x", "y") && has_pair(&run.metadata, "hatchet__source_step_run_id", "s"));

    on(&mut world, "both", &["another"]);
    let id = world.event(|state, now| state.push_event(pushed("user:old"), now));
    assert!(world.state.event(id).unwrap().runs.is_empty(), "the newest declaration counts");
}

#[test]
fn events_are_kept_up_to_a_bound() {
    let mut world = World::keeping(2);
    let ids = [0; 3].map(|_| world.event(|state, now| state.push_event(pushed("e"), now)));
    assert!(world.state.event(ids[0]).is_none());
    let kept: Vec<Uuid> = world.state.events().map(|(id, _)| id).collect();
    assert_eq!(kept, [ids[2], ids[1]], "the newest first");
}

#[test]
fn a_schedule_starts_its_run_in_time() {
    let mut world = World::new();
    world.declare("t", |_| ());
    world.worker(&["t"], 1);
    let (at, later) = (world.now.wall.plus(Duration::from_secs(60)), world.now.wall.plus(Duration::from_secs(600)));
    let ids = world.event(|state, now| state.schedule(&template("t"), &[at, later, Timestamp(0)], now)).unwrap();
    let left = |world: &World| ids.iter().filter(|id| world.state.scheduled(**id).is_some()).count();
    world.seconds(0);
    assert_eq!((runs(&world, "t"), left(&world)), (1, 2), "what is over is now, and it is gone then");
    assert!(!world.event(|state, _| state.reschedule(ids[2], at)));
    assert!(world.event(|state, _| state.reschedule(ids[1], at)));
    assert!(world.event(|state, _| state.unschedule(ids[0])));
    assert!(!world.event(|state, _| state.unschedule(ids[0])));
    world.seconds(59);
    assert_eq!((runs(&world, "t"), left(&world)), (1, 1));
    world.seconds(1);
    assert_eq!((runs(&world, "t"), left(&world)), (2, 0));
    let refused = world.event(|state, now| state.schedule(&template("x"), &[at], now));
    assert_eq!(refused, Err(TriggerError::UnknownWorkflow("x".into())));
}

#[test]
fn crons_start_runs_until_they_are_taken_back() {
    let mut world = World::new();
    let every = |seconds: u32| CronRule::parse(&format!("*/{seconds} * * * * *")).unwrap();
    let declare = |world: &mut World, seconds: u32| {
        world.declare_all("t", vec![World::task("t", &[])], |definition| {
            definition.content.version = seconds.to_string();
            definition.crons = vec![every(seconds)];
            definition.cron_input = r#"{"by":"cron"}"#.into();
        });
    };
    declare(&mut world, 10);
    world.seconds(60);
    assert_eq!(world.state.runs.len(), 6);
    let run = world.state.runs.values().next().unwrap();
    assert_eq!(&*run.input, r#"{"by":"cron"}"#);
    assert!(has_pair(&run.metadata, "hatchet__cron_expression", "*/10 * * * * *"));
    declare(&mut world, 30);
    world.seconds(60);
    assert_eq!(world.state.runs.len(), 8, "the newest declaration counts");
    let declared = world.state.crons().next().unwrap().0;

    let add = |world: &mut World, workflow: &str| {
        world.event(|state, now| state.add_cron(template(workflow), every(20), "mine".into(), now))
    };
    let mine = add(&mut world, "t").unwrap();
    assert_eq!(add(&mut world, "t"), Err(CronError::Duplicate));
    assert_eq!(add(&mut world, "x"), Err(CronError::UnknownWorkflow));
    assert!(world.event(|state, now| state.enable_cron(declared, false, now)));
    world.seconds(60);
    assert_eq!(world.state.runs.len(), 11);
    assert!(world.event(|state, _| state.remove_cron(mine)));
    assert!(!world.event(|state, _| state.remove_cron(mine)));
    world.seconds(60);
    assert_eq!(world.state.runs.len(), 11);
}

#[test]
fn removed_declared_cron_comes_back_with_another_version() {
    let mut world = World::new();
    let declare = |world: &mut World, version: &str| {
        world.declare_all("t", vec![World::task("t", &[])], |definition| {
            definition.content.version = version.into();
            definition.crons = vec![CronRule::parse("*/10 * * * * *").unwrap()];
        });
    };
    declare(&mut world, "1");
    let declared = world.state.crons().next().unwrap().0;
    assert!(world.event(|state, _| state.remove_cron(declared)));
    declare(&mut world, "1");
    world.seconds(60);
    assert_eq!(world.state.runs.len(), 0, "the same content is no new version");
    declare(&mut world, "2");
    world.seconds(60);
    assert_eq!(world.state.runs.len(), 6);
}

#[test]
fn triggered_schedule_of_an_earlier_version_is_dropped_at_a_start() {
    let (mut world, mut disk) = super::restart::keeping();
    world.declare("t", |_| ());
    let at = world.now.wall.plus(Duration::from_secs(60));
    world.event(|state, now| state.schedule(&template("t"), &[at, at], now)).unwrap();
    disk.keep(&mut world.state, world.now);
    // Field 6: the id of its run.
    let run = [&[0x32, 18, 0x09][..], &[1; 8], &[0x11], &[2; 8]].concat();
    disk.add_field(Table::Schedules, &run);
    world.state = disk.load(&world).unwrap();
    assert_eq!(world.state.schedules().count(), 1);
    disk.keep(&mut world.state, world.now);
    assert_eq!(disk.rows(Table::Schedules), 1);
    world.seconds(60);
    assert_eq!((runs(&world, "t"), world.state.schedules().count()), (1, 0));
}

#[cfg(feature = "cel")]
#[test]
fn cron_with_a_costly_expression_starts_no_run_and_holds_nothing_up() {
    use crate::engine::{
        state::model::{Idempotency, Lease},
        state::triggers::idempotency::Expression,
    };
    let mut world = World::new();
    let lists = (0..8).map(|at| format!("[0,1,2,3,4,5,6,7,8,9].all(x{at}, ")).collect::<String>();
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
    world.state.runs.values().filter(|run| &*run.version.workflow == name).count()
}

/// When a run is made that is made now.
fn made(world: &mut World) -> Timestamp {
    let run = world.trigger("runs");
    world.state.run(run).unwrap().1.created
}

#[test]
fn a_clock_that_is_set_forward_brings_schedules_and_crons_and_ends_no_wait() {
    let mut world = World::new();
    for name in ["scheduled", "hourly", "runs"] {
        world.declare(name, |task| task.timeout.0 = Duration::from_secs(60));
    }
    let (worker, _) = world.worker(&["runs"], 1);
    let (running, waits) = (world.trigger("runs"), world.trigger("runs"));
    let at = world.now.wall.plus(Duration::from_secs(1800));
    world.event(|state, now| state.schedule(&template("scheduled"), &[at], now)).unwrap();
    let rule = CronRule::parse("0 * * * *").unwrap();
    world.event(|state, now| state.add_cron(template("hourly"), rule, "c".into(), now)).unwrap();
    world.seconds(1);
    world.set_wall(|wall| wall + 2 * 3_600_000);
    world.seconds(10);
    assert_eq!([runs(&world, "scheduled"), runs(&world, "hourly")], [1, 1], "what was leapt over is one run of a cron");
    assert_eq!(world.status(running), (RunStatus::Running, 0), "neither its timeout nor its worker's lease is over");
    assert_eq!(world.status(waits), (RunStatus::Queued, 0));
    assert!(world.state.worker(worker).is_some());
    let later = world.trigger("runs");
    assert_eq!(world.state.run(later).unwrap().1.created, world.now.wall, "what is shown has gone with it");
    world.seconds(60);
    assert_ne!(world.status(running), (RunStatus::Running, 0));
}

#[test]
fn a_clock_that_is_set_back_starts_nothing_twice_and_shows_nothing_as_earlier() {
    let mut world = World::new();
    for name in ["scheduled", "hourly", "runs"] {
        world.declare(name, |_| ());
    }
    let times = [0, 1800].map(|seconds| world.now.wall.plus(Duration::from_secs(seconds)));
    world.event(|state, now| state.schedule(&template("scheduled"), &times, now)).unwrap();
    let rule = CronRule::parse("0 * * * *").unwrap();
    world.event(|state, now| state.add_cron(template("hourly"), rule, "c".into(), now)).unwrap();
    // To the full hour, and a while.
    world.seconds(3600 - 1000 + 60);
    let (created, before) = (made(&mut world), world.now.display);
    assert_eq!([runs(&world, "scheduled"), runs(&world, "hourly")], [2, 1]);
    world.set_wall(|wall| wall - 3_600_000);
    world.seconds(3600);
    assert_eq!([runs(&world, "scheduled"), runs(&world, "hourly")], [2, 1], "the same hour again");
    let after = made(&mut world);
    assert!(after >= created && after >= before);
    world.seconds(3600);
    assert_eq!(runs(&world, "hourly"), 2, "the next hour is a new one");
    // A day too far, and put right: crons go by the right time at once.
    world.set_wall(|wall| wall + 24 * 3_600_000);
    world.seconds(10);
    world.set_wall(|wall| wall - 24 * 3_600_000);
    world.seconds(3610);
    assert_eq!(runs(&world, "hourly"), 4, "one at the leap, and one in the hour after");
}

#[test]
fn a_cron_that_is_made_while_the_clock_is_wrong_goes_by_the_right_one() {
    let hourly = || CronRule::parse("0 * * * *").unwrap();
    let (mut world, mut disk) = super::restart::keeping();
    world.declare("hourly", |_| ());
    world.declare("later", |_| ());
    world.set_wall(|wall| wall + 24 * 3_600_000);
    world.event(|state, now| state.add_cron(template("hourly"), hourly(), "c".into(), now)).unwrap();
    // Put right before anything was due, and another one is made.
    world.set_wall(|wall| wall - 24 * 3_600_000);
    world.event(|state, now| state.add_cron(template("later"), hourly(), "c".into(), now)).unwrap();
    world.seconds(3600);
    assert_eq!([runs(&world, "hourly"), runs(&world, "later")], [1, 1]);
    // So it is at a start.
    disk.keep(&mut world.state, world.now);
    world.set_wall(|wall| wall + 24 * 3_600_000);
    world.state = disk.load(&world).unwrap();
    world.set_wall(|wall| wall - 24 * 3_600_000);
    world.seconds(3600);
    assert_eq!([runs(&world, "hourly"), runs(&world, "later")], [2, 2]);
}

#[test]
fn waits_that_are_kept_over_a_restart_count_by_the_clock_as_it_is_then() {
    let (mut world, mut disk) = super::restart::keeping();
    world.declare("t", |task| task.timeout.0 = Duration::from_secs(60));
    world.worker(&["t"], 1);
    world.set_wall(|wall| wall + 3_600_000);
    let run = world.trigger("t");
    disk.keep(&mut world.state, world.now);
    world.move_on(Duration::from_secs(20));
    world.now.monotonic = MonotonicInstant(0);
    world.state = disk.load(&world).unwrap();
    world.seconds(29);
    assert_eq!(world.status(run), (RunStatus::Running, 0), "it has 40 s left, and its worker 30 s to come back");
}

#[test]
fn a_clock_that_leaps_forward_and_back_makes_no_run_old() {
    const DAY: u64 = 24 * 3_600_000;
    let mut world = World::new();
    world.declare("t", |_| ());
    let run = world.trigger("t");
    world.event(|state, now| state.cancel(run, now));
    for days in [8, 365] {
        world.set_wall(|wall| wall + days * DAY);
        world.trigger("t");
        assert!(world.state.run(run).is_some(), "{days} days on");
        world.set_wall(|wall| wall - days * DAY);
        world.trigger("t");
        assert!(world.state.run(run).is_some(), "{days} days back");
    }
    world.move_on(Duration::from_millis(7 * DAY));
    world.trigger("t");
    assert!(world.state.run(run).is_none(), "now it is");
}

#[test]
fn deadline_that_is_refreshed_beyond_all_time_overflows_nothing() {
    let mut world = World::new();
    let longest = crate::hatchet::wire::parse_duration("2562047h47m16.854775807s").unwrap();
    world.declare("t", |task| {
        task.timeout.0 = longest;
        task.schedule_timeout = longest;
    });
    let run = world.trigger("t");
    world.seconds(60);
    world.worker(&["t"], 1);
    for _ in 0..10_000 {
        world.event(|state, now| state.refresh_timeout(run, longest, now)).unwrap();
    }
    assert!(world.state.next_deadline().wait(world.now).is_some());
    world.complete(run, 0);
    assert_eq!(world.status(run).0, RunStatus::Completed);
}
