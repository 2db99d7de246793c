//! Prepares a benchmark: checks the engine and its workers, and decides for each task whether its keyed copy is used.

use std::time::{Duration, Instant};

use super::request::Request;
use crate::{
    bench::{KEY_TTL, KEYED_SUFFIX, LoadPlan, Observer, PlannedTask, serves},
    cli::{Exit, connection::CommandRenderer, deadline::Deadline},
    hatchet::{
        client::{Client, ClientError, RestClient, WorkerSummary, diagnose},
        task::{ErasedTask, Stub},
        wire::SLOT_TYPE,
    },
};

/// A worker of this benchmark may take 10 s to appear in the engine's list.
const OWN_WORKER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of the trial run, which measures how long a run takes: 5 s.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Consequence of an engine that does not answer.
const NOT_SUBMITTED: &str = "and no run was submitted";

/// The result of the preparation.
pub(super) struct Prepared {
    pub(super) plan: LoadPlan,
    pub(super) engine_version: String,
    /// Warnings for the report, one sentence each.
    pub(super) warnings: Vec<String>,
}

/// Prepares the benchmark. The time limit of the request applies to the preparation, too.
pub(super) async fn prepare(
    client: &Client,
    request: &Request,
    commands: &CommandRenderer,
    observer: &mut dyn Observer,
) -> Result<Prepared, Exit> {
    let deadline = Deadline::after(Some(request.timeout));
    let engine_version = match deadline.require(client, commands, NOT_SUBMITTED, client.engine_version()).await? {
        Ok(version) => version,
        Err(error) => {
            return Err(match deadline.before(diagnose(&client.config())).await.flatten() {
                Some(reason) => Exit::unreachable(reason),
                None => error.into(),
            });
        }
    };
    let mut warnings = Vec::new();
    let mut warn = |observer: &mut dyn Observer, line: String| {
        observer.note(&line);
        warnings.push(format!("{line}."));
    };
    let workers = match client.rest() {
        None => Err("the REST address is not known (set HATCHET_CLIENT_SERVER_URL)".to_owned()),
        Some(rest) => {
            let listed = deadline.before(list_workers(client, rest, request)).await;
            listed.unwrap_or_else(|| Err(format!("REST has not answered within {}", deadline.limit())))
        }
    };
    let mut tasks = Vec::with_capacity(request.tasks.len());
    for (task, input) in &request.tasks {
        let keyed = match &workers {
            Ok(workers) => {
                // Required: without run keys, all runs of an earlier benchmark with this prefix would start again.
                let keyed =
                    deadline.require(client, commands, NOT_SUBMITTED, uses_keyed_copy(client, task, workers)).await??;
                let name = workflow_name(task, keyed);
                if !workers.iter().any(|worker| serves(&client.config(), worker, &name)) {
                    let line = format!(
                        "no worker for {name} is online: its runs will wait; start one with `{}`, or use --with-worker",
                        commands.render(&["worker", "--run-keys", "--tasks", task.name()])
                    );
                    warn(observer, line);
                }
                keyed
            }
            Err(reason) => {
                warn(observer, format!("which workers are online is not known: {reason}"));
                request.with_worker
            }
        };
        if !keyed {
            warn(
                observer,
                format!(
                    "dedupe of {} is off: no worker serves its keyed copy; start one with `{}`",
                    task.name(),
                    commands.render(&["worker", "--run-keys"])
                ),
            );
        }
        let schedule_timeout = if keyed { KEY_TTL } else { task.options().schedule_timeout };
        tasks.push(PlannedTask {
            name: task.name().to_owned(),
            workflow: workflow_name(task, keyed),
            keyed,
            input: input.clone(),
            slot_pool: task.slot_pool(),
            schedule_timeout,
        });
    }
    for task in tasks.iter().filter(|task| task.schedule_timeout < KEY_TTL) {
        if let Ok(workers) = &workers
            && let Some(line) =
                schedule_timeout_warning(client, task, request.runs, workers, commands, deadline).await?
        {
            warn(observer, line);
        }
    }
    let plan = LoadPlan {
        tasks,
        runs: request.runs,
        prefix: request.prefix.clone(),
        batch: request.batch,
        rate: request.rate,
        timeout: request.timeout,
        verify_dedupe: request.verify_dedupe,
    };
    Ok(Prepared { plan, engine_version, warnings })
}

/// The workflow of a task, or of its keyed copy.
fn workflow_name(task: &ErasedTask, keyed: bool) -> String {
    format!("{}{}", task.name(), if keyed { KEYED_SUFFIX } else { "" })
}

/// Lists the workers. Waits until a worker of this benchmark is among them.
async fn list_workers(client: &Client, rest: &RestClient, request: &Request) -> Result<Vec<WorkerSummary>, String> {
    let began = Instant::now();
    loop {
        let workers = rest.workers().await.map_err(|e| e.to_string())?;
        let is_listed = |(task, _): &(ErasedTask, _)| {
            workers.iter().any(|w| serves(&client.config(), w, &workflow_name(task, true)))
        };
        if !request.with_worker || request.tasks.iter().all(is_listed) || began.elapsed() > OWN_WORKER_TIMEOUT {
            return Ok(workers);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether to trigger the keyed copy of a task: if a worker serves it, or if no worker serves the task and the engine
/// knows the copy.
async fn uses_keyed_copy(client: &Client, task: &ErasedTask, workers: &[WorkerSummary]) -> Result<bool, ClientError> {
    let online = |name: &str| workers.iter().any(|worker| serves(&client.config(), worker, name));
    let copy = workflow_name(task, true);
    if online(&copy) || online(task.name()) {
        return Ok(online(&copy));
    }
    match client.rest() {
        Some(rest) => rest.has_workflow(&client.config().namespaced(&copy)).await,
        None => Ok(false),
    }
}

/// A warning if the last runs would exceed the task's schedule timeout, estimated from a trial run.
async fn schedule_timeout_warning(
    client: &Client,
    task: &PlannedTask,
    runs: usize,
    workers: &[WorkerSummary],
    commands: &CommandRenderer,
    deadline: Deadline,
) -> Result<Option<String>, Exit> {
    let slots: i64 = workers
        .iter()
        .filter(|worker| serves(&client.config(), worker, &task.workflow))
        .filter_map(|worker| worker.slot_config.get(SLOT_TYPE))
        .map(|slots| slots.limit)
        .sum();
    if slots <= 0 {
        return Ok(None);
    }
    let began = Instant::now();
    let stub = Stub::<_, serde_json::Value>::from_name(&task.workflow);
    let trigger = client.run_no_wait(&stub, &task.input.render(0)).into_future();
    let consequence = "and whether a trial run was started is not known";
    let Ok(trial) = deadline.require(client, commands, consequence, trigger).await? else { return Ok(None) };
    if deadline.before(tokio::time::timeout(TRIAL_TIMEOUT, trial.outcome())).await.is_none() {
        return Ok(Some(format!(
            "a trial run of {} ({}) was abandoned after {:.1} s, at the --timeout of the preparation: whether the runs will end \
             in time is not known; a worker with --run-keys needs no trial run",
            task.name,
            trial.id(),
            began.elapsed().as_secs_f64()
        )));
    }
    let wait = began.elapsed().as_secs_f64() * runs as f64 / slots as f64;
    let limit = task.schedule_timeout.as_secs_f64();
    Ok((wait > limit).then(|| {
        format!(
            "the last runs of {} will wait about {wait:.0} s for one of {slots} slots, but are cancelled after {limit:.0} s (a \
             trial run took {:.1} s): use fewer runs, more slots, or a worker with --run-keys",
            task.name,
            began.elapsed().as_secs_f64()
        )
    }))
}
