//! Registers the tasks with the engine, then the process as a worker for each of its slot pools.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, future::try_join_all};

use crate::hatchet::{
    client::Client,
    task::{Idempotency, IdempotencyMethod, Kind, Task},
    transport::{ClientError, ErrorKind, RegistrationTimeout, with_timeout},
    wire::{
        SLOT_TYPE, format_duration,
        proto::{self, v1},
    },
    worker::{Registered, RegisteredWorker, Worker, attempt::action},
};

/// Workflows put at once, as the Python SDK does it.
const PARALLEL_PUTS: usize = 5;

/// A worker to register: the tasks of one slot pool, and the slots of that pool.
pub(in crate::hatchet::worker) struct Registration {
    /// With the namespace.
    name: String,
    slots: usize,
    tasks: Vec<Task>,
}

impl Registration {
    pub(in crate::hatchet::worker) fn name(&self) -> &str {
        &self.name
    }
}

/// What a worker process registers: async and blocking tasks under its name, CPU tasks under its name with the suffix
/// `-cpu`, and neither without a task.
///
/// Two workers, since the engine is to queue each kind by its own number of slots: the execution timeout counts from the
/// assignment, so an attempt that waited for a thread inside the process would use it up waiting. A slot type for CPU
/// tasks would do the same for one worker only: official SDKs' workers have no such slots, and a real engine refills
/// them slowly (see [`SLOT_TYPE`]).
pub(in crate::hatchet::worker) fn registrations(worker: &Worker) -> Vec<Registration> {
    let (cpu, others): (Vec<Task>, Vec<Task>) = worker.tasks.iter().cloned().partition(|task| task.kind() == Kind::Cpu);
    let (name, options) = (worker.config.namespaced(&worker.options.name), &worker.options);
    let cpu = Registration { name: format!("{name}-cpu"), slots: options.cpu_threads, tasks: cpu };
    let others = Registration { name, slots: options.slots, tasks: others };
    [others, cpu].into_iter().filter(|registration| !registration.tasks.is_empty()).collect()
}

/// Puts all workflows, then registers the workers: in this order, so that a worker never listens for a workflow that
/// the engine does not know. `limit` is that of each call; one that a live engine fails is retried until `timeout` is over.
pub(in crate::hatchet::worker) async fn register(
    client: &Client,
    registrations: &[Registration],
    limit: Duration,
    timeout: &RegistrationTimeout,
) -> Result<Registered, ClientError> {
    let engine_version = timeout.retry(|| client.engine_version_within(limit)).await?;
    let tasks = registrations.iter().flat_map(|registration| &registration.tasks);
    let puts: Vec<_> = tasks.flat_map(|task| task.names().map(move |name| (task, name))).collect();
    let put = |(task, name)| timeout.retry(move || put_workflow(client, task, name, limit));
    futures_util::stream::iter(puts.into_iter().map(put))
        .buffer_unordered(PARALLEL_PUTS)
        .try_collect::<Vec<()>>()
        .await?;
    let register = |registration| timeout.retry(move || register_worker(client, registration, limit));
    Ok(Registered { workers: try_join_all(registrations.iter().map(register)).await?, engine_version })
}

async fn register_worker(
    client: &Client,
    registration: &Registration,
    limit: Duration,
) -> Result<RegisteredWorker, ClientError> {
    let names = registration.tasks.iter().flat_map(Task::names);
    let actions: Vec<String> =
        names.map(|name| action(client, name).map(|action| action.as_str().to_owned())).collect::<Result<_, _>>()?;
    let request = proto::WorkerRegisterRequest {
        worker_name: registration.name.clone(),
        actions,
        // Whatever the version says: development builds call themselves v0.1.0-alpha.0 and take it as well.
        slot_config: HashMap::from([(SLOT_TYPE.to_owned(), i32::try_from(registration.slots).unwrap_or(i32::MAX))]),
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
    let call = format!("register the worker {}", registration.name);
    let answer = client.connection().dispatcher().register(with_timeout(limit, request)).await;
    let answer = answer.map_err(|status| client.connection().call_error(&call, status))?.into_inner();
    let id = answer
        .worker_id
        .parse()
        .map_err(|e| ClientError::new(ErrorKind::Engine, format!("the engine's answer cannot be read: {e}")))?;
    Ok(RegisteredWorker { id, name: registration.name.clone(), slots: registration.slots })
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
            slot_requests: HashMap::from([(SLOT_TYPE.to_owned(), 1)]),
            ..Default::default()
        }],
        idempotency: options.idempotency.as_ref().map(idempotency),
        ..Default::default()
    };
    match client.connection().admin().put_workflow(with_timeout(limit, request)).await {
        Ok(_) => Ok(()),
        Err(status) => Err(client.connection().call_error(&format!("register the task {name}"), status)),
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
