//! Makes the engine know the tasks, then the worker.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _};

use super::{Registered, WorkerOptions};
use crate::hatchet::{
    client::{Client, ClientError, ErrorKind, patience::within},
    task::{Idempotency, IdempotencyMethod, Task},
    wire::{
        ActionId, format_duration,
        proto::{self, v1},
    },
};

/// Workflows put at once, as the Python SDK does it.
const PARALLEL_PUTS: usize = 5;

/// Puts all workflows, then registers the worker: in this order, so that a worker never listens for a workflow that
/// the engine does not know. `limit` is that of each call.
pub(super) async fn register(
    client: &Client,
    options: &WorkerOptions,
    tasks: &[Task],
    limit: Duration,
) -> Result<Registered, ClientError> {
    let version = client.engine_version_within(limit).await?;
    let puts: Vec<_> = tasks.iter().flat_map(|task| task.names().map(move |name| (task, name))).collect();
    futures_util::stream::iter(puts.iter().map(|(task, name)| put_workflow(client, task, name, limit)))
        .buffer_unordered(PARALLEL_PUTS)
        .try_collect::<Vec<()>>()
        .await?;
    let actions: Vec<String> = puts
        .iter()
        .map(|(_, name)| action(client, name).map(|action| action.as_str().to_owned()))
        .collect::<Result<_, _>>()?;
    // `slot_config` whatever the version says: development builds call themselves v0.1.0-alpha.0 and take it as well.
    let mut slot_config = HashMap::new();
    for task in tasks {
        let units = if task.slot_type() == "cpu" { options.cpu_threads } else { options.slots };
        slot_config.insert(task.slot_type().to_owned(), i32::try_from(units).unwrap_or(i32::MAX));
    }
    let request = proto::WorkerRegisterRequest {
        worker_name: client.config().namespaced(&options.name),
        actions,
        slot_config,
        runtime_info: Some(proto::RuntimeInfo {
            sdk_version: Some(concat!("rust-", env!("CARGO_PKG_VERSION")).to_owned()),
            // An engine knows four languages and refuses any other number.
            language: None,
            language_version: None,
            os: Some(std::env::consts::OS.to_owned()),
            extra: Some("rust".to_owned()),
        }),
        ..Default::default()
    };
    let answer = client.connection().dispatcher().register(within(limit, request)).await;
    let answer = answer.map_err(|status| client.connection().failed("register the worker", status))?.into_inner();
    let worker = answer
        .worker_id
        .parse()
        .map_err(|e| ClientError::new(ErrorKind::Engine, format!("the engine's answer cannot be read: {e}")))?;
    Ok(Registered { worker, engine_version: version })
}

/// The action of a task that is a workflow of its own; the namespace goes on the workflow's part only.
pub(super) fn action(client: &Client, name: &str) -> Result<ActionId, ClientError> {
    ActionId::new(&client.config().namespaced(name), name)
        .map_err(|e| ClientError::new(ErrorKind::Config, e.to_string()))
}

async fn put_workflow(client: &Client, task: &Task, name: &str, limit: Duration) -> Result<(), ClientError> {
    let options = task.options();
    let request = v1::CreateWorkflowVersionRequest {
        name: client.config().namespaced(name),
        description: task.describe().to_owned(),
        default_priority: Some(i32::from(options.default_priority)),
        input_json_schema: Some(task.input_schema().to_string().into_bytes()),
        tasks: vec![v1::CreateTaskOpts {
            readable_id: name.to_lowercase(),
            action: action(client, name)?.as_str().to_owned(),
            timeout: format_duration(options.execution_timeout),
            schedule_timeout: Some(format_duration(options.schedule_timeout)),
            inputs: "{}".to_owned(),
            retries: i32::try_from(options.retries).unwrap_or(i32::MAX),
            backoff_factor: options.backoff.map(|backoff| backoff.factor),
            backoff_max_seconds: options.backoff.map(|b| i32::try_from(b.max_seconds).unwrap_or(i32::MAX)),
            slot_requests: HashMap::from([(task.slot_type().to_owned(), 1)]),
            ..Default::default()
        }],
        idempotency: options.idempotency.as_ref().map(idempotency),
        ..Default::default()
    };
    match client.connection().admin().put_workflow(within(limit, request)).await {
        Ok(_) => Ok(()),
        Err(status) => Err(client.connection().failed(&format!("register the task {name}"), status)),
    }
}

fn idempotency(options: &Idempotency) -> v1::IdempotencyConfig {
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
