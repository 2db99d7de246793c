//! Workflow definitions: validated declarations.

use std::{sync::Arc, time::Duration};

use crate::{
    engine::{
        cron::CronRule,
        state::{
            attempt::BackOff,
            concurrency::ConcurrencyRule,
            conditions::Conditions,
            idempotency::{Expression, Lease},
            placement::{DesiredLabel, Placement, Sticky},
            predicate::FilterRule,
            rate_limits::RateRule,
            scheduler::ResourceClass,
            slots::SlotRequirements,
        },
    },
    hatchet::wire::Declaration,
};

/// A validated workflow declaration.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) name: Arc<str>,
    /// In the order of the declaration. An on-failure task is the last.
    pub(crate) tasks: Vec<TaskDefinition>,
    /// Priority of runs that are triggered without a priority: 1 (low) to 3 (high).
    pub(crate) default_priority: i32,
    pub(crate) idempotency: Option<Idempotency>,
    /// The binding of a run's tasks to one worker.
    pub(crate) sticky: Option<Sticky>,
    /// The concurrency rules of the workflow, for its runs as a whole. The rules of a workflow of one task are rules of
    /// the task.
    pub(crate) concurrency: Vec<ConcurrencyRule>,
    /// Keys of the events that trigger a run; `*` matches any text.
    pub(crate) events: Vec<Arc<str>>,
    /// Filters of the events that trigger a run.
    pub(crate) filters: Vec<FilterRule>,
    /// Cron rules that trigger a run.
    pub(crate) crons: Vec<CronRule>,
    /// Input of the runs that the cron rules trigger.
    pub(crate) cron_input: Arc<str>,
    /// The declaration as the client sent it, which is the stored form. Equal declarations are the same version of a
    /// workflow.
    pub(crate) content: Declaration,
}

/// One task of a workflow definition.
#[derive(Debug, Clone)]
pub(crate) struct TaskDefinition {
    pub(crate) name: Arc<str>,
    pub(crate) action: Arc<str>,
    pub(crate) requirements: SlotRequirements,
    /// Limit on the run time of an attempt.
    pub(crate) timeout: Duration,
    /// The declared text of the execution timeout, for the error of a timed-out attempt.
    pub(crate) timeout_text: String,
    pub(crate) schedule_timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) backoff: Option<BackOff>,
    /// The concurrency rules of the task, in the order in which it enters their groups.
    pub(crate) concurrency: Vec<ConcurrencyRule>,
    /// Units of rate limits that an attempt takes when it is assigned.
    pub(crate) rate_limits: Vec<RateRule>,
    /// The worker labels that the task requires or prefers. Sorted by key.
    pub(crate) labels: Vec<DesiredLabel>,
    /// Indexes of the tasks that must complete before this one starts.
    pub(crate) parents: Vec<usize>,
    /// Whether the task runs after all other tasks have finished, if one of them failed. Only the last task of a
    /// workflow can be an on-failure task.
    pub(crate) on_failure: bool,
    /// `None` if the task has no conditions.
    pub(crate) conditions: Option<Arc<Conditions>>,
}

/// The rule by which repeated triggers with an equal key start one run.
#[derive(Debug, Clone)]
pub(crate) struct Idempotency {
    pub(crate) expression: Expression,
    pub(crate) lease: Lease,
}

impl Definition {
    /// Whether the runs have limits, which have to be evaluated.
    pub(crate) fn has_limits(&self) -> bool {
        let has_limits = |task: &TaskDefinition| !task.concurrency.is_empty() || !task.rate_limits.is_empty();
        !self.concurrency.is_empty() || self.tasks.iter().any(has_limits)
    }

    /// Whether the limits depend on the id of the run.
    pub(crate) fn needs_run_id(&self) -> bool {
        let task_rules = self.tasks.iter().flat_map(|task| &task.concurrency);
        let rates = self.tasks.iter().flat_map(|task| &task.rate_limits);
        self.concurrency.iter().chain(task_rules).any(ConcurrencyRule::uses_run_id)
            || rates.into_iter().any(RateRule::uses_run_id)
    }

    /// The requirements of a task for its worker, to which a run may add its own.
    pub(crate) fn class(&self, task: &TaskDefinition) -> ResourceClass {
        let placement = Placement::new(self.sticky, None, task.labels.clone());
        ResourceClass { requirements: task.requirements.clone(), placement: placement.map(Arc::new) }
    }

    /// Index of the on-failure task.
    pub(crate) fn on_failure(&self) -> Option<usize> {
        self.tasks.len().checked_sub(1).filter(|last| self.tasks[*last].on_failure)
    }
}

#[cfg(test)]
impl Definition {
    /// A definition of these tasks with the defaults of a declaration, for tests.
    pub(crate) fn sample(name: &str, tasks: Vec<TaskDefinition>) -> Self {
        Self {
            name: name.into(),
            tasks,
            default_priority: 1,
            idempotency: None,
            sticky: None,
            concurrency: Vec::new(),
            events: Vec::new(),
            filters: Vec::new(),
            crons: Vec::new(),
            cron_input: "{}".into(),
            content: Declaration::default(),
        }
    }
}

#[cfg(test)]
impl TaskDefinition {
    /// A task that takes one default slot, without retries, for tests.
    pub(crate) fn sample(name: &str, action: &str) -> Self {
        Self {
            name: name.into(),
            action: action.into(),
            requirements: [("default".into(), 1)].into(),
            timeout: Duration::from_secs(60),
            timeout_text: "60s".into(),
            schedule_timeout: Duration::from_secs(60),
            retries: 0,
            backoff: None,
            concurrency: Vec::new(),
            rate_limits: Vec::new(),
            labels: Vec::new(),
            parents: Vec::new(),
            on_failure: false,
            conditions: None,
        }
    }
}
