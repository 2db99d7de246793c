//! The workflows that are registered with the engine, found by name. A task is a workflow of its name.

use crate::{
    cli::{
        Exit,
        runner::context::Context,
        task_registry::{did_you_mean, listed, near},
    },
    hatchet::client::WorkflowSummary,
};

/// Finds a workflow by its name, with or without the namespace. The error suggests similar names and lists the names
/// that exist.
pub(super) async fn find(context: &Context<'_>, name: &str) -> Result<WorkflowSummary, Exit> {
    let rest = context.rest("finding a workflow")?;
    let full_name = context.client.config().namespaced(name);
    let found = rest.workflow_by_name(&full_name);
    match context.require("and the workflow was not looked up", found).await? {
        Some(workflow) => Ok(workflow),
        None => {
            let all = context.require("and the workflows were not listed", rest.workflows("")).await?;
            Err(unknown(name, &names(&all, &context.client.config().namespace)))
        }
    }
}

/// The names of the workflows of a namespace, without it.
fn names(workflows: &[WorkflowSummary], namespace: &str) -> Vec<String> {
    workflows.iter().filter_map(|workflow| workflow.name.strip_prefix(namespace)).map(str::to_owned).collect()
}

fn unknown(name: &str, known: &[String]) -> Exit {
    let name: String = name.chars().take(100).collect();
    if known.is_empty() {
        return Exit::not_registered(format!(
            "no workflow is called `{name}`: none is registered with the engine. Start a worker that registers it"
        ));
    }
    Exit::not_registered(format!(
        "no workflow is called `{name}`{}Registered with the engine are {} (`runner workflows list` shows all)",
        did_you_mean(&near(&name, known)),
        listed(known)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_name_has_suggestions_and_known_names() {
        let error = unknown("reprot", &["report".to_owned(), "mail".to_owned()]);
        for part in ["no workflow is called `reprot`", "did you mean `report`?", "are report, mail ("] {
            assert!(error.message().contains(part), "{error:?}");
        }
        assert!(unknown("x", &[]).message().contains("none is registered"));
    }
}
