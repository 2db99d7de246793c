//! Tests of event filters, and of the pause and deletion of workflows.

use super::{restart::tracked_world, *};
use crate::engine::{
    persistence::row::Table,
    state::{FilterError, FilterRule, Pause, PauseBehavior, predicate::Predicate},
};

fn rule(scope: &str, expression: &str, payload: &str) -> FilterRule {
    FilterRule::new(scope, Predicate::compile(expression).unwrap(), payload)
}

fn push(world: &mut World, input: &str, scope: Option<&str>) -> Vec<RunId> {
    let event = PushedEvent {
        key: "k".into(),
        input: input.into(),
        metadata: "{}".into(),
        priority: None,
        scope: scope.map(str::to_owned),
    };
    let id = world.event(|state, now| state.push_event(event, now));
    world.state.event(id).unwrap().runs.clone()
}

fn workflow_id(world: &World, name: &str) -> Uuid {
    world.state.version_of(name).unwrap().workflow_id
}

fn payload(world: &World, run: RunId) -> String {
    match &world.state.run(run).unwrap().1.origin {
        Origin::Event { filter: Some(filter), .. } => filter.payload.to_string(),
        other => panic!("{other:?}"),
    }
}

#[cfg(feature = "cel")]
#[test]
fn event_triggers_a_run_for_each_matching_filter() {
    let (mut world, mut store) = tracked_world();
    world.declare_all("w", vec![World::task("w", &[])], |definition| {
        definition.events = vec!["k".into()];
        definition.filters = vec![rule("s", "input.n > 1 && event_key == 'k'", r#"{"p":1}"#)];
    });
    let id = workflow_id(&world, "w");
    for (input, scope, runs) in
        [("{\"n\":2}", Some("s"), 1), ("{\"n\":2}", None, 0), ("{\"n\":2}", Some("t"), 0), ("{}", Some("s"), 0)]
    {
        assert_eq!(push(&mut world, input, scope).len(), runs, "{input} {scope:?}");
    }
    let second = rule("s", "payload.p == 2", r#"{"p":2}"#);
    let added = world.event(|state, now| state.add_filter(id, second.clone(), now)).unwrap();
    let equal = rule("s", "payload.p == 2", r#"{ "p": 2 }"#);
    assert_eq!(world.event(|state, now| state.add_filter(id, equal, now)), Err(FilterError::Duplicate));
    assert_eq!(world.event(|state, now| state.add_filter(Uuid::nil(), second, now)), Err(FilterError::UnknownWorkflow));
    world.restart(&mut store);
    let runs = push(&mut world, "{\"n\":2}", Some("s"));
    world.restart(&mut store);
    let mut payloads: Vec<String> = runs.into_iter().map(|run| payload(&world, run)).collect();
    payloads.sort();
    assert_eq!(payloads, [r#"{"p":1}"#, r#"{"p":2}"#]);
    world.event(|state, now| state.update_filter(added, rule("t", "true", "{}"), now)).unwrap();
    assert_eq!(push(&mut world, "{}", Some("t")).len(), 1);
    world.event(|state, _| state.remove_filter(added)).unwrap();
    assert_eq!(push(&mut world, "{}", Some("t")).len(), 0);
}

#[test]
fn new_version_replaces_declared_filters_and_keeps_others() {
    let mut world = World::new();
    let declare = |world: &mut World, name: &str, rules: Vec<FilterRule>| {
        let task = TaskDefinition { timeout_text: name.into(), ..World::task("w", &[]) };
        world.declare_all("w", vec![task], |definition| definition.filters = rules);
    };
    declare(&mut world, "1", vec![rule("a", "true", "{}"), rule("b", "true", "{}")]);
    let id = workflow_id(&world, "w");
    world.event(|state, now| state.add_filter(id, rule("c", "true", "{}"), now)).unwrap();
    let scopes = |world: &World| {
        let mut scopes: Vec<String> = world.state.filters().map(|(_, filter)| filter.rule.scope.to_string()).collect();
        scopes.sort();
        scopes
    };
    declare(&mut world, "2", Vec::new());
    assert_eq!(scopes(&world), ["a", "b", "c"], "a definition without filters leaves them");
    declare(&mut world, "3", vec![rule("c", "true", "{ }")]);
    assert_eq!(scopes(&world), ["c"], "a declared filter replaces an equal one");
    world.event(|state, now| state.add_filter(id, rule("c", "true", "{\"p\":1}"), now)).unwrap();
    declare(&mut world, "4", vec![rule("c", "true", "{}")]);
    assert_eq!(scopes(&world), ["c", "c"], "a filter with another payload is kept");
}

fn pause(cron: PauseBehavior, scheduled: PauseBehavior, ttl: u64) -> Option<Pause> {
    Some(Pause { cron, scheduled, ttl: Duration::from_secs(ttl) })
}

#[test]
fn paused_workflow_queues_runs_until_it_is_resumed() {
    let (mut world, mut store) = tracked_world();
    world.declare("w", |_| ());
    world.declare("other", |_| ());
    let id = workflow_id(&world, "w");
    let behavior = PauseBehavior::Queue;
    assert!(world.event(|state, now| state.pause_workflow(id, pause(behavior, behavior, 1000), now)));
    let runs = [world.trigger("w"), world.trigger("w")];
    world.worker(&["w", "other"], 1);
    assert!(world.started().is_empty());
    let other = world.trigger("other");
    assert_eq!(world.started(), [(other, 0)]);
    world.complete(other, 0);
    world.seconds(600);
    world.restart(&mut store);
    assert_eq!(runs.map(|run| world.status(run).0), [RunStatus::Queued; 2], "no schedule timeout");
    world.worker(&["w"], 1);
    assert!(world.started().is_empty());
    assert!(world.event(|state, now| state.pause_workflow(id, None, now)));
    assert_eq!(world.started(), [(runs[0], 0)]);
    world.seconds(301);
    assert_eq!(world.status(runs[1]).0, RunStatus::Cancelled, "the schedule timeout begins with the end of the pause");
    assert!(!world.event(|state, now| state.pause_workflow(Uuid::nil(), None, now)));
}

#[test]
fn time_to_live_of_pause_cancels_queued_runs() {
    let (mut world, mut store) = tracked_world();
    world.declare("w", |_| ());
    let id = workflow_id(&world, "w");
    let run = world.trigger("w");
    world.seconds(30);
    let behavior = PauseBehavior::Queue;
    world.event(|state, now| state.pause_workflow(id, pause(behavior, behavior, 50), now));
    world.restart(&mut store);
    world.seconds(19);
    assert_eq!(world.status(run).0, RunStatus::Queued);
    world.seconds(1);
    assert_eq!(world.status(run).0, RunStatus::Cancelled);
}

#[test]
fn pause_drops_crons_and_postpones_schedules() {
    let (mut world, mut store) = tracked_world();
    world.declare_all("w", vec![World::task("w", &[])], |definition| {
        definition.crons = vec![CronRule::parse("* * * * *").unwrap()];
    });
    let id = workflow_id(&world, "w");
    let time = Timestamp(world.now.wall.0 + 5000);
    world.event(|state, now| state.schedule(&World::template("w"), &[time], now)).unwrap();
    let behavior = PauseBehavior::Drop;
    world.event(|state, now| state.pause_workflow(id, pause(behavior, behavior, 1000), now));
    world.seconds(300);
    // A schedule that is due has no timer before the restart, and one until the next tick after it.
    store.persist(&mut world.state, world.now);
    world.state = store.load(&world).unwrap();
    world.seconds(1);
    assert_eq!(world.state.runs.created_total(), 0);
    world.event(|state, now| state.pause_workflow(id, None, now));
    world.seconds(1);
    assert_eq!(world.state.runs.created_total(), 1, "the schedule");
    world.seconds(60);
    assert_eq!(world.state.runs.created_total(), 2, "the cron");
}

#[test]
fn deleted_workflow_is_unknown_and_its_runs_continue() {
    let (mut world, mut store) = tracked_world();
    world.declare_all("w", vec![World::task("w", &[])], |definition| {
        definition.events = vec!["k".into()];
        definition.crons = vec![CronRule::parse("* * * * *").unwrap()];
        definition.filters = vec![rule("s", "true", "{}")];
    });
    let id = workflow_id(&world, "w");
    let run = world.trigger("w");
    assert!(world.event(|state, now| state.delete_workflow(id, now)));
    assert!(!world.event(|state, now| state.delete_workflow(id, now)));
    for _ in 0..2 {
        assert!(world.state.version_of("w").is_none() && world.state.workflow(id).is_none());
        assert_eq!((world.state.crons().count(), world.state.filters().count()), (0, 0));
        assert!(push(&mut world, "{}", Some("s")).is_empty());
        world.restart(&mut store);
    }
    world.worker(&["w"], 1);
    world.complete(run, 0);
    assert_eq!(world.status(run).0, RunStatus::Completed);
    world.declare("w", |_| ());
    assert_ne!(workflow_id(&world, "w"), id);
    world.state.retention = Retention { count: 0, ..world.state.retention };
    world.event(|_, _| ());
    world.restart(&mut store);
    assert_eq!((store.rows(Table::Settings), store.rows(Table::Versions)), (0, 1), "the new workflow");
}

#[test]
fn triggered_cron_starts_a_run_out_of_turn() {
    let mut world = World::new();
    world.declare("w", |_| ());
    let rule = CronRule::parse("0 0 1 1 *").unwrap();
    let cron = world.event(|state, now| state.add_cron(World::template("w"), rule, "c".into(), now)).unwrap();
    let run = world.event(|state, now| state.trigger_cron(cron, now)).unwrap();
    let (_, run) = world.state.run(run).unwrap();
    assert!(run.metadata.contains("hatchet__cron_name") && run.origin == Origin::Cron, "{}", run.metadata);
    assert!(world.event(|state, now| state.trigger_cron(Uuid::nil(), now)).is_none());
}
