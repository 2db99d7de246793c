//! The tasks of this application, one file for each, and the registry of all of them.
//!
//! To add a task: write its file, add a `mod` line, and add its `task()` to [`all`].

// A task is part of an application, not of a library's interface.
#![allow(missing_docs, missing_debug_implementations)]

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
#[error(
    "no task is called `{name}`{}The tasks are {} (`runner --list-tasks` shows their inputs)",
    did_you_mean(near),
    listed(known)
)]
pub struct UnknownTask {
    name: String,
    near: Vec<String>,
    known: Vec<String>,
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { ". ".to_owned() } else { format!("; did you mean `{}`? ", near.join("` or `")) }
}

/// Lists the first 20 names.
fn listed(names: &[String]) -> String {
    let (shown, more) = names.split_at(names.len().min(20));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    shown.join(", ") + &more
}

/// Returns the names and aliases of all tasks.
pub fn names() -> Vec<String> {
    all().iter().flat_map(ErasedTask::names).map(str::to_owned).collect()
}

/// Finds a task by its name or an alias.
///
/// # Errors
///
/// [`UnknownTask`] if no task has this name. The message suggests similar names and lists all names.
pub fn find(name: &str) -> Result<ErasedTask, UnknownTask> {
    if let Some(task) = all().into_iter().find(|task| task.names().any(|n| n == name)) {
        return Ok(task);
    }
    let known = names();
    let mut near: Vec<(f64, &String)> = known
        .iter()
        .map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known))
        // Names below this similarity are unrelated.
        .filter(|(similarity, _)| *similarity > 0.75)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near = near.into_iter().take(2).map(|(_, known)| known.clone()).collect();
    Err(UnknownTask { name: name.chars().take(100).collect(), near, known })
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
        for name in names() {
            assert!(seen.insert(name.clone()), "two tasks have the name {name}");
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
        let error = find("zzz").unwrap_err().to_string();
        assert!(!error.contains("did you mean"), "{error}");
        assert!(SAMPLES.iter().all(|name| error.contains(name)), "{error}");
    }

    #[test]
    fn sample_inputs_have_defaults() {
        for name in SAMPLES {
            let full = find(name).unwrap().complete_input("{}").unwrap();
            assert!(full.len() > 2, "{name}: {full}");
        }
    }
}
