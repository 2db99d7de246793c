//! The state machine in virtual time.

mod clock_gaps;
mod dependencies;
mod fairness;
mod random_operations;
mod restart;
mod rules;
mod stage_table;
mod triggers;

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    AttemptReport, ClaimRequest, ClockReading, Effect, MonotonicInstant, ParentRef, PushedEvent, Registration,
    RunTemplate, State, TaskEvent, Timestamp, TriggerItem, Triggered,
    attempt::{BackOff, Stage},
    model::{Definition, Idempotency, Lease, Origin, StreamId, TaskDefinition},
};
use crate::{
    engine::{
        cron::CronRule,
        options::{EngineOptions, Retention, Timings},
        state::triggers::idempotency::Expression,
    },
    hatchet::wire::{RunId, RunStatus, WorkerId, proto::v1::CreateWorkflowVersionRequest},
};

/// A state with its clock, and everything it wanted done.
struct World {
    state: State,
    now: ClockReading,
    done: Vec<Effect>,
    /// All that were declared, as they are read again after a restart.
    definitions: Vec<Definition>,
    restarts: u64,
}

impl World {
    fn new() -> Self {
        Self::keeping(1000)
    }

    fn keeping(finished: usize) -> Self {
        let mut count = 0u128;
        let ids = Box::new(move || {
            count += 1;
            Uuid::from_u128(count)
        });
        Self {
            state: State::new(
                Timings::default(),
                Retention { count: finished, ..EngineOptions::default().retention() },
                ids,
            ),
            now: ClockReading {
                wall: Timestamp(1_000_000),
                display: Timestamp(1_000_000),
                monotonic: MonotonicInstant(1_000_000),
            },
            done: Vec::new(),
            definitions: Vec::new(),
            restarts: 0,
        }
    }

    /// One event with all that follows.
    fn event<R>(&mut self, event: impl FnOnce(&mut State, ClockReading) -> R) -> R {
        let result = event(&mut self.state, self.now);
        self.done.extend(std::iter::from_fn(|| self.state.next_effect()));
        self.state.forget(self.now);
        result
    }

    /// Lets time pass, with every deadline at its own moment, as the driver's timer does.
    fn pass(&mut self, mut time: Duration) {
        while let Some(wait) = self.state.next_deadline().wait(self.now).filter(|wait| *wait <= time) {
            self.move_on(wait);
            time -= wait;
            self.event(State::tick);
        }
        self.move_on(time);
    }

    fn move_on(&mut self, time: Duration) {
        self.now.monotonic = self.now.monotonic.plus(time);
        self.now.wall = self.now.wall.plus(time);
        self.now.display = self.now.display.max(self.now.wall);
    }

    /// Sets the wall clock; nothing else happens.
    fn set_wall(&mut self, to: impl FnOnce(u64) -> u64) {
        self.now.wall = Timestamp(to(self.now.wall.0));
        self.now.display = self.now.display.max(self.now.wall);
    }

    fn seconds(&mut self, n: u64) {
        self.pass(Duration::from_secs(n));
    }

    fn declare(&mut self, name: &str, change: impl FnOnce(&mut TaskDefinition)) {
        let mut task = Self::task(name, &[]);
        change(&mut task);
        self.declare_all(name, vec![task], |_| ());
    }

    /// A workflow of several tasks. Their action is the workflow's, so that a worker for it serves them all.
    fn declare_all(&mut self, name: &str, mut tasks: Vec<TaskDefinition>, change: impl FnOnce(&mut Definition)) {
        tasks.iter_mut().for_each(|task| task.action = format!("{name}:{name}"));
        let content =
            CreateWorkflowVersionRequest { name: name.into(), description: format!("{tasks:?}"), ..Default::default() };
        let mut definition = Self::definition(name, tasks, content);
        change(&mut definition);
        self.definitions.push(restart::copy(&definition));
        self.event(|state, now| state.put_workflow(definition, now));
    }

    fn task(name: &str, parents: &[usize]) -> TaskDefinition {
        TaskDefinition {
            name: name.into(),
            action: String::new(),
            needs: vec![("default".into(), 1)],
            timeout: (Duration::from_secs(60), "60s".into()),
            schedule_timeout: Duration::from_secs(300),
            retries: 0,
            backoff: None,
            parents: parents.to_vec(),
            on_failure: false,
        }
    }

    /// The task of a run by its place.
    fn part(&self, run: RunId, at: usize) -> RunId {
        self.state.run(run).unwrap().1.tasks[at]
    }

    /// How a run stands, and its tasks.
    fn stand(&self, id: RunId) -> (RunStatus, Vec<Stage>) {
        let (_, run) = self.state.run(id).unwrap();
        (self.state.status(run), run.tasks.iter().map(|task| self.state.task(*task).unwrap().phase.stage()).collect())
    }

    fn definition(name: &str, tasks: Vec<TaskDefinition>, content: CreateWorkflowVersionRequest) -> Definition {
        Definition {
            name: name.into(),
            tasks,
            default_priority: 1,
            idempotency: None,
            events: Vec::new(),
            crons: Vec::new(),
            cron_input: "{}".into(),
            content,
        }
    }

    fn item(name: &str) -> TriggerItem {
        TriggerItem {
            workflow: name.into(),
            input: "{}".into(),
            metadata: "{}".into(),
            priority: None,
            parent: None,
            claim: None,
            origin: Origin::Call,
        }
    }

    fn trigger(&mut self, name: &str) -> RunId {
        self.trigger_with(name, |_| ())
    }

    fn trigger_with(&mut self, name: &str, change: impl FnOnce(&mut TriggerItem)) -> RunId {
        let mut item = Self::item(name);
        change(&mut item);
        match self.event(|state, now| state.trigger(vec![item], now)).unwrap()[..] {
            [Triggered::New(id) | Triggered::Existing(id)] => id,
            ref other => panic!("{other:?}"),
        }
    }

    fn register(&mut self, actions: &[&str], slots: &[(&str, i64)]) -> WorkerId {
        let registration = Registration {
            name: "w".into(),
            actions: actions.iter().map(|name| format!("{name}:{name}")).collect(),
            slots: slots.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect(),
            ..Default::default()
        };
        self.event(|state, now| state.register(registration, now))
    }

    /// A worker that is ready for work.
    fn worker(&mut self, actions: &[&str], slots: i64) -> (WorkerId, StreamId) {
        let id = self.register(actions, &[("default", slots)]);
        let stream = self.event(|state, now| state.open_stream(id, false, now)).unwrap();
        self.beat(id);
        (id, stream)
    }

    fn beat(&mut self, id: WorkerId) {
        self.event(|state, now| state.heartbeat(id, now)).unwrap();
    }

    fn report(&mut self, id: RunId, attempt: i32, report: AttemptReport) {
        assert!(self.event(|state, now| state.report(id, Some(attempt), report, now)));
    }

    fn complete(&mut self, id: RunId, attempt: i32) {
        self.report(id, attempt, AttemptReport::Completed("{}".into()));
    }

    fn fail(&mut self, id: RunId, attempt: i32) {
        self.report(id, attempt, failed("boom", true));
    }

    fn status(&self, id: RunId) -> (RunStatus, i32) {
        let task = self.state.task(id).unwrap();
        (task.phase.status(), task.attempt)
    }

    /// What was started, in order, since the last look.
    fn started(&mut self) -> Vec<(RunId, i32)> {
        self.done
            .drain(..)
            .filter_map(|effect| match effect {
                Effect::Start { task, attempt, .. } => Some((task, attempt)),
                Effect::Stop { .. } | Effect::Step { .. } | Effect::RunFinished { .. } => None,
            })
            .collect()
    }
}

fn failed(error: &str, may_retry: bool) -> AttemptReport {
    AttemptReport::Failed { error: error.into(), may_retry }
}

fn backoff(factor: f64, max: u64) -> Option<BackOff> {
    Some(BackOff { factor, max: Duration::from_secs(max) })
}

fn chunks(effects: &[Effect]) -> Vec<Arc<str>> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Step { what: TaskEvent::Chunk { text, .. }, .. } => Some(text.clone()),
            Effect::Step { .. } | Effect::Start { .. } | Effect::Stop { .. } | Effect::RunFinished { .. } => None,
        })
        .collect()
}
