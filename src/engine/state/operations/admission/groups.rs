//! Admission to concurrency groups.
//!
//! A task enters the groups of its rules one after the other, and is queued once it has been admitted to all of them. The
//! rules of a workflow of several tasks come before those of its tasks, and the run enters them as a whole: with its first
//! task, until all tasks but the on-failure task have finished.

use std::sync::Arc;

use crate::{
    engine::state::{
        attempt::AttemptEvent,
        concurrency::{GroupKey, LimitStrategy, Member, Rank, Scope},
        limits::RunLimits,
        machine::State,
        runs::{Phase, Run, Task},
        time::ClockReading,
    },
    hatchet::wire::RunId,
};

/// Whose rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Run,
    Task,
}

impl State {
    /// The limits of a task's run; `None` for most runs.
    pub(in crate::engine::state::operations) fn limits_of(&self, task: RunId) -> Option<Arc<RunLimits>> {
        self.runs.containing(task).and_then(|(_, run)| run.limits.clone())
    }

    /// The error of an expression that keeps a task from being queued.
    pub(in crate::engine::state::operations) fn limit_error(&self, id: RunId) -> Option<Arc<str>> {
        let limits = self.runs.containing(id)?.1.limits.as_ref()?;
        limits.tasks.get(self.runs.task(id)?.spec)?.error.clone()
    }

    /// Whether all groups have admitted a task. If not, the task or its run enters the next group.
    pub(super) fn is_admitted(&mut self, id: RunId, limits: &RunLimits) -> bool {
        let Some(task) = self.runs.task(id) else { return true };
        let (run_id, spec, held) = (task.run, task.spec, task.groups_held);
        let Some(run) = self.runs.get(run_id) else { return true };
        let is_on_failure = run.version.definition.on_failure() == Some(spec);
        if !is_on_failure && run.groups_held < limits.workflow.len() {
            if !run.is_in_groups {
                self.enter_run(run_id);
            }
            return false;
        }
        if limits.tasks.get(spec).is_none_or(|task| held >= task.groups.len()) {
            return true;
        }
        self.enter(Level::Task, id, held);
        false
    }

    fn enter_run(&mut self, id: RunId) {
        if let Some(run) = self.runs.run_mut(id) {
            run.is_in_groups = true;
        }
        self.enter(Level::Run, id, 0);
    }

    /// Enters a group. [`settle_group`](Self::settle_group) decides about the admission.
    fn enter(&mut self, level: Level, id: RunId, at: usize) {
        let Some((key, strategy, member)) = self.membership(level, id, at) else { return };
        self.concurrency.enter(&key, strategy, member);
        self.pending.changed_groups.push_back(key);
    }

    /// The group of a rule for a task or run, and its place in the group.
    fn membership(&self, level: Level, id: RunId, at: usize) -> Option<(GroupKey, LimitStrategy, Member)> {
        let (run, task) = match level {
            Level::Run => {
                let run = self.runs.get(id)?;
                (run, self.runs.task(*run.tasks.first()?)?)
            }
            Level::Task => {
                let task = self.runs.task(id)?;
                (self.runs.get(task.run)?, task)
            }
        };
        let (limits, definition, version) = (run.limits.as_ref()?, &run.version.definition, run.version.order);
        let (rule, demand, scope) = match level {
            Level::Run => (definition.concurrency.get(at)?, limits.workflow.get(at)?, Scope::Workflow { version, at }),
            Level::Task => {
                let rule = definition.tasks.get(task.spec)?.concurrency.get(at)?;
                (rule, limits.tasks.get(task.spec)?.groups.get(at)?, Scope::Task { version, task: task.spec, at })
            }
        };
        let scope = rule.tenant_name.clone().map_or(scope, Scope::Tenant);
        let rank = rank(level, run, task);
        Some((
            GroupKey { scope, key: demand.key.clone() },
            rule.strategy,
            Member { id, rank, max_runs: demand.max_runs },
        ))
    }

    /// Carries out the decision of a group that has changed.
    pub(in crate::engine::state::operations) fn settle_group(&mut self, key: &GroupKey, now: ClockReading) {
        let decision = self.concurrency.decide(key);
        let level = if matches!(key.scope, Scope::Workflow { .. }) { Level::Run } else { Level::Task };
        for id in decision.cancelled {
            match level {
                Level::Run => self.displace_run(id, now),
                Level::Task => self.apply(id, &AttemptEvent::Displaced, now),
            }
        }
        for id in decision.admitted {
            match level {
                Level::Run => self.run_admitted(id, now),
                Level::Task => self.task_admitted(id, now),
            }
        }
    }

    fn task_admitted(&mut self, id: RunId, now: ClockReading) {
        if let Some(task) = self.runs.task_mut(id) {
            task.groups_held += 1;
            self.resume(id, now);
        }
    }

    fn run_admitted(&mut self, id: RunId, now: ClockReading) {
        let Some(run) = self.runs.run_mut(id) else { return };
        run.groups_held += 1;
        let held = run.groups_held;
        if run.limits.as_ref().is_some_and(|limits| held < limits.workflow.len()) {
            return self.enter(Level::Run, id, held);
        }
        for task in run.tasks.clone() {
            if self.runs.task(task).is_some_and(|task| matches!(task.phase, Phase::Held)) {
                self.resume(task, now);
            }
        }
    }

    /// Cancels all tasks of a run but the on-failure task, which is skipped. Tasks that have not been created yet end as
    /// after the loss of a parent.
    fn displace_run(&mut self, id: RunId, now: ClockReading) {
        let Some(run) = self.runs.get(id) else { return };
        let on_failure = run.version.definition.on_failure();
        for task in run.tasks.clone() {
            let Some(found) = self.runs.task(task).filter(|task| Some(task.spec) != on_failure) else { continue };
            let event = if found.is_created() { AttemptEvent::Displaced } else { AttemptEvent::ParentLost };
            self.apply(task, &event, now);
        }
    }

    /// Takes a task out of its groups, which admit others instead.
    pub(in crate::engine::state::operations) fn leave_groups(&mut self, id: RunId) {
        let Some(limits) = self.limits_of(id) else { return };
        let Some(task) = self.runs.task_mut_untracked(id) else { return };
        let (spec, held) = (task.spec, std::mem::take(&mut task.groups_held));
        let count = limits.tasks.get(spec).map_or(0, |task| task.groups.len());
        self.leave(Level::Task, id, count.min(held + 1));
    }

    /// Takes a run out of its groups once all of its tasks but the on-failure task have finished.
    pub(in crate::engine::state::operations) fn leave_run_groups(&mut self, id: RunId) {
        let Some(run) = self.runs.get(id).filter(|run| run.is_in_groups) else { return };
        let on_failure = run.version.definition.on_failure().and_then(|at| run.tasks.get(at));
        let is_open = |id: &RunId| self.runs.task(*id).is_some_and(|task| !task.phase.stage().is_final());
        if run.open > usize::from(on_failure.is_some_and(is_open)) {
            return;
        }
        let Some(run) = self.runs.run_mut(id) else { return };
        run.is_in_groups = false;
        let held = std::mem::take(&mut run.groups_held);
        let count = run.limits.as_ref().map_or(0, |limits| limits.workflow.len());
        self.leave(Level::Run, id, count.min(held + 1));
    }

    fn leave(&mut self, level: Level, id: RunId, count: usize) {
        for at in 0..count {
            let Some((key, _, member)) = self.membership(level, id, at) else { return };
            if self.concurrency.leave(&key, member.rank) {
                self.pending.changed_groups.push_back(key);
            }
        }
    }

    /// Moves a task to the front of its groups before its next attempt, which keeps its places.
    pub(in crate::engine::state::operations) fn keep_groups(&mut self, id: RunId) {
        let held = self.runs.task(id).map_or(0, |task| task.groups_held);
        for at in 0..held {
            let Some((key, _, member)) = self.membership(Level::Task, id, at) else { return };
            let Some((task, (_, run))) = self.runs.task(id).zip(self.runs.containing(id)) else { return };
            self.concurrency.change_rank(&key, member.rank, Rank::new(run.priority, task.attempt + 1, task.seq));
        }
    }

    /// Puts a task, and its run, back into their groups after a restart.
    pub(in crate::engine::state) fn restore_task_groups(&mut self, id: RunId) {
        let Some(task) = self.runs.task(id) else { return };
        let (held, is_waiting) = (task.groups_held, matches!(task.phase, Phase::Held));
        let is_run_admitted = self
            .runs
            .get(task.run)
            .is_some_and(|run| run.limits.as_ref().is_none_or(|limits| run.groups_held >= limits.workflow.len()));
        self.restore_groups(Level::Task, id, held, is_waiting && is_run_admitted);
    }

    /// Puts a run back into the groups of its workflow after a restart.
    pub(in crate::engine::state) fn restore_run_groups(&mut self, id: RunId) {
        if let Some(run) = self.runs.get(id).filter(|run| run.is_in_groups) {
            self.restore_groups(Level::Run, id, run.groups_held, true);
        }
    }

    fn restore_groups(&mut self, level: Level, id: RunId, held: usize, is_waiting: bool) {
        for at in 0..held + usize::from(is_waiting) {
            if let Some((key, strategy, member)) = self.membership(level, id, at) {
                self.concurrency.restore(&key, strategy, member, at < held);
            }
        }
    }
}

/// The rank of a member. A run has the number of its first task, and keeps its rank whatever its tasks do.
fn rank(level: Level, run: &Run, task: &Task) -> Rank {
    let attempt = match level {
        Level::Run => 0,
        Level::Task => task.attempt,
    };
    Rank::new(run.priority, attempt, task.seq)
}
