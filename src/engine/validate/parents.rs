//! The tasks of one declaration and what they need of each other.

use std::collections::HashMap;

use tonic::Status;

use super::{definition::invalid, payload::brief};
use crate::hatchet::wire::proto::v1::CreateTaskOpts;

/// The parents of each task, by their places in the list; refuses what is not there and what goes in a circle.
pub(in crate::engine) fn resolve(tasks: &[CreateTaskOpts]) -> Result<Vec<Vec<usize>>, Status> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (at, task) in tasks.iter().enumerate() {
        if places.insert(&task.readable_id, at).is_some() {
            return Err(twice(at, &task.readable_id));
        }
    }
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        let mut parents = Vec::with_capacity(task.parents.len());
        for parent in &task.parents {
            let Some(at) = places.get(parent.as_str()) else {
                return Err(Status::invalid_argument(format!(
                    "dag parent not found: parent step '{}' not found for step '{}'",
                    brief(parent),
                    brief(&task.readable_id)
                )));
            };
            if !parents.contains(at) {
                parents.push(*at);
            }
        }
        all.push(parents);
    }
    match in_a_circle(&all) {
        Some(at) => {
            let name = brief(&tasks[at].readable_id);
            Err(invalid("Tasks", &format!("the parents of task `{name}` lead back to it: remove one of them")))
        }
        None => Ok(all),
    }
}

/// Two tasks of one name.
pub(in crate::engine) fn twice(at: usize, name: &str) -> Status {
    invalid(&format!("Tasks[{at}].ReadableId"), &format!("`{}` is the name of another task too", brief(name)))
}

/// A task that is its own ancestor, if there is one: what is left when all that need nothing are taken away in turn.
fn in_a_circle(parents: &[Vec<usize>]) -> Option<usize> {
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
    // One that is left may only hang on a circle: going up from it leads into it.
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
    fn parents_are_found_wherever_they_stand() {
        let diamond = tasks(&[("d", &["b", "c", "b"]), ("b", &["a"]), ("c", &["a"]), ("a", &[])]);
        assert_eq!(resolve(&diamond).unwrap(), [vec![1, 2], vec![3], vec![3], vec![]]);
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (edges, words) in [
            (&[("t", &["nope"][..])][..], "parent step 'nope' not found for step 't'"),
            (&[("t", &["t"])], "`t` lead back"),
            (&[("leaf", &["b"]), ("a", &["b"]), ("b", &["a"])], "lead back"),
            (&[("t", &[]), ("t", &[])], "name of another"),
        ] {
            let error = resolve(&tasks(edges)).unwrap_err();
            assert!(error.message().contains(words) && !error.message().contains("`leaf`"), "{error}");
        }
    }
}
