//! The tasks of the application, found by name.

use std::sync::Arc;

use crate::hatchet::task::{ErasedTask, ErasedWorkflow};

/// A task or workflow.
pub(super) trait Named: Clone {
    /// The first name, then the aliases.
    fn names(&self) -> Vec<&str>;
}

impl Named for ErasedTask {
    fn names(&self) -> Vec<&str> {
        self.names().collect()
    }
}

impl Named for ErasedWorkflow {
    fn names(&self) -> Vec<&str> {
        self.names()
    }
}

/// The tasks of the application, in the order in which they are listed: of the runner [`ErasedTask`]s, whose inputs it
/// reads, and of the worker [`ErasedWorkflow`]s. A clone shares them.
#[derive(Debug, Clone)]
pub(super) struct TaskRegistry<T = ErasedTask>(Arc<[T]>);

impl<T: Named> TaskRegistry<T> {
    pub(super) fn new(tasks: Vec<T>) -> Self {
        Self(tasks.into())
    }

    pub(super) fn all(&self) -> &[T] {
        &self.0
    }

    /// The names and aliases of all tasks.
    pub(super) fn names(&self) -> Vec<String> {
        self.0.iter().flat_map(Named::names).map(str::to_owned).collect()
    }

    /// Finds a task by its name or an alias. The error suggests similar names and lists all names.
    pub(super) fn find(&self, name: &str) -> Result<T, UnknownTask> {
        match self.0.iter().find(|task| task.names().contains(&name)) {
            Some(task) => Ok(task.clone()),
            None => Err(UnknownTask::new(name, self.names())),
        }
    }

    /// Finds tasks by their names or aliases. Returns each task once, even if several of its names are given. Fails for
    /// the first name that no task has.
    pub(super) fn select<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<T>, UnknownTask> {
        let mut tasks: Vec<T> = Vec::new();
        for name in names {
            let task = self.find(name)?;
            if !tasks.iter().any(|chosen| chosen.names() == task.names()) {
                tasks.push(task);
            }
        }
        Ok(tasks)
    }
}

/// The error for a name that no task has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no task is called `{name}`{}The tasks are {} (`runner --list-tasks` shows their inputs)",
    did_you_mean(near),
    listed(known)
)]
pub(super) struct UnknownTask {
    name: String,
    near: Vec<String>,
    known: Vec<String>,
}

impl UnknownTask {
    fn new(name: &str, known: Vec<String>) -> Self {
        let near = near(name, &known);
        Self { name: name.chars().take(100).collect(), near, known }
    }
}

/// The two known names that are most similar to a name, if their similarity is high enough.
pub(super) fn near(name: &str, known: &[String]) -> Vec<String> {
    let mut near: Vec<(f64, &String)> = known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known))
        // Names below this similarity are unrelated.
        .filter(|(similarity, _)| *similarity > 0.75)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().take(2).map(|(_, known)| known.clone()).collect()
}

/// The part of an error that suggests similar names, with the end of its sentence.
pub(super) fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { ". ".to_owned() } else { format!("; did you mean `{}`? ", near.join("` or `")) }
}

/// Lists the first 20 names.
pub(super) fn listed(names: &[String]) -> String {
    let (shown, more) = names.split_at(names.len().min(20));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    shown.join(", ") + &more
}

#[cfg(test)]
impl TaskRegistry {
    /// The tasks of the quickstart, and the tasks that a user has added.
    pub(super) fn of_quickstart() -> Self {
        Self::new(crate::tasks::all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> TaskRegistry {
        TaskRegistry::of_quickstart()
    }

    /// The tasks of the quickstart. Users add others.
    const SAMPLES: [&str; 3] = ["externally-triggered-task", "sync-sleep-task", "cpu-heavy-task"];

    #[test]
    fn tasks_have_their_wire_names() {
        for name in SAMPLES {
            assert_eq!(registry().find(name).unwrap().name(), name);
        }
        assert_eq!(registry().find("cpu-heavy-with-process-pool").unwrap().name(), "cpu-heavy-task");
    }

    #[test]
    fn names_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for name in registry().names() {
            assert!(seen.insert(name.clone()), "two tasks have the name {name}");
        }
    }

    #[test]
    fn alias_selects_its_task_once() {
        let tasks = registry().select(["cpu-heavy-with-process-pool", "cpu-heavy-task"]).unwrap();
        assert_eq!(tasks.iter().map(ErasedTask::name).collect::<Vec<_>>(), ["cpu-heavy-task"]);
    }

    #[test]
    fn similar_name_is_suggested() {
        assert!(registry().find("sync-slep-task").unwrap_err().to_string().contains("did you mean `sync-sleep-task`?"));
        let error = registry().find("zzz").unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
        assert!(SAMPLES.iter().all(|name| error.contains(name)), "{error}");
    }

    #[test]
    fn sample_inputs_have_defaults() {
        for name in SAMPLES {
            let full = registry().find(name).unwrap().complete_input("{}").unwrap();
            assert!(full.len() > 2, "{name}: {full}");
        }
    }
}
