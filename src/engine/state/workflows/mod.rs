//! Declared workflows and their versions.
//!
//! A changed declaration makes a new version, which later runs use; a run keeps the version it was created with. A
//! version is dropped when it is not the newest one and no run refers to it.

mod definition;
mod event_triggers;

pub(crate) use self::definition::{Definition, Idempotency, TaskDefinition};
use self::event_triggers::EventTriggers;

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
    row::{Batch, Row, RowKey, Table},
    tracked::{ENTRY_BYTES, Stored, Tracked},
};

/// A workflow, with its newest version.
#[derive(Debug)]
pub(crate) struct Workflow {
    pub(crate) id: Uuid,
    pub(crate) created: Timestamp,
    pub(crate) version: Arc<Version>,
}

/// A version of a workflow.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) id: Uuid,
    pub(crate) workflow_id: Uuid,
    /// Number of the declaration among those of all workflows.
    pub(crate) order: i64,
    pub(crate) created: Timestamp,
    pub(crate) definition: Definition,
    /// One for each task of the definition.
    tasks: Vec<VersionTask>,
}

/// What the engine adds to a task's definition.
#[derive(Debug)]
struct VersionTask {
    /// `task_id` and `job_id` in messages.
    id: Uuid,
    queue: QueueId,
    /// Indexes of the tasks that have this one as a parent.
    children: Vec<usize>,
}

/// A task of a version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskSpec<'a> {
    pub(crate) definition: &'a TaskDefinition,
    pub(crate) id: Uuid,
    pub(crate) queue: QueueId,
    pub(crate) children: &'a [usize],
}

/// The ids of a version that is created or restored.
#[derive(Debug)]
pub(crate) struct VersionIds {
    pub(crate) workflow: Uuid,
    pub(crate) version: Uuid,
    pub(crate) tasks: Vec<Uuid>,
    pub(crate) order: i64,
}

impl Version {
    /// A version of a workflow; its tasks get a queue each.
    pub(crate) fn new(definition: Definition, ids: VersionIds, created: Timestamp, scheduler: &mut Scheduler) -> Self {
        debug_assert!(has_unique_names(&definition), "task names of `{}` are not unique", definition.name);
        let task = |(id, task): (Uuid, &TaskDefinition)| VersionTask {
            id,
            queue: scheduler.queue_for(&definition.name, &task.action, &task.requirements),
            children: Vec::new(),
        };
        let mut tasks: Vec<VersionTask> = ids.tasks.into_iter().zip(&definition.tasks).map(task).collect();
        for (child, task) in definition.tasks.iter().enumerate() {
            for parent in &task.parents {
                tasks[*parent].children.push(child);
            }
        }
        Self { id: ids.version, workflow_id: ids.workflow, order: ids.order, created, definition, tasks }
    }

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

/// Results are listed by task name, so validation refuses two tasks of one name.
fn has_unique_names(definition: &Definition) -> bool {
    let mut names = HashSet::new();
    definition.tasks.iter().all(|task| names.insert(&*task.name))
}

/// All workflows.
#[derive(Debug, Default)]
pub(crate) struct Workflows {
    by_name: BTreeMap<Arc<str>, Workflow>,
    names: HashMap<Uuid, Arc<str>>,
    /// Versions that are the newest or have runs, by their order.
    versions: Tracked<BTreeMap<i64, Arc<Version>>>,
    last_order: i64,
    event_triggers: EventTriggers,
}

impl Workflows {
    pub(crate) fn get(&self, name: &str) -> Option<&Workflow> {
        self.by_name.get(name)
    }

    pub(crate) fn by_id(&self, id: Uuid) -> Option<&Workflow> {
        self.by_name.get(self.names.get(&id)?)
    }

    /// All workflows by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Workflow)> {
        self.by_name.iter()
    }

    /// A version by its order.
    pub(crate) fn version(&self, order: i64) -> Option<&Arc<Version>> {
        self.versions.get(&order)
    }

    /// The workflows that an event key triggers, each once.
    pub(crate) fn triggered_by(&self, event_key: &str) -> BTreeSet<Arc<str>> {
        self.event_triggers.matching(event_key)
    }

    /// The order of the next version.
    pub(crate) fn next_order(&mut self) -> i64 {
        self.last_order += 1;
        self.last_order
    }

    /// Makes a version the newest of its workflow.
    pub(crate) fn insert(&mut self, version: Version, workflow_created: Timestamp) {
        let version = Arc::new(version);
        self.versions.insert(version.order, version.clone());
        if let Some(replaced) = self.set_newest(version, workflow_created) {
            self.drop_if_unused(&replaced);
        }
    }

    /// Restores a stored version. Versions are restored in their order, so the last one of a workflow is its newest.
    pub(crate) fn restore(&mut self, version: Version, workflow_created: Timestamp) {
        let version = Arc::new(version);
        self.last_order = self.last_order.max(version.order);
        self.versions.restore(version.order, version.clone());
        self.set_newest(version, workflow_created);
    }

    fn set_newest(&mut self, version: Arc<Version>, workflow_created: Timestamp) -> Option<Arc<Version>> {
        let name = version.definition.name.clone();
        self.names.insert(version.workflow_id, name.clone());
        let workflow = Workflow { id: version.workflow_id, created: workflow_created, version: version.clone() };
        let replaced = self.by_name.insert(name.clone(), workflow).map(|workflow| workflow.version);
        let before = replaced.as_ref().map(|version| &version.definition.events[..]).unwrap_or_default();
        self.event_triggers.replace(&name, before, &version.definition.events);
        replaced
    }

    /// Drops a version if the caller's reference is its last use. The newest version of a workflow is always in use.
    pub(crate) fn drop_if_unused(&mut self, version: &Arc<Version>) {
        // One reference is the caller's, the other that of `versions`.
        if Arc::strong_count(version) == 2 {
            self.versions.remove(&version.order);
        }
    }

    /// Drops all replaced versions without runs.
    pub(crate) fn drop_unused(&mut self) {
        let is_unused = |version: &Arc<Version>| Arc::strong_count(version) == 1;
        let unused: Vec<i64> =
            self.versions.iter().filter(|(_, version)| is_unused(version)).map(|(order, _)| *order).collect();
        for order in unused {
            self.versions.remove(&order);
        }
    }

    /// Estimated memory of all versions in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.versions.bytes()
    }

    pub(crate) fn track_changes(&mut self) {
        self.versions.track_changes();
    }

    pub(crate) fn has_changes(&self) -> bool {
        self.versions.has_changes()
    }

    /// Drains the changed versions; `row` also gets the creation time of the workflow.
    pub(crate) fn drain_changes(&mut self, batch: &mut Batch, row: impl Fn(&Version, Timestamp) -> Row) {
        let by_name = &self.by_name;
        self.versions.drain_changes(Table::Versions, batch, |_, version| {
            let workflow = by_name.get(&version.definition.name);
            row(version, workflow.map_or(version.created, |workflow| workflow.created))
        });
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

    fn version(names: &[&str]) -> Version {
        let tasks = names.iter().map(|name| TaskDefinition::sample(name, "w:t")).collect();
        let definition = Definition::sample("w", tasks);
        let tasks = names.iter().map(|_| Uuid::nil()).collect();
        let ids = VersionIds { workflow: Uuid::nil(), version: Uuid::nil(), tasks, order: 1 };
        Version::new(definition, ids, Timestamp(0), &mut Scheduler::default())
    }

    #[test]
    fn tasks_of_equal_requirements_share_a_queue() {
        let version = version(&["a", "b"]);
        assert_eq!(version.task(0).unwrap().queue, version.task(1).unwrap().queue);
        assert!(version.task(2).is_none());
    }

    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "not unique")]
    fn duplicate_task_names_panic_in_debug_builds() {
        version(&["a", "a"]);
    }
}
