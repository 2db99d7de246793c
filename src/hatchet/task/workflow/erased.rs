//! A workflow without its types, as a worker registers it.

use std::sync::Arc;

use serde_json::Value;

use super::condition::{Action, ConditionKind, OrGroup};
use crate::hatchet::task::{ErasedTask, Payload, Task, WorkflowOptions};

/// A workflow without its types. Every [`Task`] becomes one as well: an engine knows a task only as the single task of
/// a workflow.
#[derive(Debug, Clone)]
pub struct ErasedWorkflow(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// A task, with a workflow for each of its names.
    Standalone(Box<ErasedTask>),
    /// A workflow of several tasks.
    Flow(Box<DeclaredFlow>),
}

/// A workflow of several tasks.
#[derive(Debug, Clone)]
pub(super) struct DeclaredFlow {
    pub(super) name: String,
    pub(super) options: WorkflowOptions,
    pub(super) tasks: Vec<FlowTask>,
    input_schema: Arc<Value>,
    /// The task whose output is the result, as declared and as the stub names it.
    pub(super) output: (Option<String>, Option<String>),
}

/// A declared task of a workflow.
#[derive(Debug, Clone)]
pub(in crate::hatchet) struct FlowTask {
    pub(in crate::hatchet) role: Role,
    pub(in crate::hatchet) task: ErasedTask,
    pub(in crate::hatchet) parents: Vec<ParentLink>,
    /// Groups of conditions, which must all hold for the same action.
    pub(in crate::hatchet) conditions: Vec<(Action, OrGroup)>,
}

/// The role of a task, which determines when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hatchet) enum Role {
    /// Runs in the order of the dependencies.
    Task,
    /// Runs at the end if a task has failed.
    OnFailure,
    /// Runs at the end if all tasks have completed.
    OnSuccess,
}

/// A parent of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentLink {
    /// In lower case.
    pub(in crate::hatchet) name: String,
    pub(super) is_optional: bool,
}

/// The form of a workflow that the worker registers under one name.
pub(in crate::hatchet) struct RegisteredFlow<'a> {
    /// Without the namespace.
    pub(in crate::hatchet) name: &'a str,
    pub(in crate::hatchet) options: &'a WorkflowOptions,
    pub(in crate::hatchet) input_schema: &'a Value,
    pub(in crate::hatchet) tasks: Vec<RegisteredFlowTask<'a>>,
}

/// The form of a task that the worker registers.
pub(in crate::hatchet) struct RegisteredFlowTask<'a> {
    /// The task's name in the workflow, in lower case.
    pub(in crate::hatchet) name: String,
    pub(in crate::hatchet) role: Role,
    pub(in crate::hatchet) task: &'a ErasedTask,
    /// Names of the parents, in lower case.
    pub(in crate::hatchet) parents: Vec<String>,
    pub(in crate::hatchet) conditions: &'a [(Action, OrGroup)],
}

impl FlowTask {
    /// The task's name in lower case, as engines know it.
    pub(in crate::hatchet) fn name(&self) -> String {
        self.task.name().to_lowercase()
    }

    /// Whether the task has a condition on a parent's output to skip it, which replaces the rule that a task is skipped
    /// with its parents.
    pub(super) fn skips_by_parent(&self) -> bool {
        self.conditions.iter().filter(|(action, _)| *action == Action::Skip).any(|(_, group)| {
            group.conditions().iter().any(|condition| matches!(condition, ConditionKind::ParentOutput { .. }))
        })
    }
}

impl DeclaredFlow {
    /// The tasks that are not the parent of another task.
    fn leaves(&self) -> Vec<&FlowTask> {
        let is_parent = |name: &str| self.tasks.iter().any(|task| task.parents.iter().any(|link| link.name == name));
        self.tasks.iter().filter(|task| task.role == Role::Task && !is_parent(&task.name())).collect()
    }

    fn registered(&self) -> RegisteredFlow<'_> {
        let leaves = self.leaves();
        let tasks = self.tasks.iter().map(|flow_task| RegisteredFlowTask {
            name: flow_task.name(),
            role: flow_task.role,
            task: &flow_task.task,
            parents: match flow_task.role {
                Role::OnSuccess => leaves.iter().map(|task| task.name()).collect(),
                Role::Task | Role::OnFailure => flow_task.parents.iter().map(|link| link.name.clone()).collect(),
            },
            conditions: &flow_task.conditions,
        });
        RegisteredFlow {
            name: &self.name,
            options: &self.options,
            input_schema: &self.input_schema,
            tasks: tasks.collect(),
        }
    }
}

impl ErasedWorkflow {
    pub(super) fn of_tasks(
        name: &str,
        options: WorkflowOptions,
        mut tasks: Vec<FlowTask>,
        input_schema: Value,
        output: (Option<String>, Option<String>),
    ) -> Self {
        for task in &mut tasks {
            task.task.set_workflow(name);
        }
        let (name, input_schema) = (name.to_owned(), Arc::new(input_schema));
        Self(Kind::Flow(Box::new(DeclaredFlow { name, options, tasks, input_schema, output })))
    }

    /// Returns the names under which the workflow is registered, without the client's namespace: one, and the aliases
    /// of a task.
    pub fn names(&self) -> Vec<&str> {
        match &self.0 {
            Kind::Standalone(task) => task.names().collect(),
            Kind::Flow(flow) => vec![&flow.name],
        }
    }

    /// Returns the tasks, in the order of their declaration.
    pub fn tasks(&self) -> Vec<&ErasedTask> {
        match &self.0 {
            Kind::Standalone(task) => vec![&**task],
            Kind::Flow(flow) => flow.tasks.iter().map(|task| &task.task).collect(),
        }
    }

    /// Returns the task, or `None` if it is a workflow of several tasks.
    pub(crate) fn as_task(&self) -> Option<&ErasedTask> {
        self.flow().err()
    }

    /// The workflows that are registered in the engine.
    pub(in crate::hatchet) fn registered(&self) -> Vec<RegisteredFlow<'_>> {
        match &self.0 {
            Kind::Standalone(task) => task
                .names()
                .map(|name| RegisteredFlow {
                    name,
                    options: task.workflow_options(),
                    input_schema: task.input_schema(),
                    tasks: vec![RegisteredFlowTask {
                        name: name.to_lowercase(),
                        role: Role::Task,
                        task,
                        parents: Vec::new(),
                        conditions: &[],
                    }],
                })
                .collect(),
            Kind::Flow(flow) => vec![flow.registered()],
        }
    }

    /// The declaration of a workflow of several tasks.
    pub(super) fn flow(&self) -> Result<&DeclaredFlow, &ErasedTask> {
        match &self.0 {
            Kind::Standalone(task) => Err(task),
            Kind::Flow(flow) => Ok(flow),
        }
    }
}

impl From<ErasedTask> for ErasedWorkflow {
    fn from(task: ErasedTask) -> Self {
        Self(Kind::Standalone(Box::new(task)))
    }
}

impl<I: Payload, O: Payload> From<Task<I, O>> for ErasedWorkflow {
    fn from(task: Task<I, O>) -> Self {
        task.erase().into()
    }
}
