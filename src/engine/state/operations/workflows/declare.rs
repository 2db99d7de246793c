//! Declares workflows: creates versions, and replaces declared crons and filters.

use uuid::Uuid;

use crate::engine::state::{
    machine::State,
    metadata::NO_METADATA,
    time::ClockReading,
    triggers::{Cron, RunTemplate},
    workflows::{Definition, Version, version_tasks},
};

impl State {
    /// Declares a workflow and returns the ids of its version and of the workflow. An equal declaration keeps the
    /// existing version. A changed declaration creates a new version, which later runs use, and replaces the declared
    /// crons.
    pub(crate) fn put_workflow(&mut self, definition: Definition, now: ClockReading) -> (Uuid, Uuid) {
        let known = self.workflows.get(&definition.name);
        if let Some(same) = known.filter(|known| known.definition.content == definition.content) {
            return (same.id, same.workflow_id);
        }
        let known = known.map(|known| (known.workflow_id, known.workflow_created));
        let (workflow_id, workflow_created) = known.unwrap_or_else(|| (self.new_id(), now.display));
        self.replace_declared_crons(&definition, now);
        self.retain_required_limits(&definition);
        let (id, order) = (self.new_id(), self.workflows.next_order());
        let tasks = version_tasks(&definition, std::iter::repeat_with(&mut self.ids), &mut self.scheduler);
        let created = now.display;
        self.replace_declared_filters(workflow_id, &definition, now);
        self.workflows.insert(Version { id, created, workflow_id, workflow_created, order, definition, tasks });
        // A new version may have new queues.
        if self.workflows.pause_of(workflow_id).is_some() {
            self.apply_pause(workflow_id, now);
        }
        (id, workflow_id)
    }

    fn replace_declared_crons(&mut self, definition: &Definition, now: ClockReading) {
        let template = RunTemplate {
            workflow: definition.name.clone(),
            input: definition.cron_input.clone(),
            metadata: NO_METADATA.into(),
            priority: Some(definition.default_priority),
        };
        self.calendar.remove_declared_crons(&definition.name);
        for rule in &definition.crons {
            let cron = Cron::new(template.clone(), rule.clone(), String::new(), true, now.display);
            let id = self.new_id();
            self.calendar.add_cron(id, cron, now);
        }
    }
}
