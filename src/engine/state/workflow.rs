//! Declaring workflows.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    Moment, Plan, State,
    model::{Definition, Needs, TaskDefinition, TaskSpec, Version, Workflow},
};

impl State {
    /// Declares a workflow. The same content again keeps its ids; a new content is a new version, which new runs
    /// take. Answers the version's id and the workflow's.
    pub(crate) fn put_workflow(&mut self, definition: Definition, now: Moment) -> (Uuid, Uuid) {
        let known = self.workflows.get(definition.name.as_str());
        if let Some(same) = known.filter(|w| w.version.content == definition.content) {
            return (same.version.id, same.id);
        }
        let known = known.map(|w| (w.id, w.created, w.version.events.clone()));
        let (workflow_id, created, events_before) = known.unwrap_or_else(|| (self.new_id(), now, Vec::new()));
        let name: Arc<str> = definition.name.into();
        let plan = Plan {
            workflow: name.clone(),
            input: definition.cron_input,
            metadata: "{}".into(),
            priority: Some(definition.default_priority),
        };
        self.declare_crons(&plan, definition.crons, now);
        self.versions += 1;
        let version = Version {
            id: self.new_id(),
            workflow_id,
            workflow: name.clone(),
            order: self.versions,
            created: now,
            tasks: self.task_specs(&name, definition.tasks),
            default_priority: definition.default_priority,
            idempotency: definition.idempotency,
            events: definition.events.into_iter().map(Arc::from).collect(),
            content: definition.content,
        };
        self.events.declare(&name, &events_before, &version.events);
        let ids = (version.id, workflow_id);
        self.workflow_names.insert(workflow_id, name.clone());
        self.workflows.insert(name, Workflow { id: workflow_id, created, version: Arc::new(version) });
        ids
    }

    fn task_specs(&mut self, workflow: &Arc<str>, tasks: Vec<TaskDefinition>) -> Vec<TaskSpec> {
        let mut specs: Vec<TaskSpec> = tasks.into_iter().map(|task| self.task_spec(workflow, task)).collect();
        for child in 0..specs.len() {
            for parent in specs[child].parents.clone() {
                specs[parent].children.push(child);
            }
        }
        specs
    }

    fn task_spec(&mut self, workflow: &Arc<str>, task: TaskDefinition) -> TaskSpec {
        let action: Arc<str> = task.action.into();
        let mut needs: Vec<(Arc<str>, i64)> = task.needs.into_iter().map(|(kind, n)| (kind.into(), n)).collect();
        needs.sort();
        let needs: Needs = needs.into();
        let lane = self.queue.lane_for(workflow, &action, &needs);
        TaskSpec {
            id: self.new_id(),
            name: task.name.into(),
            action,
            lane,
            needs,
            timeout: task.timeout,
            schedule_timeout: task.schedule_timeout,
            retries: task.retries,
            backoff: task.backoff,
            parents: task.parents,
            children: Vec::new(),
            on_failure: task.on_failure,
        }
    }
}
