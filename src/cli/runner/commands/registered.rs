//! The workflows that are registered with the engine, found by name. A task is a workflow of its name.

use crate::{
    cli::{
        Exit,
        runner::context::Context,
        task_registry::{did_you_mean, listed, near},
    },
    hatchet::{client::WorkflowSummary, wire::WorkflowId},
};

/// Finds a workflow by its name, with or without the namespace, and returns it with its id. The error suggests similar
/// names and lists the names that exist. An invalid id is an error too: a filter without it would select every
/// workflow.
pub(super) async fn find(context: &Context<'_>, name: &str) -> Result<(WorkflowId, WorkflowSummary), Exit> {
    let rest = context.rest("finding a workflow")?;
    let full_name = context.client.config().namespaced(name);
    let found = rest.workflow_by_name(&full_name);
    match context.require("and the workflow was not looked up", found).await? {
        Some(workflow) => Ok((id_of(&workflow)?, workflow)),
        None => {
            let all = context.require("and the workflows were not listed", rest.workflows("")).await?;
            let list = context.reattach.commands.render(&["runner", "workflows", "list"]);
            Err(unknown(name, &names(&all, &context.client.config().namespace), &list))
        }
    }
}

/// Finds the id of a workflow, as [`find`] does.
pub(super) async fn find_id(context: &Context<'_>, name: &str) -> Result<WorkflowId, Exit> {
    find(context, name).await.map(|(id, _)| id)
}

/// Finds the ids of all workflows of the namespace; none without a namespace. It is an error if a namespace has none: a
/// filter without an id selects every workflow.
pub(in crate::cli::runner) async fn ids_in_namespace(context: &Context<'_>) -> Result<Vec<WorkflowId>, Exit> {
    let config = context.client.config();
    let namespace = &config.namespace;
    if namespace.is_empty() {
        return Ok(Vec::new());
    }
    let listed = context.rest("listing the workflows of the namespace")?.workflows(namespace);
    let workflows = context.require("and no run was selected", listed).await?;
    let own = workflows.iter().filter(|workflow| workflow.name.starts_with(namespace.as_str()));
    let ids = own.map(id_of).collect::<Result<Vec<_>, _>>()?;
    if ids.is_empty() {
        return Err(Exit::not_registered(format!(
            "no workflow of the namespace `{namespace}` is registered with the engine. Start a worker that registers one, \
             or change HATCHET_CLIENT_NAMESPACE"
        )));
    }
    Ok(ids)
}

fn id_of(workflow: &WorkflowSummary) -> Result<WorkflowId, Exit> {
    let WorkflowSummary { name, metadata, .. } = workflow;
    workflow.id().ok_or_else(|| {
        let id = &metadata.id;
        Exit::failed(format!(
            "finding the workflow `{name}` failed: the engine returned the id {id:?}, which is not a UUID. Check that \
             the address of the REST API is that of a Hatchet engine"
        ))
    })
}

/// The names of the workflows of a namespace, without it.
fn names(workflows: &[WorkflowSummary], namespace: &str) -> Vec<String> {
    workflows.iter().filter_map(|workflow| workflow.name.strip_prefix(namespace)).map(str::to_owned).collect()
}

fn unknown(name: &str, known: &[String], list: &str) -> Exit {
    let name: String = name.chars().take(100).collect();
    if known.is_empty() {
        return Exit::not_registered(format!(
            "no workflow is called `{name}`: none is registered with the engine. Start a worker that registers it"
        ));
    }
    Exit::not_registered(format!(
        "no workflow is called `{name}`{}Registered with the engine are {} (`{list}` shows all)",
        did_you_mean(&near(&name, known)),
        listed(known)
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_name_has_suggestions_and_known_names() {
        let error = unknown("reprot", &["report".to_owned(), "mail".to_owned()], "runner workflows list -e");
        let parts = [
            "no workflow is called `reprot`",
            "did you mean `report`?",
            "are report, mail (`runner workflows list -e`",
        ];
        for part in parts {
            assert!(error.message().contains(part), "{error:?}");
        }
        assert!(unknown("x", &[], "").message().contains("none is registered"));
    }

    #[test]
    fn invalid_id_is_an_error_with_a_next_step() {
        let workflow = |id: &str| serde_json::from_value(json!({ "metadata": { "id": id }, "name": "w" })).unwrap();
        let error = id_of(&workflow("7")).unwrap_err();
        assert_eq!(
            error.message(),
            "finding the workflow `w` failed: the engine returned the id \"7\", which is not a UUID. Check that the \
             address of the REST API is that of a Hatchet engine"
        );
        assert!(id_of(&workflow("00000000-0000-4000-8000-000000000001")).is_ok());
    }
}
