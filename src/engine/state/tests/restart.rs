//! Tests of the persistence and restoration of the state.

use std::collections::BTreeMap;

use super::*;
use crate::engine::{
    persistence::row::{Damaged, Row, RowChange, RowKey, StoredRow, Table},
    state::{FilterRule, Phase, Restore, Run, Validate, ValidateFilter, predicate::Predicate, time::Timer},
};

/// A store in memory.
#[derive(Default)]
pub(super) struct MemoryStore(BTreeMap<(Table, RowKey), Row>);

impl MemoryStore {
    pub(super) fn persist(&mut self, state: &mut State, now: ClockReading) {
        for change in state.drain_changes(now) {
            match change {
                RowChange::Put(table, key, row) => drop(self.0.insert((table, key), row)),
                RowChange::Delete(table, key) => drop(self.0.remove(&(table, key))),
            }
        }
        assert!(!state.has_changes());
    }

    /// Appends a protobuf field to the record of the first row of a table.
    pub(super) fn add_field(&mut self, table: Table, field: &[u8]) {
        let (_, row) = self.0.iter_mut().find(|((entry_table, _), _)| *entry_table == table).unwrap();
        row.head.extend_from_slice(field);
    }

    pub(super) fn rows(&self, table: Table) -> usize {
        self.0.keys().filter(|(entry_table, _)| *entry_table == table).count()
    }

    pub(super) fn load(&self, world: &World) -> Result<State, Damaged> {
        let definitions = world.definitions.clone();
        let validate = move |content: Declaration| {
            definitions
                .iter()
                .find(|definition| definition.content == content)
                .cloned()
                .ok_or_else(|| "unknown".to_owned())
        };
        let mut count = u128::from(world.restarts + 1) << 64;
        let ids = Box::new(move || {
            count += 1;
            Uuid::from_u128(count)
        });
        let validate_filter = |scope: &str, expression: &str, payload: &str| {
            let predicate = Predicate::compile(expression)?;
            Ok(FilterRule::new(scope, predicate, payload))
        };
        let validate: (Validate, ValidateFilter) = (Box::new(validate), validate_filter);
        let mut restore = Restore::new(Timings::default(), world.state.retention, ids, validate, world.now);
        for table in Table::ALL {
            for ((entry_table, key), row) in self.0.iter().filter(|((entry_table, _), _)| *entry_table == table) {
                let (number, key) = match key {
                    RowKey::Number(number) => (*number, &[][..]),
                    RowKey::Bytes(bytes) => (0, &bytes[..]),
                };
                let [first, second] = &row.texts;
                restore.put(
                    *entry_table,
                    StoredRow { number, key, head: &row.head, texts: [first.as_deref(), second.as_deref()] },
                )?;
            }
        }
        restore.finish()
    }
}

impl World {
    /// Restarts the engine, and compares the state before and after.
    pub(super) fn restart(&mut self, store: &mut MemoryStore) {
        store.persist(&mut self.state, self.now);
        self.restarts += 1;
        let state = store.load(self).unwrap();
        let (before, after) = (snapshot(&self.state), snapshot(&state));
        let differ = before.iter().zip(&after).find(|(before, after)| before != after);
        assert!(differ.is_none() && before.len() == after.len(), "before and after: {differ:#?}");
        self.state = state;
    }
}

/// Formats the state that a restart preserves: all of it except streams and heartbeats.
pub(super) fn snapshot(state: &State) -> Vec<String> {
    let mut all = Vec::new();
    for (id, run) in state.runs.by_age() {
        all.push(run_line(id, run));
        run.tasks.iter().for_each(|task| all.extend(task_lines(state, *task)));
    }
    all.push(format!("finished {:?}", state.runs.finished()));
    for (id, worker) in state.workers() {
        all.push(format!(
            "worker {id} {} {:?} {:?} {:?} {} {} {:?}",
            worker.name,
            worker.actions,
            worker.slots,
            worker.listened,
            worker.paused,
            worker.unsubscribed,
            worker.running
        ));
    }
    for (name, version) in state.workflows() {
        all.push(format!("workflow {name} {} {:?} {}", version.workflow_id, version.workflow_created, version.id));
    }
    all.extend(state.events().map(|event| format!("{event:?}")));
    all.extend(state.filters().map(|(id, filter)| format!("{id} {filter:?}")));
    all.extend(state.workflows.settings.iter().map(|(id, settings)| format!("{id} {settings:?}")));
    all.extend(state.schedules().map(|(id, run)| format!("{id} {:?} {:?}", run.template, run.at)));
    all.extend(
        state.crons().map(|(id, cron)| format!("{id} {:?} {} {}", cron.template, cron.rule.text(), cron.enabled)),
    );
    let claims = state.idempotency_keys.claims.iter();
    let mut unordered: Vec<String> =
        claims.map(|(key, claim)| format!("{key} {} {:?}", claim.run, claim.lease)).collect();
    unordered.extend(
        state
            .conditions
            .states
            .iter()
            .map(|(task, progress)| format!("{task} {:?} {:?} {:?}", progress.stage, progress.met, progress.sleeps)),
    );
    unordered.extend(state.runs.children.iter().map(|child| format!("{child:?}")));
    unordered.extend(state.timers.iter().filter_map(|(instant, timer)| match timer {
        Timer::Worker(_) | Timer::Chunks(_) | Timer::RateLimit(_) | Timer::DynamicRateLimit(_) => None,
        Timer::Task(_) | Timer::Condition(_) | Timer::IdempotencyKey(_) => Some(format!("{instant:?} {timer:?}")),
    }));
    unordered.extend(state.calendar.timers().map(|(time, timer)| format!("{time:?} {timer:?}")));
    all.extend(sorted(&unordered));
    let mut groups: Vec<String> = state.concurrency.counts().map(|group| format!("group {group:?}")).collect();
    groups.sort();
    all.extend(groups);
    let mut limits: Vec<String> = state
        .rate_limits()
        .map(|(key, limit)| format!("rate limit {key} {} {:?} {}", limit.limit, limit.window, limit.value))
        .collect();
    limits.sort();
    all.extend(limits);
    all
}

/// Formats the stored fields of a run.
fn run_line(id: RunId, run: &Run) -> String {
    format!(
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
        run.idempotency_key,
        run.open,
        run.finished.map(|end| end.at)
    )
}

/// Formats the stored fields of a task, its log lines, and the turn of its workflow if it is queued.
fn task_lines(state: &State, id: RunId) -> Vec<String> {
    let task = &state.runs.tasks[&id];
    let mut all = vec![format!(
        "task {id} {} {} {} {:?} {} {} {} {} {:?} {:?} {:?} {:?}",
        task.run,
        task.seq,
        task.spec,
        task.phase,
        task.attempt,
        task.failures,
        task.reassignments,
        task.assignment,
        task.timer.map(|(deadline, _)| deadline),
        task.started,
        task.finished,
        sorted(&task.children),
    )];
    all.extend(state.lines(id).map(|line| format!("{line:?}")));
    if let Phase::Queued(_) = task.phase {
        let queue = state.spec(id).unwrap().queue;
        all.push(format!("turn {:?}", state.scheduler.turn_of(queue)));
    }
    all
}

fn sorted<T: Ord + Clone>(all: &[T]) -> Vec<T> {
    let mut all = all.to_vec();
    all.sort();
    all
}

pub(super) fn tracked_world() -> (World, MemoryStore) {
    let mut world = World::new();
    world.state.track_changes();
    (world, MemoryStore::default())
}

#[test]
fn restart_restores_all_stored_state() {
    let (mut world, mut store) = tracked_world();
    let with_triggers = |definition: &mut Definition| {
        definition.events = vec!["a:*".into()];
        definition.crons = vec![CronRule::parse("*/5 * * * *").unwrap()];
        definition.idempotency = cfg!(feature = "cel").then(|| Idempotency {
            expression: Expression::compile("has(input.k) ? input.k : ''").unwrap(),
            lease: Lease { ttl: Duration::from_secs(3600), until_end: false },
        });
    };
    world.declare_all("all", vec![World::task("a", &[]), World::task("b", &[0])], with_triggers);
    world.declare("plain", |task| task.retries = 1);
    let parent = world.trigger("plain");
    for (index, key) in [(Some(4), None), (None, Some("k".into()))] {
        let parent = Parent { task: parent, index, key };
        world.trigger_with("plain", |item| item.parent = Some(parent));
    }
    let lease = Lease { ttl: Duration::from_secs(60), until_end: true };
    let claimed = world.trigger_with("plain", |item| item.claim = Some(ClaimRequest { key: "key".into(), lease }));
    world.event(|state, now| state.put_log(parent, "line".into(), "WARN", r#"{"a":1}"#.into(), None, now.display));
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
    world.restart(&mut store);
    world.seconds(200);
    world.restart(&mut store);
    // An equal declaration creates no new version.
    let known = world.state.workflows().count();
    world.declare("plain", |task| task.retries = 1);
    assert_eq!(world.state.workflows().count(), known);
    assert!(world.state.run(claimed).is_some());
}

#[test]
fn restart_requeues_only_tasks_of_in_process_worker() {
    let (mut world, mut store) = tracked_world();
    world.declare("t", |_| ());
    let (outside, _) = world.worker(&["t"], 1);
    let outside_run = world.trigger("t");
    let inside = world.event(|state, now| {
        let slots = vec![("default".to_owned(), 1)];
        let actions = vec!["t:t".to_owned()];
        state.register(Registration { name: "in".into(), actions, slots, in_process: true, ..Default::default() }, now)
    });
    world.event(|state, now| state.open_stream(inside, true, now)).unwrap();
    let inside_run = world.trigger("t");
    assert_eq!(
        (world.status(outside_run), world.status(inside_run)),
        ((RunStatus::Running, 0), (RunStatus::Running, 0))
    );
    store.persist(&mut world.state, world.now);
    world.state = store.load(&world).unwrap();
    assert_eq!(
        (world.status(outside_run), world.status(inside_run)),
        ((RunStatus::Running, 0), (RunStatus::Queued, 1))
    );
    assert!(world.state.worker(inside).is_none());
    assert!(world.event(|state, now| state.heartbeat(outside, now)).is_err(), "the worker has to listen again");
    world.seconds(20);
    world.event(|state, now| state.open_stream(outside, true, now)).unwrap();
    world.complete(outside_run, 0);
    assert_eq!(world.status(inside_run), (RunStatus::Running, 1));
}

#[test]
fn running_attempt_continues_its_stream_after_restart() {
    let (mut world, mut store) = tracked_world();
    world.declare("t", |_| ());
    world.worker(&["t"], 1);
    let run = world.trigger("t");
    for index in 0..3 {
        world.event(|state, now| state.put_chunk(run, "before".into(), Some(index), now));
    }
    world.restart(&mut store);
    world.effects.clear();
    for index in [3, 5, 4] {
        world.event(|state, now| state.put_chunk(run, index.to_string().into(), Some(index), now));
    }
    assert_eq!(chunks(&world.effects).iter().map(|text| &**text).collect::<Vec<_>>(), ["3", "4", "5"]);
}

#[test]
fn worker_without_new_stream_loses_its_tasks() {
    let (mut world, mut store) = tracked_world();
    world.declare("t", |_| ());
    world.worker(&["t"], 1);
    let run = world.trigger("t");
    world.restart(&mut store);
    world.seconds(29);
    assert_eq!(world.status(run), (RunStatus::Running, 0));
    world.seconds(2);
    assert_eq!(world.status(run), (RunStatus::Queued, 1));
}

#[test]
fn clock_set_back_across_restart_extends_no_wait() {
    let (mut world, mut store) = tracked_world();
    world.declare("t", |task| {
        task.timeout = Duration::from_secs(60);
        task.retries = 1;
        task.backoff = backoff(3.0, 60);
        task.schedule_timeout = Duration::from_secs(5);
    });
    world.seconds(9_000);
    let (worker, _) = world.worker(&["t"], 2);
    let (failing, running, queued) = (world.trigger("t"), world.trigger("t"), world.trigger("t"));
    world.event(|state, now| state.pause(worker, true, now)).unwrap();
    world.fail(failing, 0);
    store.persist(&mut world.state, world.now);
    world.set_wall(|wall| wall - 3_600_000);
    world.state = store.load(&world).unwrap();
    world.seconds(5);
    assert_eq!(world.status(queued).0, RunStatus::Cancelled);
    assert_eq!(world.status(failing), (RunStatus::Queued, 1), "its backoff of 3 s has elapsed");
    assert_eq!(world.status(running), (RunStatus::Running, 0));
    world.seconds(60);
    assert_ne!(world.status(running), (RunStatus::Running, 0));
}

#[test]
fn attempt_started_with_clock_set_back_keeps_remaining_time() {
    let (mut world, mut store) = tracked_world();
    world.declare("t", |task| task.timeout = Duration::from_secs(20));
    world.seconds(9_000);
    world.set_wall(|wall| wall - 3_600_000);
    world.worker(&["t"], 1);
    let run = world.trigger("t");
    world.seconds(5);
    store.persist(&mut world.state, world.now);
    world.now.display = world.now.wall;
    world.state = store.load(&world).unwrap();
    world.seconds(14);
    assert_eq!(world.status(run), (RunStatus::Running, 0));
    world.seconds(1);
    assert_eq!(world.status(run), (RunStatus::Failed, 0), "not later");
}

#[test]
fn runs_expire_in_finish_order_across_restarts() {
    let (mut world, mut store) = (World::with_retention(2), MemoryStore::default());
    world.state.track_changes();
    world.declare("t", |_| ());
    world.seconds(9_000);
    let finished_run = |world: &mut World| {
        let run = world.trigger("t");
        world.event(|state, now| state.cancel(run, now));
        run
    };
    let mut runs = vec![finished_run(&mut world), finished_run(&mut world)];
    for set in [|wall| wall - 3_600_000, |wall| wall + 7_200_000, |wall| wall - 3_600_000] {
        world.set_wall(set);
        world.now.display = world.now.wall;
        world.restart(&mut store);
        // The finished runs are from before and after the restart.
        runs.push(finished_run(&mut world));
        let known: Vec<bool> = runs.iter().rev().map(|id| world.state.run(*id).is_some()).collect();
        assert_eq!(known[..3], [true, true, false], "the last two are retained");
    }
}

#[test]
fn runs_without_finish_number_expire_by_display_time() {
    let (mut world, mut store) = tracked_world();
    world.declare("t", |_| ());
    let runs = [0; 3].map(|_| world.trigger("t"));
    for index in [1, 0, 2] {
        world.seconds(1);
        world.event(|state, now| state.cancel(runs[index], now));
    }
    for task in runs {
        world.state.runs.tasks.get_mut(&task).unwrap().finish_seq = 0;
    }
    world.restart(&mut store);
    assert_eq!(world.state.runs.finished(), [runs[1], runs[0], runs[2]]);
}

#[test]
fn damaged_rows_are_refused() {
    let (mut world, mut store) = tracked_world();
    world.declare("t", |_| ());
    let run = world.trigger("t");
    store.persist(&mut world.state, world.now);
    let error_of_changed = |table: Table, change: &dyn Fn(&mut Row)| {
        let mut rows = store.0.clone();
        rows.iter_mut().filter(|((entry_table, _), _)| *entry_table == table).for_each(|(_, row)| change(row));
        MemoryStore(rows).load(&world).err().expect("refused").0
    };
    assert!(error_of_changed(Table::Runs, &|row| row.texts[0] = None).contains("input"));
    assert!(error_of_changed(Table::Runs, &|row| row.head.clear()).contains("id is missing"));
    assert!(!error_of_changed(Table::Tasks, &|row| row.head = vec![0xff; 9]).is_empty());
    let load_without = |table: Table| {
        let mut rows = store.0.clone();
        rows.retain(|(entry_table, _), _| *entry_table != table);
        MemoryStore(rows).load(&world)
    };
    assert!(load_without(Table::Tasks).is_ok(), "the run stays open");
    assert!(load_without(Table::Runs).err().expect("refused").0.contains(&run.to_string()));
}
