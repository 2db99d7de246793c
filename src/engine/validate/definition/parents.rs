//! Resolves the parents of each task in a definition, which must form a graph without cycles.

use std::collections::HashMap;

use crate::{
    engine::validate::error::Invalid,
    hatchet::wire::{excerpt, proto::v1::CreateTaskOpts},
};

/// Returns the indices of each task's parents. Duplicate task names, unknown parents and cycles are errors.
pub(super) fn resolve_parents(tasks: &[CreateTaskOpts]) -> Result<Vec<Vec<usize>>, Invalid> {
    let mut indices: HashMap<&str, usize> = HashMap::new();
    for (index, task) in tasks.iter().enumerate() {
        if indices.insert(&task.readable_id, index).is_some() {
            return Err(duplicate_name(index, &task.readable_id));
        }
    }
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        let mut parents = Vec::with_capacity(task.parents.len());
        for parent in &task.parents {
            let Some(index) = indices.get(parent.as_str()) else {
                return Err(Invalid::new(format!(
                    "dag parent not found: parent step '{}' not found for step '{}'",
                    excerpt(parent),
                    excerpt(&task.readable_id)
                )));
            };
            if !parents.contains(index) {
                parents.push(*index);
            }
        }
        all.push(parents);
    }
    match task_in_cycle(&all) {
        Some(index) => {
            let name = excerpt(&tasks[index].readable_id);
            Err(Invalid::definition("Tasks", &format!("the parents of task `{name}` form a cycle: remove one of them")))
        }
        None => Ok(all),
    }
}

/// Returns the error for two tasks of the same name; `index` is that of the second.
pub(super) fn duplicate_name(index: usize, name: &str) -> Invalid {
    Invalid::definition(
        &format!("Tasks[{index}].ReadableId"),
        &format!("`{}` is also the name of another task", excerpt(name)),
    )
}

/// Finds a task that is its own ancestor, and returns its index.
///
/// Repeatedly removes the tasks whose parents have all been removed. The remaining tasks are on a cycle or below a
/// cycle.
fn task_in_cycle(parents: &[Vec<usize>]) -> Option<usize> {
    let mut children = vec![Vec::new(); parents.len()];
    let mut open_parents: Vec<usize> = parents.iter().map(Vec::len).collect();
    for (child, parents) in parents.iter().enumerate() {
        parents.iter().for_each(|parent| children[*parent].push(child));
    }
    let mut free: Vec<usize> = (0..open_parents.len()).filter(|task| open_parents[*task] == 0).collect();
    while let Some(task) = free.pop() {
        for child in &children[task] {
            open_parents[*child] -= 1;
            if open_parents[*child] == 0 {
                free.push(*child);
            }
        }
    }
    // A remaining task may be below a cycle. Each step to a remaining parent leads towards the cycle, so a number of
    // steps equal to the number of tasks ends on it.
    let mut task = open_parents.iter().position(|count| *count > 0)?;
    for _ in 0..open_parents.len() {
        task = parents[task].iter().copied().find(|parent| open_parents[*parent] > 0)?;
    }
    Some(task)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(edges: &[(&str, &[&str])]) -> Vec<CreateTaskOpts> {
        let task = |(name, parents): &(&str, &[&str])| CreateTaskOpts {
            readable_id: (*name).to_owned(),
            parents: parents.iter().map(|p| (*p).to_owned()).collect(),
            ..Default::default()
        };
        edges.iter().map(task).collect()
    }

    #[test]
    fn parents_are_resolved_in_any_order() {
        let diamond = tasks(&[("d", &["b", "c", "b"]), ("b", &["a"]), ("c", &["a"]), ("a", &[])]);
        assert_eq!(resolve_parents(&diamond).unwrap(), [vec![1, 2], vec![3], vec![3], vec![]]);
    }

    #[test]
    fn invalid_parents_are_refused_by_name() {
        for (edges, text) in [
            (&[("t", &["nope"][..])][..], "parent step 'nope' not found for step 't'"),
            (&[("t", &["t"])], "`t` form a cycle"),
            (&[("leaf", &["b"]), ("a", &["b"]), ("b", &["a"])], "form a cycle"),
            (&[("t", &[]), ("t", &[])], "name of another task"),
        ] {
            let message = resolve_parents(&tasks(edges)).unwrap_err().into_message();
            assert!(message.contains(text) && !message.contains("`leaf`"), "{message}");
        }
    }
}
