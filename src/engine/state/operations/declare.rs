//! Declaring workflows.

use std::sync::Arc;

use uuid::Uuid;

use crate::engine::state::{
    machine::State,
    time::ClockReading,
    triggers::{Cron, RunTemplate},
    workflows::{Definition, Version, VersionIds},
};

impl State {
    /// Declares a workflow and returns the ids of its version and of the workflow. An equal declaration keeps the
    /// existing version; another one makes a new version, which later runs use, and replaces the declared crons.
    pub(crate) fn put_workflow(&mut self, definition: Definition, now: ClockReading) -> (Uuid, Uuid) {
        let known = self.workflows.get(&definition.name);
        if let Some(same) = known.filter(|known| known.version.definition.content == definition.content) {
            return (same.version.id, same.id);
        }
        let known = known.map(|known| (known.id, known.created));
        let (workflow, workflow_created) = known.unwrap_or_else(|| (self.new_id(), now.display));
        self.replace_declared_crons(&definition, now);
        let ids = VersionIds {
            workflow,
            version: self.new_id(),
            tasks: definition.tasks.iter().map(|_| (self.ids)()).collect(),
            order: self.workflows.next_order(),
        };
        let version = Version::new(definition, ids, now.display, &mut self.scheduler);
        let id = version.id;
        self.workflows.insert(version, workflow_created);
        (id, workflow)
    }

    fn replace_declared_crons(&mut self, definition: &Definition, now: ClockReading) {
        let template = RunTemplate {
            workflow: definition.name.clone(),
            input: definition.cron_input.clone(),
            metadata: Arc::from("{}"),
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
