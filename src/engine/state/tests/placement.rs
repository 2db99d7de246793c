//! Tests of sticky workflows, and of labels of workers.

use super::{restart::tracked_world, *};
use crate::engine::{
    persistence::records::Label,
    state::{
        Desired, Phase,
        placement::{Comparator, DesiredLabel, Sticky},
        scheduler::WorkerPool,
    },
};
use RunStatus::{Queued, Running};

fn desired(key: &str, value: &str, required: bool, weight: i32) -> DesiredLabel {
    let (text, comparator) = (Some(value.into()), Comparator::Equal);
    DesiredLabel { key: key.into(), text, number: None, comparator, required, weight }
}

impl World {
    fn label(&mut self, worker: WorkerId, key: &str, value: &str) {
        let label = Label { text: Some(value.to_owned()), number: None };
        self.event(|state, now| state.label(worker, [(key.to_owned(), label)], now)).unwrap();
    }

    /// The worker that runs a task.
    fn worker_of(&self, task: RunId) -> Option<WorkerId> {
        match self.state.task(task).unwrap().phase {
            Phase::Running(running) => Some(running.worker),
            _ => None,
        }
    }
}

fn chain(world: &mut World, sticky: Sticky) {
    let tasks = vec![World::task("a", &[]), World::task("b", &[0]), World::task("c", &[1])];
    world.declare_all("dag", tasks, |d| d.sticky = Some(sticky));
}

#[test]
fn tasks_of_sticky_run_use_the_first_worker() {
    for sticky in [Sticky::Soft, Sticky::Hard] {
        let mut world = World::new();
        chain(&mut world, sticky);
        let workers = [(); 3].map(|()| world.worker(&["dag"], 5).0);
        let runs = [(); 6].map(|()| world.trigger("dag"));
        let first = runs.map(|run| world.worker_of(world.task_at(run, 0)).unwrap());
        assert!(workers.iter().all(|worker| first.contains(worker)), "the runs start on all workers");
        for index in 0..2 {
            runs.iter().for_each(|run| world.complete(world.task_at(*run, index), 0));
            assert_eq!(runs.map(|run| world.worker_of(world.task_at(run, index + 1)).unwrap()), first);
        }
    }
}

#[test]
fn only_hard_sticky_run_waits_for_its_worker() {
    for (sticky, expected) in [(Sticky::Soft, Running), (Sticky::Hard, Queued)] {
        let (mut world, mut store) = tracked_world();
        chain(&mut world, sticky);
        let (worker, _) = world.worker(&["dag"], 5);
        let run = world.trigger("dag");
        world.worker(&["dag"], 5);
        world.event(|state, now| state.pause(worker, true, now)).unwrap();
        world.complete(world.task_at(run, 0), 0);
        let second = world.task_at(run, 1);
        assert_eq!(world.status(second).0, expected);
        world.restart(&mut store);
        assert_eq!(world.status(second).0, expected);
        if expected == Queued {
            world.event(|state, now| state.open_stream(worker, true, now)).unwrap();
            world.event(|state, now| state.pause(worker, false, now)).unwrap();
            assert_eq!(world.worker_of(second), Some(worker));
        }
    }
}

#[test]
fn desired_worker_of_a_trigger_applies_to_sticky_workflows_only() {
    let mut world = World::new();
    world.declare("plain", |_| ());
    world.declare_all("hard", vec![World::task("a", &[])], |d| d.sticky = Some(Sticky::Hard));
    let (full, _) = world.worker(&["plain", "hard"], 1);
    world.trigger("plain");
    world.worker(&["plain", "hard"], 9);
    let desire_full = |item: &mut TriggerItem| item.desired = Desired { worker: Some(full), labels: Vec::new() };
    let runs = [world.trigger_with("hard", desire_full), world.trigger_with("plain", desire_full)];
    assert_eq!(runs.map(|run| world.status(run).0), [Queued, Running]);
}

#[test]
fn task_waits_for_a_worker_with_its_required_label() {
    let mut world = World::new();
    world.declare("t", |t| t.labels = vec![desired("kind", "gpu", true, 100)]);
    let (worker, _) = world.worker(&["t"], 2);
    world.label(worker, "kind", "cpu");
    let run = world.trigger("t");
    assert_eq!(world.status(run).0, Queued);
    world.label(worker, "kind", "gpu");
    assert_eq!(world.status(run).0, Running, "a change of labels is enough");
}

#[test]
fn worker_with_greatest_weight_is_preferred_while_it_has_slots() {
    let mut world = World::new();
    world.declare("t", |t| t.labels = vec![desired("a", "x", false, 10), desired("b", "y", false, 50)]);
    let workers = [(); 3].map(|()| world.worker(&["t"], 2).0);
    world.label(workers[0], "a", "x");
    world.label(workers[1], "b", "y");
    let runs = [(); 6].map(|()| world.trigger("t"));
    let order = [1, 1, 0, 0, 2, 2].map(|index: usize| Some(workers[index]));
    assert_eq!(runs.map(|run| world.worker_of(run)), order);
}

#[test]
fn label_search_takes_one_step_per_label_set() {
    let mut world = World::new();
    world.declare("t", |t| t.labels = vec![desired("kind", "gpu", true, 10)]);
    let workers: Vec<WorkerId> = (0..60).map(|_| world.worker(&["t"], 1).0).collect();
    let label_sets = |world: &World| {
        let queue = world.state.version_of("t").unwrap().task(0).unwrap().queue;
        let pools = world.state.scheduler.pools_of(world.state.scheduler.queue(queue));
        pools.map(WorkerPool::label_sets).collect::<Vec<_>>()
    };
    assert_eq!(label_sets(&world), [1], "without labels");
    for (index, worker) in workers.iter().enumerate() {
        world.label(*worker, "kind", ["cpu", "gpu", "tpu"][index % 3]);
    }
    assert_eq!(label_sets(&world), [3]);
    let runs: Vec<RunId> = (0..20).map(|_| world.trigger("t")).collect();
    let used: std::collections::BTreeSet<WorkerId> = runs.iter().filter_map(|run| world.worker_of(*run)).collect();
    assert_eq!(used, workers.iter().skip(1).step_by(3).copied().collect());
    assert_eq!(label_sets(&world), [2], "no worker with the label has a free slot");
    let last = world.trigger("t");
    assert_eq!(world.status(last).0, Queued);
    world.complete(runs[7], 0);
    assert!(used.contains(&world.worker_of(last).unwrap()));
    for worker in workers {
        world.event(|state, now| state.pause(worker, true, now)).unwrap();
    }
    assert_eq!(label_sets(&world), [0]);
}

#[test]
fn labels_of_a_trigger_extend_labels_of_the_task() {
    let (mut world, mut store) = tracked_world();
    world.declare("t", |t| t.labels = vec![desired("a", "x", true, 100), desired("b", "y", true, 100)]);
    let worker = world.register(&["t"], &[("default", 5)]);
    world.label(worker, "a", "z");
    world.label(worker, "b", "y");
    let desire = |key: &str, value: &str| {
        let labels = vec![desired(key, value, true, 100)];
        move |item: &mut TriggerItem| item.desired = Desired { worker: None, labels }
    };
    let plain = world.trigger("t");
    let replaced = world.trigger_with("t", desire("a", "z"));
    let added = world.trigger_with("t", desire("c", "z"));
    world.restart(&mut store);
    world.event(|state, now| state.open_stream(worker, true, now)).unwrap();
    assert_eq!([plain, replaced, added].map(|run| world.status(run).0), [Queued, Running, Queued]);
}
