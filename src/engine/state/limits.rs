//! The limits of a run: the concurrency groups and the units of rate limits that result from its workflow's expressions.
//!
//! All expressions are evaluated once, when the run is triggered. As an evaluation may take milliseconds, it takes place
//! before the lock of the state machine is taken, unless an expression needs the id of the run. The results are part of
//! the run and survive a restart. A run of a workflow without limits has none.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    engine::state::{
        concurrency::{ConcurrencyRule, GroupDemand},
        expression::Variables,
        rate_limits::RateDemand,
        workflows::{Definition, TaskDefinition, Version},
    },
    hatchet::wire::RunId,
};

/// The limits of a run, in the order of its version's rules and tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct RunLimits {
    /// The groups of the workflow, which the run as a whole enters in this order.
    pub(crate) workflow: Vec<GroupDemand>,
    /// The limits of each task, in the order of the version's tasks.
    pub(crate) tasks: Vec<TaskLimits>,
}

/// The limits of one task of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TaskLimits {
    /// The groups of the task, which each attempt enters in this order.
    pub(crate) groups: Vec<GroupDemand>,
    /// The units of rate limits that each attempt takes when it is assigned.
    pub(crate) rates: Vec<RateDemand>,
    /// The error of an expression, with which the task fails instead of being queued.
    pub(crate) error: Option<Arc<str>>,
}

impl RunLimits {
    /// Estimated memory in bytes: the lengths of the texts, and the sizes of the structs, rounded up.
    pub(crate) fn bytes(&self) -> usize {
        let group_bytes = |groups: &[GroupDemand]| groups.iter().map(|group| group.key.len() + 48).sum::<usize>();
        let task_bytes = |task: &TaskLimits| {
            let rates = task.rates.iter().map(|rate| rate.key.len() + 64).sum::<usize>();
            group_bytes(&task.groups) + rates + task.error.as_ref().map_or(0, |error| error.len()) + 64
        };
        group_bytes(&self.workflow) + self.tasks.iter().map(task_bytes).sum::<usize>() + 48
    }

    /// Returns the keys of all groups of a task, the groups of the workflow first.
    pub(crate) fn keys(&self, task: usize) -> impl Iterator<Item = &str> {
        let own = self.tasks.get(task).into_iter().flat_map(|task| &task.groups);
        self.workflow.iter().chain(own).map(|group| &*group.key)
    }
}

/// The limits of a run that is about to be created.
#[derive(Debug)]
pub(crate) struct EvaluatedLimits {
    /// The version whose rules were evaluated.
    version: Uuid,
    limits: Option<Arc<RunLimits>>,
}

impl EvaluatedLimits {
    /// Evaluates the limits of a version before its run exists; `None` if they depend on the id of the run.
    pub(crate) fn early(version: &Version, input: &str, metadata: &str) -> Option<Self> {
        let definition = &version.definition;
        if definition.has_limits() && definition.needs_run_id() {
            return None;
        }
        Some(Self { version: version.id, limits: limits_for(definition, input, metadata, String::new()) })
    }

    /// The limits of a run. Evaluates them unless `early` has the results for this version.
    pub(crate) fn for_run(
        early: Option<Self>,
        version: &Version,
        input: &str,
        metadata: &str,
        run: RunId,
    ) -> Option<Arc<RunLimits>> {
        match early {
            Some(early) if early.version == version.id => early.limits,
            Some(_) | None => limits_for(&version.definition, input, metadata, run.to_string()),
        }
    }
}

/// Evaluates the limits for a run; `None` for a workflow without limits.
fn limits_for(definition: &Definition, input: &str, metadata: &str, run: String) -> Option<Arc<RunLimits>> {
    if !definition.has_limits() {
        return None;
    }
    let variables = Variables::new(input, metadata, run);
    let workflow = demands(&definition.concurrency, &variables);
    let evaluate = |task: &TaskDefinition| {
        let error = workflow.as_ref().err().filter(|_| !task.on_failure);
        let limits = match error {
            Some(error) => Err(error.clone()),
            None => task_limits(task, &variables),
        };
        limits.unwrap_or_else(|error| TaskLimits { error: Some(error.into()), ..TaskLimits::default() })
    };
    let tasks = definition.tasks.iter().map(evaluate).collect();
    Some(Arc::new(RunLimits { tasks, workflow: workflow.unwrap_or_default() }))
}

fn task_limits(task: &TaskDefinition, variables: &Variables) -> Result<TaskLimits, String> {
    let groups = demands(&task.concurrency, variables)?;
    let mut rates: Vec<RateDemand> = Vec::with_capacity(task.rate_limits.len());
    for rule in &task.rate_limits {
        let demand = rule.demand(variables)?;
        // The last of several rules with one key applies, as in a real engine.
        rates.retain(|other| other.key != demand.key);
        rates.push(demand);
    }
    Ok(TaskLimits { groups, rates, error: None })
}

fn demands(rules: &[ConcurrencyRule], variables: &Variables) -> Result<Vec<GroupDemand>, String> {
    rules.iter().map(|rule| rule.demand(variables)).collect()
}
