//! The state machine in virtual time.

mod clock_gaps;
#[cfg(feature = "cel")]
mod concurrency;
mod conditions;
mod dependencies;
mod fairness;
mod placement;
mod random_operations;
mod rate_limits;
mod restart;
mod rules;
mod stage_table;
mod triggers;
mod workflows;

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    AttemptReport, ClockReading, Effect, MonotonicInstant, Origin, Parent, PushedEvent, Registration, RunTemplate,
    State, StreamId, TaskEvent, Timestamp, TriggerItem, Triggered,
    attempt::{BackOff, Stage},
    idempotency::{ClaimRequest, Expression, Lease},
    slots::SlotRequirements,
    workflows::{Definition, Idempotency, TaskDefinition},
};
use crate::{
    engine::{
        cron::CronRule,
        options::{EngineOptions, Retention, Timings},
    },
    hatchet::wire::{Declaration, RunId, RunStatus, WorkerId},
};

impl State {
    /// Pushes an event in one step, which the driver does in three. Returns its id.
    fn push_event(&mut self, event: PushedEvent, now: ClockReading) -> Uuid {
        let mut push = self.begin_event(event);
        push.evaluate();
        self.finish_event(push, now)
    }
}

/// A state in virtual time, with the effects of its events.
struct World {
    state: State,
    now: ClockReading,
    effects: Vec<Effect>,
    /// All declared definitions, for validation after a restart.
    definitions: Vec<Definition>,
    restarts: u64,
}

impl World {
    fn new() -> Self {
        Self::with_retention(1000)
    }

    fn with_retention(finished: usize) -> Self {
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
            effects: Vec::new(),
            definitions: Vec::new(),
            restarts: 0,
        }
    }

    /// Applies an event and collects its effects.
    fn event<R>(&mut self, event: impl FnOnce(&mut State, ClockReading) -> R) -> R {
        let result = event(&mut self.state, self.now);
        self.effects.extend(std::iter::from_fn(|| self.state.next_effect()));
        self.state.remove_expired_runs(self.now);
        result
    }

    /// Advances the clocks and ticks at every deadline, as the driver does.
    fn advance(&mut self, mut time: Duration) {
        while let Some(wait) = self.state.next_deadline().wait(self.now).filter(|wait| *wait <= time) {
            self.advance_clock(wait);
            time -= wait;
            self.event(State::tick);
        }
        self.advance_clock(time);
    }

    /// Advances the clocks without a tick.
    fn advance_clock(&mut self, time: Duration) {
        self.now.monotonic = self.now.monotonic.plus(time);
        self.now.wall = self.now.wall.plus(time);
        self.now.display = self.now.display.max(self.now.wall);
    }

    /// Sets the wall clock.
    fn set_wall(&mut self, change: impl FnOnce(u64) -> u64) {
        self.now.wall = Timestamp(change(self.now.wall.0));
        self.now.display = self.now.display.max(self.now.wall);
    }

    fn seconds(&mut self, n: u64) {
        self.advance(Duration::from_secs(n));
    }

    fn declare(&mut self, name: &str, change: impl FnOnce(&mut TaskDefinition)) {
        let mut task = Self::task(name, &[]);
        change(&mut task);
        self.declare_all(name, vec![task], |_| ());
    }

    /// Declares a workflow of several tasks, which share one action.
    fn declare_all(&mut self, name: &str, mut tasks: Vec<TaskDefinition>, change: impl FnOnce(&mut Definition)) {
        tasks.iter_mut().for_each(|task| task.action = format!("{name}:{name}").into());
        let content = Declaration::sample(&format!("{name} {tasks:?}"));
        let mut definition = Definition { content, ..Definition::sample(name, tasks) };
        change(&mut definition);
        self.definitions.push(definition.clone());
        self.event(|state, now| state.put_workflow(definition, now));
    }

    fn task(name: &str, parents: &[usize]) -> TaskDefinition {
        TaskDefinition {
            schedule_timeout: Duration::from_secs(300),
            parents: parents.to_vec(),
            ..TaskDefinition::sample(name, "")
        }
    }

    /// A task of a run by its index.
    fn task_at(&self, run: RunId, index: usize) -> RunId {
        self.state.run(run).unwrap().1.tasks[index]
    }

    /// The status of a run and the stages of its tasks.
    fn statuses(&self, id: RunId) -> (RunStatus, Vec<Stage>) {
        let (_, run) = self.state.run(id).unwrap();
        (self.state.status(run), run.tasks.iter().map(|task| self.state.task(*task).unwrap().phase.stage()).collect())
    }

    fn template(workflow: &str) -> RunTemplate {
        RunTemplate { workflow: workflow.into(), input: "{}".into(), metadata: "{}".into(), priority: None }
    }

    fn item(name: &str) -> TriggerItem {
        TriggerItem {
            template: Self::template(name),
            parent: None,
            claim: None,
            desired: Default::default(),
            limits: None,
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

    /// Registers a worker that is ready for assignments.
    fn worker(&mut self, actions: &[&str], slots: i64) -> (WorkerId, StreamId) {
        let id = self.register(actions, &[("default", slots)]);
        let stream = self.event(|state, now| state.open_stream(id, false, now)).unwrap();
        self.heartbeat(id);
        (id, stream)
    }

    fn heartbeat(&mut self, id: WorkerId) {
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

    /// Returns the attempts started since the last call, in order. Drops all other effects.
    fn started(&mut self) -> Vec<(RunId, i32)> {
        self.effects
            .drain(..)
            .filter_map(|effect| match effect {
                Effect::StartAttempt { task, attempt, .. } => Some((task, attempt)),
                _ => None,
            })
            .collect()
    }
}

fn requirements(units: &[(&str, i64)]) -> SlotRequirements {
    units.iter().map(|(kind, units)| (Arc::from(*kind), *units)).collect()
}

fn failed(error: &str, may_retry: bool) -> AttemptReport {
    AttemptReport::Failed { error: error.into(), may_retry, retry_after: None }
}

fn backoff(factor: f64, max: u64) -> Option<BackOff> {
    Some(BackOff { factor, max: Duration::from_secs(max) })
}

fn chunks(effects: &[Effect]) -> Vec<Arc<str>> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::NotifyTask { event: TaskEvent::Chunk { text, .. }, .. } => Some(text.clone()),
            _ => None,
        })
        .collect()
}
