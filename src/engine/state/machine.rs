//! The state of an engine: its sub-states, and the pending consequences of an event.

use std::{collections::VecDeque, sync::Arc};

use uuid::Uuid;

use super::{
    concurrency::{Concurrency, GroupKey},
    effect::Effect,
    idempotency::IdempotencyKeys,
    logs::Logs,
    rate_limits::RateLimits,
    runs::Runs,
    scheduler::{QueueId, Scheduler},
    time::MonotonicTimers,
    triggers::{Calendar, Events},
    workers::Workers,
    workflows::{Version, Workflows},
};
use crate::{
    engine::options::{Retention, Timings},
    hatchet::wire::{RunId, WorkerId},
};

/// The source of new ids.
pub(crate) type Ids = Box<dyn FnMut() -> Uuid + Send>;

/// A kind of addition to the state, which decides how much memory may be in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capacity {
    /// Runs and their triggers: events, schedules and crons.
    Runs,
    /// Workers and workflows. They reduce the load, so they have a reserve beyond the limit.
    Workers,
}

/// Memory beyond the limit that only workers and workflows may use: 64 MiB, not a limit of Hatchet.
const WORKER_RESERVE: usize = 64 << 20;

/// The state of an engine.
///
/// Each sub-state owns its fields and maintains its own invariants. The operations that involve several sub-states are
/// methods of `State` in `operations`.
pub(crate) struct State {
    pub(super) ids: Ids,
    pub(super) timings: Timings,
    pub(super) retention: Retention,
    pub(super) workflows: Workflows,
    pub(super) runs: Runs,
    pub(super) idempotency_keys: IdempotencyKeys,
    pub(super) workers: Workers,
    pub(super) scheduler: Scheduler,
    pub(super) concurrency: Concurrency,
    pub(super) rate_limits: RateLimits,
    pub(super) timers: MonotonicTimers,
    pub(super) calendar: Calendar,
    pub(super) events: Events,
    pub(super) logs: Logs,
    pub(super) pending: Pending,
    pub(super) effects: VecDeque<Effect>,
}

/// Consequences of an event that `State::dispatch` has yet to carry out. Empty between events.
///
/// Consequences are collected instead of carried out by recursion, so that a chain of thousands of tasks needs no deep
/// stack and every decision is based on a consistent state.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Tasks that have finished, for their runs and dependent tasks.
    pub(super) finished_tasks: VecDeque<RunId>,
    /// Concurrency groups that have got or lost a member.
    pub(super) changed_groups: VecDeque<GroupKey>,
    /// Workers that have free slots again.
    pub(super) freed_workers: Vec<WorkerId>,
    /// Queues that were empty and have a task now.
    pub(super) filled_queues: Vec<QueueId>,
}

impl State {
    /// Creates an empty state.
    pub(crate) fn new(timings: Timings, retention: Retention, ids: Ids) -> Self {
        Self {
            ids,
            timings,
            retention,
            workflows: Workflows::default(),
            runs: Runs::default(),
            idempotency_keys: IdempotencyKeys::default(),
            workers: Workers::default(),
            scheduler: Scheduler::default(),
            concurrency: Concurrency::default(),
            rate_limits: RateLimits::default(),
            timers: MonotonicTimers::default(),
            calendar: Calendar::default(),
            events: Events::default(),
            logs: Logs::default(),
            pending: Pending::default(),
            effects: VecDeque::new(),
        }
    }

    /// Removes and returns the next effect to carry out.
    pub(crate) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether the memory in use permits an addition, by [`Retention::max_bytes`].
    pub(crate) fn has_capacity(&self, capacity: Capacity) -> bool {
        let reserve = match capacity {
            Capacity::Runs => 0,
            Capacity::Workers => WORKER_RESERVE,
        };
        self.held_bytes() < self.retention.max_bytes.saturating_add(reserve)
    }

    /// Estimated memory in bytes that [`Retention::max_bytes`] limits.
    pub(crate) fn held_bytes(&self) -> usize {
        self.runs.bytes()
            + self.idempotency_keys.claims.bytes()
            + self.workflows.versions.bytes()
            + self.workers.workers.bytes()
            + self.calendar.bytes()
            + self.rate_limits.limits.bytes()
    }

    /// The engine's time limits, which declarations use as defaults.
    pub(crate) fn timings(&self) -> &Timings {
        &self.timings
    }

    /// The newest version of a workflow.
    pub(crate) fn version_of(&self, workflow: &str) -> Option<&Arc<Version>> {
        self.workflows.get(workflow)
    }

    pub(super) fn new_id(&mut self) -> Uuid {
        (self.ids)()
    }
}
