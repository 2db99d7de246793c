//! The calls that register workflows and workers.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all};

use super::definition::WorkerDefinition;
use crate::hatchet::{
    client::Client,
    task::{ErasedTask, Idempotency, IdempotencyMethod},
    transport::{ClientError, ErrorKind, RegistrationTimeout, with_timeout},
    wire::{
        SLOT_TYPE, format_duration,
        proto::{RuntimeInfo, WorkerRegisterRequest, v1},
    },
    worker::{
        attempt::action_id,
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
pub(super) async fn register(
    client: &Client,
    definitions: &[WorkerDefinition],
    call_timeout: Duration,
    timeout: &RegistrationTimeout,
) -> Result<Registration, ClientError> {
    let engine_version = timeout.retry(|| client.engine_version_within(call_timeout)).await?;
    let tasks = definitions.iter().flat_map(|definition| &definition.tasks);
    let workflows: Vec<_> = tasks.flat_map(|task| task.names().map(move |name| (task, name))).collect();
    let register_workflow = |(task, name)| timeout.retry(move || register_workflow(client, task, name, call_timeout));
    futures_util::stream::iter(workflows.into_iter().map(register_workflow))
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
    let task_names = definition.tasks.iter().flat_map(ErasedTask::names);
    let actions: Vec<String> = task_names
        .map(|name| action_id(client, name).map(|action| action.as_str().to_owned()))
        .collect::<Result<_, _>>()?;
    let request = WorkerRegisterRequest {
        worker_name: name.clone(),
        actions,
        // Sent to every version: development builds report v0.1.0-alpha.0 and accept it as well.
        slot_config: HashMap::from([(SLOT_TYPE.to_owned(), i32::try_from(definition.slots).unwrap_or(i32::MAX))]),
        runtime_info: Some(RuntimeInfo {
            sdk_version: Some(concat!("rust-", env!("CARGO_PKG_VERSION")).to_owned()),
            // The engine refuses any language except its four official ones.
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

/// Registers a task as a workflow that contains only this task.
async fn register_workflow(
    client: &Client,
    task: &ErasedTask,
    name: &str,
    call_timeout: Duration,
) -> Result<(), ClientError> {
    let options = task.options();
    let request = v1::CreateWorkflowVersionRequest {
        name: client.config().namespaced(name),
        description: task.description().to_owned(),
        default_priority: Some(i32::from(options.default_priority.number())),
        input_json_schema: Some(task.input_schema().to_string().into_bytes()),
        tasks: vec![v1::CreateTaskOpts {
            readable_id: name.to_lowercase(),
            action: action_id(client, name)?.as_str().to_owned(),
            timeout: format_duration(options.execution_timeout),
            schedule_timeout: Some(format_duration(options.schedule_timeout)),
            inputs: "{}".to_owned(),
            retries: i32::try_from(options.retries).unwrap_or(i32::MAX),
            backoff_factor: options.backoff.map(|backoff| backoff.factor),
            backoff_max_seconds: options.backoff.map(|b| i32::try_from(b.max.as_secs()).unwrap_or(i32::MAX)),
            slot_requests: HashMap::from([(SLOT_TYPE.to_owned(), 1)]),
            ..Default::default()
        }],
        idempotency: options.idempotency.as_ref().map(idempotency_config),
        ..Default::default()
    };
    check_message(client, &format!("registering the task {name}"), &request)?;
    match client.connection().admin().put_workflow(with_timeout(call_timeout, request)).await {
        Ok(_) => Ok(()),
        Err(status) => Err(client.connection().call_error(&format!("registering the task {name}"), status)),
    }
}

fn idempotency_config(options: &Idempotency) -> v1::IdempotencyConfig {
    let method = match options.method {
        IdempotencyMethod::Ttl => v1::IdempotencyMethod::Ttl,
        IdempotencyMethod::Status => v1::IdempotencyMethod::Status,
    };
    v1::IdempotencyConfig {
        expression: options.expression.clone(),
        ttl_ms: i64::try_from(options.ttl.as_millis()).unwrap_or(i64::MAX),
        method: Some(method.into()),
    }
}
