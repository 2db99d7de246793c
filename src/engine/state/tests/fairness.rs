//! Tests of the fairness between workflows.

use super::*;

/// Completes the started tasks in their order, and returns the names of the completed tasks.
fn complete_in_order(world: &mut World, count: usize) -> Vec<String> {
    let mut order = Vec::new();
    let mut running = world.started();
    while order.len() < count {
        let (task, attempt) = running.remove(0);
        order.push(world.state.spec(task).unwrap().definition.name.to_string());
        world.complete(task, attempt);
        running.extend(world.started());
    }
    order
}

#[test]
fn flooding_workflow_does_not_delay_others() {
    let mut world = World::new();
    for name in ["flood", "second", "third"] {
        world.declare(name, |_| ());
    }
    for name in ["flood"; 6].into_iter().chain(["second", "second", "third"]) {
        world.trigger_with(name, |item| item.template.priority = Some(if name == "flood" { 3 } else { 1 }));
    }
    world.worker(&["flood", "second", "third"], 1);
    let order = complete_in_order(&mut world, 9);
    assert_eq!(order, ["flood", "second", "third", "flood", "second", "flood", "flood", "flood", "flood"]);
}

#[test]
fn retry_waits_for_turn_of_its_workflow() {
    let mut world = World::new();
    world.declare("a", |t| t.retries = 1);
    world.declare("b", |_| ());
    world.worker(&["a", "b"], 1);
    let (a, b) = (world.trigger("a"), world.trigger("b"));
    world.started();
    world.fail(a, 0);
    assert_eq!(world.started(), [(b, 0)]);
    world.complete(b, 0);
    assert_eq!(world.started(), [(a, 1)]);
}

#[test]
fn workflow_is_assigned_to_all_pools_that_serve_it() {
    let mut world = World::new();
    for name in ["a", "b"] {
        world.declare(name, |_| ());
    }
    let runs = ["a", "a", "b", "b"].map(|name| world.trigger(name));
    let (first, _) = world.worker(&["a"], 1);
    world.worker(&["a", "b"], 1);
    assert_eq!(world.started(), [(runs[0], 0), (runs[2], 0)], "workflow b has its turn at the second worker");
    world.complete(runs[0], 0);
    assert_eq!(world.started(), [(runs[1], 0)]);
    world.event(|state, now| state.close_stream(StreamId(1), now));
    world.complete(runs[1], 0);
    world.seconds(3700);
    assert!(world.state.worker(first).is_none(), "removed with its pool");
    world.trigger("a");
}
