//! Admission to concurrency groups.
//!
//! A task enters the groups of its rules one after the other, and is queued once it has been admitted to all of them.
//! The rules of a workflow of several tasks come before those of its tasks, and the run enters them as a whole: with
//! its first task, until all tasks but the on-failure task have finished.

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

/// The owner of the rules: the run's workflow, or the task.
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
        let (run_id, spec, admitted) = (task.run, task.spec, task.admitted_groups);
        let Some(run) = self.runs.get(run_id) else { return true };
        let is_on_failure = run.version.definition.on_failure() == Some(spec);
        if !is_on_failure && run.admitted_groups < limits.workflow.len() {
            if !run.is_in_groups {
                self.enter_run(run_id);
            }
            return false;
        }
        if limits.tasks.get(spec).is_none_or(|task| admitted >= task.groups.len()) {
            return true;
        }
        self.enter(Level::Task, id, admitted);
        false
    }

    fn enter_run(&mut self, id: RunId) {
        if let Some(run) = self.runs.run_mut(id) {
            run.is_in_groups = true;
        }
        self.enter(Level::Run, id, 0);
    }

    /// Enters the group of the rule with this index. [`decide_group`](Self::decide_group) decides about the admission.
    fn enter(&mut self, level: Level, id: RunId, index: usize) {
        let Some((key, strategy, member)) = self.membership(level, id, index) else { return };
        self.concurrency.enter(&key, strategy, member);
        self.pending.changed_groups.push_back(key);
    }

    /// The group of the rule with this index for a task or run, and its membership in the group.
    fn membership(&self, level: Level, id: RunId, index: usize) -> Option<(GroupKey, LimitStrategy, Member)> {
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
            Level::Run => (
                definition.concurrency.get(index)?,
                limits.workflow.get(index)?,
                Scope::Workflow { version, rule: index },
            ),
            Level::Task => {
                let rule = definition.tasks.get(task.spec)?.concurrency.get(index)?;
                (
                    rule,
                    limits.tasks.get(task.spec)?.groups.get(index)?,
                    Scope::Task { version, task: task.spec, rule: index },
                )
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
    pub(in crate::engine::state::operations) fn decide_group(&mut self, key: &GroupKey, now: ClockReading) {
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
            task.admitted_groups += 1;
            self.resume(id, now);
        }
    }

    fn run_admitted(&mut self, id: RunId, now: ClockReading) {
        let Some(run) = self.runs.run_mut(id) else { return };
        run.admitted_groups += 1;
        let admitted = run.admitted_groups;
        if run.limits.as_ref().is_some_and(|limits| admitted < limits.workflow.len()) {
            return self.enter(Level::Run, id, admitted);
        }
        for task in run.tasks.clone() {
            if self.runs.task(task).is_some_and(|task| matches!(task.phase, Phase::Unadmitted)) {
                self.resume(task, now);
            }
        }
    }

    /// Cancels all tasks of a run but the on-failure task, which is skipped. Tasks that have not been created yet end
    /// as after the loss of a parent.
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
        let (spec, admitted) = (task.spec, std::mem::take(&mut task.admitted_groups));
        let count = limits.tasks.get(spec).map_or(0, |task| task.groups.len());
        self.leave(Level::Task, id, count.min(admitted + 1));
    }

    /// Takes a run out of its groups once all of its tasks but the on-failure task have finished.
    pub(in crate::engine::state::operations) fn leave_run_groups(&mut self, id: RunId) {
        let Some(run) = self.runs.get(id).filter(|run| run.is_in_groups) else { return };
        let on_failure = run.version.definition.on_failure().and_then(|index| run.tasks.get(index));
        let is_open = |id: &RunId| self.runs.task(*id).is_some_and(|task| !task.phase.stage().is_final());
        if run.open > usize::from(on_failure.is_some_and(is_open)) {
            return;
        }
        let Some(run) = self.runs.run_mut(id) else { return };
        run.is_in_groups = false;
        let admitted = std::mem::take(&mut run.admitted_groups);
        let count = run.limits.as_ref().map_or(0, |limits| limits.workflow.len());
        self.leave(Level::Run, id, count.min(admitted + 1));
    }

    fn leave(&mut self, level: Level, id: RunId, count: usize) {
        for index in 0..count {
            let Some((key, _, member)) = self.membership(level, id, index) else { return };
            if self.concurrency.leave(&key, member.rank) {
                self.pending.changed_groups.push_back(key);
            }
        }
    }

    /// Moves a task to the front of its groups before its next attempt, which stays a member.
    pub(in crate::engine::state::operations) fn keep_groups(&mut self, id: RunId) {
        let admitted = self.runs.task(id).map_or(0, |task| task.admitted_groups);
        for index in 0..admitted {
            let Some((key, _, member)) = self.membership(Level::Task, id, index) else { return };
            let Some((task, (_, run))) = self.runs.task(id).zip(self.runs.containing(id)) else { return };
            self.concurrency.change_rank(&key, member.rank, Rank::new(run.priority, task.attempt + 1, task.seq));
        }
    }

    /// Puts a task, and its run, back into their groups after a restart.
    pub(in crate::engine::state) fn restore_task_groups(&mut self, id: RunId) {
        let Some((task, (_, run))) = self.runs.task(id).zip(self.runs.containing(id)) else { return };
        // An on-failure task waits only for groups of its own.
        let is_on_failure = run.version.definition.on_failure() == Some(task.spec);
        let is_run_admitted = run.limits.as_ref().is_none_or(|limits| run.admitted_groups >= limits.workflow.len());
        let is_waiting = matches!(task.phase, Phase::Unadmitted) && (is_run_admitted || is_on_failure);
        let admitted = task.admitted_groups;
        self.restore_groups(Level::Task, id, admitted, is_waiting);
    }

    /// Puts a run back into the groups of its workflow after a restart.
    pub(in crate::engine::state) fn restore_run_groups(&mut self, id: RunId) {
        if let Some(run) = self.runs.get(id).filter(|run| run.is_in_groups) {
            self.restore_groups(Level::Run, id, run.admitted_groups, true);
        }
    }

    fn restore_groups(&mut self, level: Level, id: RunId, admitted: usize, is_waiting: bool) {
        for index in 0..admitted + usize::from(is_waiting) {
            if let Some((key, strategy, member)) = self.membership(level, id, index) {
                self.concurrency.restore(&key, strategy, member, index < admitted);
            }
        }
    }
}

/// The rank of a member. A run has the number of its first task, and keeps its rank across retries of its tasks.
fn rank(level: Level, run: &Run, task: &Task) -> Rank {
    let attempt = match level {
        Level::Run => 0,
        Level::Task => task.attempt,
    };
    Rank::new(run.priority, attempt, task.seq)
}
