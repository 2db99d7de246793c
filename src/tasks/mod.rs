//! The user's room: one file for each task, and the registry that maps names to them.
//!
//! To add a task: write its file, name it in a `mod` line, and put its `task()` into [`all`].

// A task is part of an application and not of a library's interface.
#![allow(missing_docs)]

pub mod cpu_heavy;
pub mod externally_triggered;
pub mod sync_sleep;

use crate::hatchet::task::Task;

/// Every task, in the order in which they are listed.
pub fn all() -> Vec<Task> {
    vec![externally_triggered::task(), sync_sleep::task(), cpu_heavy::task()]
}

/// A name that no task has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no task is called `{name}`{}: `runner --list-tasks` lists them", did_you_mean(near))]
pub struct UnknownTask {
    name: String,
    near: Vec<String>,
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean `{}`?", near.join("` or `")) }
}

/// The task that goes by a name or an alias.
pub fn find(name: &str) -> Result<Task, UnknownTask> {
    if let Some(task) = all().into_iter().find(|task| task.names().any(|n| n == name)) {
        return Ok(task);
    }
    let mut near: Vec<(f64, String)> = all()
        .iter()
        .flat_map(Task::names)
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known.to_owned()))
        // Below this, names have little more than their letters in common.
        .filter(|(likeness, _)| *likeness > 0.75)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near = near.into_iter().take(2).map(|(_, known)| known).collect();
    Err(UnknownTask { name: name.chars().take(100).collect(), near })
}

/// The tasks that go by some names, each once.
pub fn select<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<Task>, UnknownTask> {
    let mut tasks: Vec<Task> = Vec::new();
    for name in names {
        let task = find(name)?;
        if !tasks.iter().any(|chosen| chosen.name() == task.name()) {
            tasks.push(task);
        }
    }
    Ok(tasks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quickstart's own, beside which there may be others.
    const SAMPLES: [&str; 3] = ["externally-triggered-task", "sync-sleep-task", "cpu-heavy-task"];

    #[test]
    fn names_on_the_wire() {
        for name in SAMPLES {
            assert_eq!(find(name).unwrap().name(), name);
        }
        assert_eq!(find("cpu-heavy-with-process-pool").unwrap().name(), "cpu-heavy-task");
    }

    #[test]
    fn every_name_has_one_task() {
        let mut seen = std::collections::BTreeSet::new();
        for task in all() {
            for name in task.names() {
                assert!(seen.insert(name.to_owned()), "two tasks have the name {name}");
            }
        }
    }

    #[test]
    fn an_alias_brings_its_task_once() {
        let tasks = select(["cpu-heavy-with-process-pool", "cpu-heavy-task"]).unwrap();
        assert_eq!(tasks.iter().map(Task::name).collect::<Vec<_>>(), ["cpu-heavy-task"]);
    }

    #[test]
    fn a_near_name_is_suggested() {
        assert!(find("sync-slep-task").unwrap_err().to_string().contains("did you mean `sync-sleep-task`?"));
        assert!(!find("zzz").unwrap_err().to_string().contains("did you mean"));
    }

    #[test]
    fn inputs_of_samples_have_defaults() {
        for name in SAMPLES {
            let full = find(name).unwrap().complete_input("{}").unwrap();
            assert!(full.len() > 2, "{name}: {full}");
        }
    }
}
