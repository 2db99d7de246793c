//! The tasks of this application, one file for each, and the registry of all of them.
//!
//! To add a task: write its file, add a `mod` line, and add its `task()` to [`all`].

// A task is part of an application, not of a library's interface.
#![allow(missing_docs)]

pub mod cpu_heavy;
pub mod externally_triggered;
pub mod sync_sleep;

use crate::hatchet::task::ErasedTask;

/// Returns all tasks, in the order of `runner --list-tasks`.
pub fn all() -> Vec<ErasedTask> {
    vec![
        externally_triggered::task().erase(),
        sync_sleep::task().erase(),
        cpu_heavy::task().erase(),
        // Your tasks go here.
    ]
}

/// The error for a name that no task has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no task is called `{name}`{}: `runner --list-tasks` lists them", did_you_mean(near))]
pub struct UnknownTask {
    name: String,
    near: Vec<String>,
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean `{}`?", near.join("` or `")) }
}

/// Finds a task by its name or an alias.
///
/// # Errors
///
/// [`UnknownTask`] if no task has this name. The message suggests similar names.
pub fn find(name: &str) -> Result<ErasedTask, UnknownTask> {
    if let Some(task) = all().into_iter().find(|task| task.names().any(|n| n == name)) {
        return Ok(task);
    }
    let mut near: Vec<(f64, String)> = all()
        .iter()
        .flat_map(ErasedTask::names)
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known.to_owned()))
        // Names below this similarity are unrelated.
        .filter(|(similarity, _)| *similarity > 0.75)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near = near.into_iter().take(2).map(|(_, known)| known).collect();
    Err(UnknownTask { name: name.chars().take(100).collect(), near })
}

/// Finds tasks by their names or aliases. Returns each task once, even if several of its names are given.
///
/// # Errors
///
/// [`UnknownTask`] for the first name that no task has.
pub fn select<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<ErasedTask>, UnknownTask> {
    let mut tasks: Vec<ErasedTask> = Vec::new();
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

    /// The tasks of the quickstart. Users add others.
    const SAMPLES: [&str; 3] = ["externally-triggered-task", "sync-sleep-task", "cpu-heavy-task"];

    #[test]
    fn tasks_have_their_wire_names() {
        for name in SAMPLES {
            assert_eq!(find(name).unwrap().name(), name);
        }
        assert_eq!(find("cpu-heavy-with-process-pool").unwrap().name(), "cpu-heavy-task");
    }

    #[test]
    fn names_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for task in all() {
            for name in task.names() {
                assert!(seen.insert(name.to_owned()), "two tasks have the name {name}");
            }
        }
    }

    #[test]
    fn alias_selects_its_task_once() {
        let tasks = select(["cpu-heavy-with-process-pool", "cpu-heavy-task"]).unwrap();
        assert_eq!(tasks.iter().map(ErasedTask::name).collect::<Vec<_>>(), ["cpu-heavy-task"]);
    }

    #[test]
    fn similar_name_is_suggested() {
        assert!(find("sync-slep-task").unwrap_err().to_string().contains("did you mean `sync-sleep-task`?"));
        assert!(!find("zzz").unwrap_err().to_string().contains("did you mean"));
    }

    #[test]
    fn sample_inputs_have_defaults() {
        for name in SAMPLES {
            let full = find(name).unwrap().complete_input("{}").unwrap();
            assert!(full.len() > 2, "{name}: {full}");
        }
    }
}
