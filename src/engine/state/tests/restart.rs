//! What is kept makes the same state again.

use std::collections::BTreeMap;

use super::*;
use crate::engine::{
    persistence::row::{Change, Damaged, Found, Row, RowKey, Table},
    state::{Loading, model::Phase, timers::Alarm},
};

/// A store in memory.
#[derive(Default)]
pub(super) struct Disk(BTreeMap<(Table, RowKey), Row>);

impl Disk {
    pub(super) fn keep(&mut self, state: &mut State, now: ClockReading) {
        for change in state.take_changes(now) {
            match change {
                Change::Put(table, key, row) => drop(self.0.insert((table, key), row)),
                Change::Delete(table, key) => drop(self.0.remove(&(table, key))),
            }
        }
        assert!(!state.is_changed());
    }

    /// Appends a protobuf field to the record of the first row of a table.
    pub(super) fn add_field(&mut self, table: Table, field: &[u8]) {
        let (_, row) = self.0.iter_mut().find(|((of, _), _)| *of == table).unwrap();
        row.head.extend_from_slice(field);
    }

    pub(super) fn rows(&self, table: Table) -> usize {
        self.0.keys().filter(|(of, _)| *of == table).count()
    }

    pub(super) fn load(&self, world: &World) -> Result<State, Damaged> {
        let definitions = world.definitions.iter().map(copy).collect::<Vec<_>>();
        let declare = move |content: CreateWorkflowVersionRequest| {
            definitions.iter().find(|of| of.content == content).map(copy).ok_or_else(|| "unknown".to_owned())
        };
        let mut count = u128::from(world.restarts + 1) << 64;
        let ids = Box::new(move || {
            count += 1;
            Uuid::from_u128(count)
        });
        let mut loading = Loading::new(Timings::default(), world.state.keep, ids, Box::new(declare), world.now);
        for table in Table::ALL {
            for ((of, key), row) in self.0.iter().filter(|((of, _), _)| *of == table) {
                let (number, key) = match key {
                    RowKey::Number(number) => (*number, &[][..]),
                    RowKey::Bytes(bytes) => (0, &bytes[..]),
                };
                let [first, second] = &row.texts;
                loading
                    .put(*of, Found { number, key, head: &row.head, texts: [first.as_deref(), second.as_deref()] })?;
            }
        }
        loading.finish()
    }
}

/// A definition once more.
pub(super) fn copy(of: &Definition) -> Definition {
    Definition {
        name: of.name.clone(),
        tasks: of.tasks.clone(),
        default_priority: of.default_priority,
        idempotency: of.idempotency.as_ref().map(|rule| Idempotency {
            expression: Expression::compile(rule.expression.text()).unwrap(),
            lease: rule.lease,
        }),
        events: of.events.clone(),
        crons: of.crons.clone(),
        cron_input: of.cron_input.clone(),
        content: of.content.clone(),
    }
}

impl World {
    /// The engine dies and starts again, with what was kept.
    pub(super) fn restart(&mut self, disk: &mut Disk) {
        disk.keep(&mut self.state, self.now);
        self.restarts += 1;
        let state = disk.load(self).unwrap();
        let (before, after) = (visible(&self.state), visible(&state));
        let differ = before.iter().zip(&after).find(|(before, after)| before != after);
        assert!(differ.is_none() && before.len() == after.len(), "before and after: {differ:#?}");
        self.state = state;
    }
}

/// All that anyone could ever notice of a state, but for streams and signs of life, which a restart ends.
pub(super) fn visible(state: &State) -> Vec<String> {
    let mut all = Vec::new();
    for id in state.by_age.values() {
        let run = &state.runs[id];
        all.push(format!(
            "run {id} {} {} {} {} {} {:?} {:?} {:?} {:?} {:?} {} {:?}",
            run.seq,
            run.version.id,
            run.input,
            run.metadata,
            run.priority,
            run.parent,
            run.origin,
            run.created,
            run.tasks,
            run.claim,
            run.open,
            run.finished.map(|end| end.at)
        ));
        for id in &run.tasks {
            let task = &state.tasks[id];
            all.push(format!(
                "task {id} {} {} {} {:?} {} {} {} {} {:?} {:?} {:?} {:?}",
                task.run,
                task.seq,
                task.spec,
                task.phase,
                task.attempt,
                task.failures,
                task.reassignments,
                task.assigned,
                task.alarm.map(|(at, _)| at),
                task.started,
                task.finished,
                sorted(&task.children),
            ));
            all.extend(state.lines(*id).map(|line| format!("{line:?}")));
            if let Phase::Queued(_) = task.phase {
                let lane = state.spec(*id).unwrap().lane;
                all.push(format!("turn {:?}", state.queue.turn_of(lane)));
            }
        }
    }
    all.push(format!("ended {:?}", state.finished.values()));
    for (id, worker) in state.workers() {
        all.push(format!(
            "worker {id} {} {:?} {:?} {:?} {} {} {:?}",
            worker.name, worker.actions, worker.slots, worker.listened, worker.paused, worker.gone, worker.running
        ));
    }
    for (name, flow) in state.workflows() {
        all.push(format!("flow {name} {} {:?} {}", flow.id, flow.created, flow.version.id));
    }
    all.extend(state.events().map(|event| format!("{event:?}")));
    all.extend(state.schedules().map(|(id, it)| format!("{id} {:?} {:?}", it.template, it.at)));
    all.extend(state.crons().map(|(id, it)| format!("{id} {:?} {} {}", it.template, it.rule.text(), it.enabled)));
    let mut rest: Vec<String> =
        state.claims.iter().map(|(key, it)| format!("{key} {} {:?}", it.run, it.lease)).collect();
    rest.extend(state.children.iter().map(|it| format!("{it:?}")));
    rest.extend(state.clock.all().filter_map(|(at, alarm)| match alarm {
        Alarm::Worker(_) | Alarm::Chunks(_) => None,
        Alarm::Task(_) | Alarm::Claim(_) => Some(format!("{at:?} {alarm:?}")),
    }));
    rest.extend(state.calendar.all().map(|(at, date)| format!("{at:?} {date:?}")));
    all.extend(sorted(&rest));
    all
}

fn sorted<T: Ord + Clone>(all: &[T]) -> Vec<T> {
    let mut all = all.to_vec();
    all.sort();
    all
}

pub(super) fn keeping() -> (World, Disk) {
    let mut world = World::new();
    world.state.note_changes();
    (world, Disk::default())
}

#[test]
fn everything_that_is_kept_comes_back() {
    let (mut world, mut disk) = keeping();
    let once = |definition: &mut Definition| {
        definition.events = vec!["a:*".into()];
        definition.crons = vec![CronRule::parse("*/5 * * * *").unwrap()];
        definition.idempotency = cfg!(feature = "cel").then(|| Idempotency {
            expression: Expression::compile("has(input.k) ? input.k : ''").unwrap(),
            lease: Lease { ttl: Duration::from_secs(3600), until_end: false },
        });
    };
    world.declare_all("all", vec![World::task("a", &[]), World::task("b", &[0])], once);
    world.declare("plain", |task| task.retries = 1);
    let parent = world.trigger("plain");
    for (index, key) in [(Some(4), None), (None, Some("k".to_owned()))] {
        let task = ParentRef { task: parent, index, key };
        world.trigger_with("plain", |item| item.parent = Some(task));
    }
    let lease = Lease { ttl: Duration::from_secs(60), until_end: true };
    let claimed = world.trigger_with("plain", |item| item.claim = Some(ClaimRequest { key: "key".into(), lease }));
    world.event(|state, now| state.put_log(parent, "said".into(), "WARN", r#"{"a":1}"#.into(), None, now.display));
    let pushed =
        PushedEvent { key: "a:b".into(), input: "{}".into(), metadata: "{}".into(), priority: Some(3), scope: None };
    world.event(|state, now| state.push_event(pushed, now));
    let template =
        RunTemplate { workflow: "plain".into(), input: "null".into(), metadata: "{}".into(), priority: Some(2) };
    let later = world.now.wall.plus(Duration::from_secs(100));
    world.event(|state, now| state.schedule(&template, &[later], now)).unwrap();
    let rule = CronRule::parse("0 0 * * *").unwrap();
    world.event(|state, now| state.add_cron(template, rule, "name".into(), now)).unwrap();
    let (worker, _) = world.worker(&["plain", "all"], 2);
    world.event(|state, now| state.pause(worker, true, now)).unwrap();
    world.complete(parent, 0);
    world.restart(&mut disk);
    world.seconds(200);
    world.restart(&mut disk);
    // A second declaration of the same content is the same; what is taken stays taken.
    let known = world.state.workflow_names.len();
    world.declare("plain", |task| task.retries = 1);
    assert_eq!(world.state.workflow_names.len(), known);
    assert!(world.state.run(claimed).is_some());
}

#[test]
fn what_ran_in_the_dead_process_runs_again_at_once_and_what_ran_elsewhere_goes_on() {
    let (mut world, mut disk) = keeping();
    world.declare("t", |_| ());
    let (outside, _) = world.worker(&["t"], 1);
    let elsewhere = world.trigger("t");
    let inside = world.event(|state, now| {
        let slots = vec![("default".to_owned(), 1)];
        let actions = vec!["t:t".to_owned()];
        state.register(Registration { name: "in".into(), actions, slots, inside: true, ..Default::default() }, now)
    });
    world.event(|state, now| state.open_stream(inside, true, now)).unwrap();
    let here = world.trigger("t");
    assert_eq!((world.status(elsewhere), world.status(here)), ((RunStatus::Running, 0), (RunStatus::Running, 0)));
    disk.keep(&mut world.state, world.now);
    world.state = disk.load(&world).unwrap();
    assert_eq!((world.status(elsewhere), world.status(here)), ((RunStatus::Running, 0), (RunStatus::Queued, 1)));
    assert!(world.state.worker(inside).is_none());
    assert!(world.event(|state, now| state.heartbeat(outside, now)).is_err(), "it has to listen again");
    world.seconds(20);
    world.event(|state, now| state.open_stream(outside, true, now)).unwrap();
    world.complete(elsewhere, 0);
    assert_eq!(world.status(here), (RunStatus::Running, 1));
}

#[test]
fn an_attempt_that_goes_on_streams_on_where_it_was() {
    let (mut world, mut disk) = keeping();
    world.declare("t", |_| ());
    world.worker(&["t"], 1);
    let run = world.trigger("t");
    for index in 0..3 {
        world.event(|state, now| state.put_chunk(run, "before".into(), Some(index), now));
    }
    world.restart(&mut disk);
    world.done.clear();
    for index in [3, 5, 4] {
        world.event(|state, now| state.put_chunk(run, index.to_string().into(), Some(index), now));
    }
    assert_eq!(chunks(&world.done).iter().map(|text| &**text).collect::<Vec<_>>(), ["3", "4", "5"]);
}

#[test]
fn a_worker_that_does_not_come_back_loses_what_it_runs() {
    let (mut world, mut disk) = keeping();
    world.declare("t", |_| ());
    world.worker(&["t"], 1);
    let run = world.trigger("t");
    world.restart(&mut disk);
    world.seconds(29);
    assert_eq!(world.status(run), (RunStatus::Running, 0));
    world.seconds(2);
    assert_eq!(world.status(run), (RunStatus::Queued, 1));
}

#[test]
fn a_clock_that_was_set_back_makes_no_wait_longer() {
    let (mut world, mut disk) = keeping();
    world.declare("t", |task| {
        task.timeout.0 = Duration::from_secs(60);
        task.retries = 1;
        task.backoff = backoff(3.0, 60);
        task.schedule_timeout = Duration::from_secs(5);
    });
    world.seconds(9_000);
    let (worker, _) = world.worker(&["t"], 2);
    let (failing, running, queued) = (world.trigger("t"), world.trigger("t"), world.trigger("t"));
    world.event(|state, now| state.pause(worker, true, now)).unwrap();
    world.fail(failing, 0);
    disk.keep(&mut world.state, world.now);
    world.set_wall(|wall| wall - 3_600_000);
    world.state = disk.load(&world).unwrap();
    world.seconds(5);
    assert_eq!(world.status(queued).0, RunStatus::Cancelled);
    assert_eq!(world.status(failing), (RunStatus::Queued, 1), "its back-off of 3 s is over");
    assert_eq!(world.status(running), (RunStatus::Running, 0));
    world.seconds(60);
    assert_ne!(world.status(running), (RunStatus::Running, 0));
}

#[test]
fn an_attempt_that_began_with_the_clock_set_back_has_the_rest_of_its_time() {
    let (mut world, mut disk) = keeping();
    world.declare("t", |task| task.timeout.0 = Duration::from_secs(20));
    world.seconds(9_000);
    world.set_wall(|wall| wall - 3_600_000);
    world.worker(&["t"], 1);
    let run = world.trigger("t");
    world.seconds(5);
    disk.keep(&mut world.state, world.now);
    world.now.display = world.now.wall;
    world.state = disk.load(&world).unwrap();
    world.seconds(14);
    assert_eq!(world.status(run), (RunStatus::Running, 0));
    world.seconds(1);
    assert_eq!(world.status(run), (RunStatus::Failed, 0), "no more than that");
}

#[test]
fn what_ends_after_a_restart_is_forgotten_last_wherever_the_clock_is() {
    let (mut world, mut disk) = (World::keeping(2), Disk::default());
    world.state.note_changes();
    world.declare("t", |_| ());
    world.seconds(9_000);
    let end = |world: &mut World| {
        let run = world.trigger("t");
        world.event(|state, now| state.cancel(run, now));
        run
    };
    let mut runs = vec![end(&mut world), end(&mut world)];
    for set in [|wall| wall - 3_600_000, |wall| wall + 7_200_000, |wall| wall - 3_600_000] {
        world.set_wall(set);
        world.now.display = world.now.wall;
        world.restart(&mut disk);
        // One from before and one from after, each time.
        runs.push(end(&mut world));
        let known: Vec<bool> = runs.iter().rev().map(|id| world.state.run(*id).is_some()).collect();
        assert_eq!(known[..3], [true, true, false], "the last two are kept");
    }
}

#[test]
fn what_an_earlier_version_has_kept_is_forgotten_by_its_shown_end() {
    let (mut world, mut disk) = keeping();
    world.declare("t", |_| ());
    let runs = [0; 3].map(|_| world.trigger("t"));
    for at in [1, 0, 2] {
        world.seconds(1);
        world.event(|state, now| state.cancel(runs[at], now));
    }
    for task in runs {
        world.state.tasks.get_mut(&task).unwrap().end = 0;
    }
    world.restart(&mut disk);
    assert_eq!(world.state.finished.values().copied().collect::<Vec<_>>(), [runs[1], runs[0], runs[2]]);
}

#[test]
fn damaged_rows_are_refused() {
    let (mut world, mut disk) = keeping();
    world.declare("t", |_| ());
    let run = world.trigger("t");
    disk.keep(&mut world.state, world.now);
    let broken = |at: Table, change: &dyn Fn(&mut Row)| {
        let mut rows = disk.0.clone();
        rows.iter_mut().filter(|((table, _), _)| *table == at).for_each(|(_, row)| change(row));
        Disk(rows).load(&world).err().expect("refused").0
    };
    assert!(broken(Table::Runs, &|row| row.texts[0] = None).contains("input"));
    assert!(broken(Table::Runs, &|row| row.head.clear()).contains("id is missing"));
    assert!(!broken(Table::Tasks, &|row| row.head = vec![0xff; 9]).is_empty());
    let without = |table: Table| {
        let mut rows = disk.0.clone();
        rows.retain(|(of, _), _| *of != table);
        Disk(rows).load(&world)
    };
    assert!(without(Table::Tasks).is_ok(), "its run stays open");
    assert!(without(Table::Runs).err().expect("refused").0.contains(&run.to_string()));
}
