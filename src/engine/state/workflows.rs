//! Declaring workflows.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    ClockReading, RunTemplate, State, Timestamp,
    model::{Definition, Needs, TaskDefinition, TaskSpec, Version, Workflow},
    scheduler::queues::Queue,
};

impl State {
    /// Declares a workflow. The same content again keeps its ids; a new content is a new version, which new runs
    /// take. Answers the version's id and the workflow's.
    pub(crate) fn put_workflow(&mut self, mut definition: Definition, now: ClockReading) -> (Uuid, Uuid) {
        let known = self.workflows.get(definition.name.as_str());
        if let Some(same) = known.filter(|w| w.version.content == definition.content) {
            return (same.version.id, same.id);
        }
        let known = known.map(|w| (w.id, w.created, w.version.events.clone()));
        let (workflow_id, created, events_before) = known.unwrap_or_else(|| (self.new_id(), now.display, Vec::new()));
        let name: Arc<str> = definition.name.as_str().into();
        let template = RunTemplate {
            workflow: name.clone(),
            input: definition.cron_input.clone(),
            metadata: "{}".into(),
            priority: Some(definition.default_priority),
        };
        self.declare_crons(&template, std::mem::take(&mut definition.crons), now);
        self.declared += 1;
        let version =
            Arc::new(Version::of(definition, workflow_id, self.declared, now.display, &mut self.queue, &mut self.ids));
        self.events.declare(&name, &events_before, &version.events);
        let ids = (version.id, workflow_id);
        self.workflow_names.insert(workflow_id, name.clone());
        self.versions.insert(version.order, version.clone());
        if let Some(old) = self.workflows.insert(name, Workflow { id: workflow_id, created, version }) {
            self.retire(&old.version);
        }
        ids
    }

    /// Forgets a version that is not the newest, if the caller's is its last use.
    pub(crate) fn retire(&mut self, version: &Arc<Version>) {
        // The caller's, and the one that is kept.
        if Arc::strong_count(version) == 2 {
            self.versions.remove(&version.order);
        }
    }
}

impl Version {
    /// A version of a workflow. Its own id is drawn first, then those of its tasks.
    pub(crate) fn of(
        definition: Definition,
        workflow_id: Uuid,
        order: i64,
        created: Timestamp,
        queue: &mut Queue,
        ids: &mut dyn FnMut() -> Uuid,
    ) -> Self {
        let workflow: Arc<str> = definition.name.into();
        Self {
            id: ids(),
            workflow_id,
            order,
            created,
            tasks: task_specs(&workflow, definition.tasks, queue, ids),
            workflow,
            default_priority: definition.default_priority,
            idempotency: definition.idempotency,
            events: definition.events.into_iter().map(Arc::from).collect(),
            content: definition.content,
        }
    }
}

fn task_specs(
    workflow: &Arc<str>,
    tasks: Vec<TaskDefinition>,
    queue: &mut Queue,
    ids: &mut dyn FnMut() -> Uuid,
) -> Vec<TaskSpec> {
    let mut specs: Vec<TaskSpec> = tasks.into_iter().map(|task| task_spec(workflow, task, queue, ids())).collect();
    for child in 0..specs.len() {
        for parent in specs[child].parents.clone() {
            specs[parent].children.push(child);
        }
    }
    specs
}

fn task_spec(workflow: &Arc<str>, task: TaskDefinition, queue: &mut Queue, id: Uuid) -> TaskSpec {
    let action: Arc<str> = task.action.into();
    let mut needs: Vec<(Arc<str>, i64)> = task.needs.into_iter().map(|(kind, n)| (kind.into(), n)).collect();
    needs.sort();
    let needs: Needs = needs.into();
    let lane = queue.lane_for(workflow, &action, &needs);
    TaskSpec {
        id,
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
