//! The parents of each task in a definition, which must form a graph without cycles.

use std::collections::HashMap;

use crate::{
    engine::validate::error::Invalid,
    hatchet::wire::{excerpt, proto::v1::CreateTaskOpts},
};

/// The indices of each task's parents. Duplicate task names, unknown parents and cycles are errors.
pub(super) fn resolve_parents(tasks: &[CreateTaskOpts]) -> Result<Vec<Vec<usize>>, Invalid> {
    let mut indices: HashMap<&str, usize> = HashMap::new();
    for (at, task) in tasks.iter().enumerate() {
        if indices.insert(&task.readable_id, at).is_some() {
            return Err(duplicate_name(at, &task.readable_id));
        }
    }
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        let mut parents = Vec::with_capacity(task.parents.len());
        for parent in &task.parents {
            let Some(at) = indices.get(parent.as_str()) else {
                return Err(Invalid::new(format!(
                    "dag parent not found: parent step '{}' not found for step '{}'",
                    excerpt(parent),
                    excerpt(&task.readable_id)
                )));
            };
            if !parents.contains(at) {
                parents.push(*at);
            }
        }
        all.push(parents);
    }
    match task_in_cycle(&all) {
        Some(at) => {
            let name = excerpt(&tasks[at].readable_id);
            Err(Invalid::definition("Tasks", &format!("the parents of task `{name}` form a cycle: remove one of them")))
        }
        None => Ok(all),
    }
}

/// Two tasks have the same name; `at` is the index of the second.
pub(super) fn duplicate_name(at: usize, name: &str) -> Invalid {
    Invalid::definition(
        &format!("Tasks[{at}].ReadableId"),
        &format!("`{}` is also the name of another task", excerpt(name)),
    )
}

/// The index of a task that is its own ancestor, if there is one.
///
/// Repeatedly removes the tasks whose parents have all been removed. The remaining tasks are on a cycle or below a
/// cycle.
fn task_in_cycle(parents: &[Vec<usize>]) -> Option<usize> {
    let mut children = vec![Vec::new(); parents.len()];
    let mut left: Vec<usize> = parents.iter().map(Vec::len).collect();
    for (at, of) in parents.iter().enumerate() {
        of.iter().for_each(|parent| children[*parent].push(at));
    }
    let mut free: Vec<usize> = (0..left.len()).filter(|at| left[*at] == 0).collect();
    while let Some(at) = free.pop() {
        for child in &children[at] {
            left[*child] -= 1;
            if left[*child] == 0 {
                free.push(*child);
            }
        }
    }
    // A remaining task may be below a cycle. Each step to a remaining parent leads towards the cycle, so a number of
    // steps equal to the number of tasks ends on it.
    let mut at = left.iter().position(|count| *count > 0)?;
    for _ in 0..left.len() {
        at = parents[at].iter().copied().find(|parent| left[*parent] > 0)?;
    }
    Some(at)
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
    fn impossible_parents_are_named() {
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
