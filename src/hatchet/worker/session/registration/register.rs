//! The calls that register workflows and workers.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all};
use tonic::Code;

use super::{definition::WorkerDefinition, workflow_request::workflow_request};
use crate::hatchet::{
    client::Client,
    task::{ErasedWorkflow, RateLimit, RegisteredFlow},
    transport::{ClientError, ErrorKind, RegistrationTimeout, with_timeout},
    wire::{
        SLOT_TYPE,
        proto::{RuntimeInfo, WorkerRegisterRequest},
    },
    worker::{
        attempt::action_id,
        list_names,
        message_size::check_message,
        state::{RegisteredWorker, Registration},
    },
};

/// Maximum number of workflows that are registered concurrently. Value of the Python SDK.
const PARALLEL_WORKFLOWS: usize = 5;

/// Registers all workflows, then the workers, so that a worker never listens for an unregistered workflow.
///
/// `call_timeout` applies to each call. A call for which the engine reports a failure of its own is retried until
/// `timeout` has elapsed.
pub(in crate::hatchet::worker::session) async fn register(
    client: &Client,
    definitions: &[WorkerDefinition],
    call_timeout: Duration,
    timeout: &RegistrationTimeout,
) -> Result<Registration, ClientError> {
    let engine_version = timeout.retry(|| client.engine_version_within(call_timeout)).await?;
    // By name, since a workflow with tasks of both slot pools is part of both definitions.
    let all = definitions.iter().flat_map(|definition| &definition.workflows).flat_map(ErasedWorkflow::registered);
    let workflows: BTreeMap<&str, RegisteredFlow<'_>> = all.map(|workflow| (workflow.name, workflow)).collect();
    let register_workflow = |workflow| timeout.retry(move || register_workflow(client, workflow, call_timeout));
    futures_util::stream::iter(workflows.values().map(register_workflow))
        .buffer_unordered(PARALLEL_WORKFLOWS)
        .try_collect::<Vec<()>>()
        .await?;
    let register_worker = |definition| timeout.retry(move || register_worker(client, definition, call_timeout));
    Ok(Registration { workers: try_join_all(definitions.iter().map(register_worker)).await?, engine_version })
}

async fn register_worker(
    client: &Client,
    definition: &WorkerDefinition,
    call_timeout: Duration,
) -> Result<RegisteredWorker, ClientError> {
    let name = &definition.name;
    let workflows: Vec<RegisteredFlow<'_>> = definition.workflows.iter().flat_map(ErasedWorkflow::registered).collect();
    let mut actions = Vec::new();
    for workflow in &workflows {
        for task in workflow.tasks.iter().filter(|task| definition.serves(task.task)) {
            actions.push(action_id(client, workflow.name, &task.name)?.as_str().to_owned());
        }
    }
    let request = WorkerRegisterRequest {
        worker_name: name.clone(),
        actions,
        labels: definition.labels.to_wire(),
        // Sent to every version: development builds report v0.1.0-alpha.0 and accept it as well.
        slot_config: HashMap::from([(SLOT_TYPE.to_owned(), i32::try_from(definition.slots).unwrap_or(i32::MAX))]),
        runtime_info: Some(RuntimeInfo {
            sdk_version: Some(concat!("rust-", env!("CARGO_PKG_VERSION")).to_owned()),
            // The engine accepts only the languages of its four official SDKs.
            language: None,
            language_version: None,
            os: Some(std::env::consts::OS.to_owned()),
            extra: Some("rust".to_owned()),
        }),
        ..Default::default()
    };
    check_message(client, &format!("registering the worker {name}"), &request)?;
    let result = client.connection().dispatcher().register(with_timeout(call_timeout, request)).await;
    let response =
        result.map_err(|status| client.connection().call_error(&format!("registering the worker {name}"), status))?;
    let id = response.into_inner().worker_id.parse().map_err(|e| {
        let message = format!("registering the worker {name} failed: the engine returned an invalid worker id: {e}");
        ClientError::new(ErrorKind::Engine, message)
    })?;
    Ok(RegisteredWorker { id, name: name.clone(), slots: definition.slots })
}

/// Registers a workflow, in one call.
async fn register_workflow(
    client: &Client,
    workflow: &RegisteredFlow<'_>,
    call_timeout: Duration,
) -> Result<(), ClientError> {
    // Most workflows are a single task, which is the term that their users know.
    let kind = if workflow.tasks.len() == 1 { "task" } else { "workflow" };
    let operation = format!("registering the {kind} {}", workflow.name);
    let request = workflow_request(client, workflow)?;
    check_message(client, &operation, &request)?;
    match client.connection().admin().put_workflow(with_timeout(call_timeout, request)).await {
        Ok(_) => Ok(()),
        Err(status) => Err(with_rate_limits(client.connection().call_error(&operation, status), workflow)),
    }
}

/// Adds the keys of the fixed rate limits to an INTERNAL error. A real engine returns it if one of them does not exist,
/// and for other failures.
fn with_rate_limits(error: ClientError, workflow: &RegisteredFlow<'_>) -> ClientError {
    let limits = workflow.tasks.iter().flat_map(|task| &task.task.options().rate_limits);
    let keys: Vec<&str> = limits.filter_map(RateLimit::fixed_key).collect();
    let is_internal = error.status().is_some_and(|status| status.code() == Code::Internal);
    if keys.is_empty() || !is_internal {
        return error;
    }
    let keys = list_names(&keys);
    let advice = format!("If a rate limit is missing, create it with `Client::put_rate_limit`: the tasks use {keys}");
    let (kind, message) = (error.kind(), format!("{error}. {advice}"));
    error.into_kind(kind, message)
}

#[cfg(test)]
mod tests {
    use serde_json::Map;
    use tonic::Status;

    use super::*;
    use crate::hatchet::task::{Stub, Task, Window};

    #[test]
    fn error_of_a_failed_engine_names_the_fixed_rate_limits() {
        let task: Task<Map<_, _>, Map<_, _>> = Stub::new("t").blocking_task(|input, _| Ok(input));
        let computed = RateLimit::per("input.k", 1, Window::Day);
        let by_input = RateLimit::of("pages").units("input.pages");
        let limited: ErasedWorkflow =
            task.rate_limit(RateLimit::of("api")).rate_limit(computed).rate_limit(by_input).into();
        let error = |status: Status| ClientError::new(ErrorKind::Engine, "registering t failed").with_status(status);
        let advised = with_rate_limits(error(Status::internal("")), &limited.registered()[0]).to_string();
        assert_eq!(
            advised,
            "registering t failed. If a rate limit is missing, create it with `Client::put_rate_limit`: the tasks use api"
        );
        let other = with_rate_limits(error(Status::unavailable("")), &limited.registered()[0]).to_string();
        assert_eq!(other, "registering t failed");
    }
}
