//! Declared workflows and their versions.
//!
//! A changed declaration creates a new version for later runs; a run keeps the version that it was created with. A
//! version is dropped once a newer one has replaced it and no run refers to it.

mod definition;
mod event_triggers;
mod settings;

pub(crate) use self::definition::{Definition, Idempotency, TaskDefinition};
use self::event_triggers::EventTriggers;
pub(crate) use self::settings::{Pause, PauseBehavior, Settings};

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    scheduler::{QueueId, Scheduler},
    time::Timestamp,
};
use crate::engine::persistence::{
    row::RowKey,
    tracked::{ENTRY_BYTES, Stored, Tracked},
};

/// A version of a workflow.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) id: Uuid,
    pub(crate) created: Timestamp,
    /// Id of the workflow, the same for all of its versions.
    pub(crate) workflow_id: Uuid,
    /// Creation time of the first version of the workflow.
    pub(crate) workflow_created: Timestamp,
    /// Number of the declaration, counted over all workflows.
    pub(crate) order: i64,
    pub(crate) definition: Definition,
    /// One for each task of the definition; see [`version_tasks`].
    pub(crate) tasks: Vec<VersionTask>,
}

/// The engine's additions to a task's definition.
#[derive(Debug)]
pub(crate) struct VersionTask {
    /// `task_id` and `job_id` in messages.
    id: Uuid,
    queue: QueueId,
    /// Indexes of the tasks that have this one as a parent.
    children: Vec<usize>,
}

/// A task of a version: its definition and the engine's additions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskSpec<'a> {
    pub(crate) definition: &'a TaskDefinition,
    pub(crate) id: Uuid,
    pub(crate) queue: QueueId,
    pub(crate) children: &'a [usize],
}

/// Creates the tasks of a version, with a queue for each.
pub(crate) fn version_tasks(
    definition: &Definition,
    ids: impl Iterator<Item = Uuid>,
    scheduler: &mut Scheduler,
) -> Vec<VersionTask> {
    debug_assert!(has_unique_names(definition), "task names of `{}` are not unique", definition.name);
    let task = |(id, task): (Uuid, &TaskDefinition)| VersionTask {
        id,
        queue: scheduler.queue_for(&definition.name, &task.action, &definition.class(task)),
        children: Vec::new(),
    };
    let mut tasks: Vec<VersionTask> = ids.zip(&definition.tasks).map(task).collect();
    for (child, task) in definition.tasks.iter().enumerate() {
        for parent in &task.parents {
            tasks[*parent].children.push(child);
        }
    }
    tasks
}

/// Whether each task has its own name, which validation ensures and lists of results by task name rely on.
fn has_unique_names(definition: &Definition) -> bool {
    let mut names = HashSet::new();
    definition.tasks.iter().all(|task| names.insert(&*task.name))
}

impl Version {
    /// A task by its index.
    pub(crate) fn task(&self, index: usize) -> Option<TaskSpec<'_>> {
        let (task, definition) = (self.tasks.get(index)?, self.definition.tasks.get(index)?);
        Some(TaskSpec { definition, id: task.id, queue: task.queue, children: &task.children })
    }

    /// Number of tasks.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }
}

/// The declared workflows, with all versions that runs refer to.
#[derive(Debug, Default)]
pub(crate) struct Workflows {
    /// The newest version of each workflow, by the name of the workflow.
    newest: BTreeMap<Arc<str>, Arc<Version>>,
    /// The name of each workflow by its id.
    names: HashMap<Uuid, Arc<str>>,
    /// The newest versions and the versions with runs, by their order.
    pub(super) versions: Tracked<BTreeMap<i64, Arc<Version>>>,
    /// The settings of workflows, by their id.
    pub(super) settings: Tracked<BTreeMap<Uuid, Settings>>,
    last_order: i64,
    event_triggers: EventTriggers,
}

impl Workflows {
    /// The newest version of a workflow.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Version>> {
        self.newest.get(name)
    }

    /// The newest version of a workflow.
    pub(crate) fn by_id(&self, id: Uuid) -> Option<&Arc<Version>> {
        self.newest.get(self.names.get(&id)?)
    }

    /// The newest version of each workflow, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Version>)> {
        self.newest.iter()
    }

    /// A version by its order.
    pub(crate) fn version(&self, order: i64) -> Option<&Arc<Version>> {
        self.versions.get(&order)
    }

    /// Returns the workflows that an event key triggers, without duplicates.
    pub(crate) fn triggered_by(&self, event_key: &str) -> BTreeSet<Arc<str>> {
        self.event_triggers.matching(event_key)
    }

    /// Returns the order of a new version.
    pub(crate) fn next_order(&mut self) -> i64 {
        self.last_order += 1;
        self.last_order
    }

    /// Inserts a new version, as the newest of its workflow.
    pub(crate) fn insert(&mut self, version: Version) {
        let version = Arc::new(version);
        self.versions.insert(version.order, version.clone());
        if let Some(replaced) = self.set_newest(version) {
            self.drop_if_unused(&replaced);
        }
    }

    /// Restores a stored version. Versions are restored in their order, so the last of a workflow is its newest.
    pub(crate) fn restore(&mut self, version: Version) {
        let version = Arc::new(version);
        self.last_order = self.last_order.max(version.order);
        self.versions.restore(version.order, version.clone());
        if !self.settings.get(&version.workflow_id).is_some_and(|settings| settings.is_deleted) {
            self.set_newest(version);
        }
    }

    /// Returns the version that was replaced.
    fn set_newest(&mut self, version: Arc<Version>) -> Option<Arc<Version>> {
        let name = version.definition.name.clone();
        self.names.insert(version.workflow_id, name.clone());
        let replaced = self.newest.insert(name.clone(), version.clone());
        let before = replaced.as_ref().map(|version| &version.definition.events[..]).unwrap_or_default();
        self.event_triggers.replace(&name, before, &version.definition.events);
        replaced
    }

    /// Drops a version if only the caller still uses it. The newest version of a workflow is always in use.
    pub(crate) fn drop_if_unused(&mut self, version: &Arc<Version>) {
        // The caller and `versions` have one reference each.
        if Arc::strong_count(version) == 2 {
            self.versions.remove(&version.order);
            self.forget_deleted(version.workflow_id);
        }
    }

    /// Drops all replaced versions without runs.
    pub(crate) fn drop_unused(&mut self) {
        let is_unused = |version: &Arc<Version>| Arc::strong_count(version) == 1;
        let unused: Vec<i64> =
            self.versions.iter().filter(|(_, version)| is_unused(version)).map(|(order, _)| *order).collect();
        for order in unused {
            if let Some(version) = self.versions.remove(&order) {
                self.forget_deleted(version.workflow_id);
            }
        }
    }
}

/// Settings.
impl Workflows {
    /// Whether no workflow has settings.
    pub(crate) fn has_no_settings(&self) -> bool {
        self.settings.is_empty()
    }

    /// Returns the pause of a workflow; `None` if it is not paused.
    pub(crate) fn pause_of(&self, id: Uuid) -> Option<Pause> {
        self.settings.get(&id)?.pause
    }

    /// Pauses or resumes a workflow.
    pub(crate) fn set_pause(&mut self, id: Uuid, pause: Option<Pause>) {
        match pause {
            Some(_) => self.settings.insert(id, Settings { pause, is_deleted: false }),
            None => drop(self.settings.remove(&id)),
        }
    }

    /// Deletes a workflow. Its versions remain while runs refer to them.
    pub(crate) fn delete(&mut self, id: Uuid) {
        let Some(version) = self.names.remove(&id).and_then(|name| self.newest.remove(&name)) else { return };
        self.event_triggers.replace(&version.definition.name, &version.definition.events, &[]);
        self.settings.insert(id, Settings { pause: None, is_deleted: true });
        self.drop_if_unused(&version);
    }

    /// Removes the settings of a deleted workflow without versions.
    fn forget_deleted(&mut self, id: Uuid) {
        let is_deleted = self.settings.get(&id).is_some_and(|settings| settings.is_deleted);
        if is_deleted && !self.versions.values().any(|version| version.workflow_id == id) {
            self.settings.remove(&id);
        }
    }
}

impl Stored<i64> for Arc<Version> {
    fn row_key(&self, order: &i64) -> RowKey {
        RowKey::Number(order.unsigned_abs())
    }

    fn bytes(&self) -> usize {
        self.definition.content.encoded_len() + ENTRY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(names: &[&str]) -> Vec<VersionTask> {
        let tasks = names.iter().map(|name| TaskDefinition::sample(name, "w:t")).collect();
        let ids = names.iter().map(|_| Uuid::nil());
        version_tasks(&Definition::sample("w", tasks), ids, &mut Scheduler::default())
    }

    #[test]
    fn tasks_of_equal_requirements_share_a_queue() {
        let tasks = tasks(&["a", "b"]);
        assert_eq!(tasks[0].queue, tasks[1].queue);
        assert_eq!(tasks.len(), 2);
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "not unique")]
    fn duplicate_task_names_panic_in_debug_builds() {
        tasks(&["a", "a"]);
    }
}
