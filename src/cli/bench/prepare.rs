//! Prepares a benchmark: checks the engine and its workers, and decides for each task whether its keyed copy is used.

use std::time::{Duration, Instant};

use super::request::Request;
use crate::{
    bench::{KEY_TTL, KEYED_SUFFIX, LoadPlan, Observer, PlannedTask, Template, serves},
    cli::{Exit, connection::CommandRenderer, deadline::Deadline},
    hatchet::{
        client::{Client, ClientError, RestClient, WorkerSummary, diagnose},
        task::{ErasedTask, Stub},
        wire::{SLOT_TYPE, readable_duration},
    },
};

/// Timeout of the wait for a worker of this benchmark to appear in the engine's list: 10 s.
const OWN_WORKER_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of the trial run, which measures the duration of a run: 5 s.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Consequence of an engine that does not respond.
const NOT_SUBMITTED: &str = "and no run was submitted";

/// The result of the preparation.
pub(super) struct Prepared {
    pub(super) plan: LoadPlan,
    pub(super) engine_version: String,
    /// Warnings for the report, as sentences.
    pub(super) warnings: Vec<String>,
}

/// Prepares the benchmark, within the time limit of the request.
pub(super) async fn prepare(
    client: &Client,
    request: &Request,
    commands: &CommandRenderer,
    observer: &mut dyn Observer,
) -> Result<Prepared, Exit> {
    let deadline = Deadline::after(Some(request.timeout));
    let mut preparation = Preparation { client, request, commands, observer, deadline, warnings: Vec::new() };
    let engine_version = preparation.engine_version().await?;
    let workers = preparation.workers().await;
    let mut tasks = Vec::with_capacity(request.tasks.len());
    for (task, input) in &request.tasks {
        tasks.push(preparation.plan_task(task, input, &workers).await?);
    }
    if let Ok(workers) = &workers {
        for task in tasks.iter().filter(|task| task.schedule_timeout < KEY_TTL) {
            let warning = check_schedule_timeout(client, task, request.runs, workers, commands, deadline).await?;
            if let Some(line) = warning {
                preparation.warn(line);
            }
        }
    }
    let warnings = preparation.warnings;
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

/// The preparation of a benchmark, with the warnings so far.
struct Preparation<'a> {
    client: &'a Client,
    request: &'a Request,
    commands: &'a CommandRenderer,
    observer: &'a mut dyn Observer,
    deadline: Deadline,
    warnings: Vec<String>,
}

impl Preparation<'_> {
    /// Notifies the observer of a warning, and adds it to the report.
    fn warn(&mut self, line: String) {
        self.observer.note(&line);
        self.warnings.push(format!("{line}."));
    }

    /// Returns the engine's version. If the engine does not respond, fails with the reason.
    async fn engine_version(&mut self) -> Result<String, Exit> {
        let call = self.client.engine_version();
        match self.deadline.require(self.client, self.commands, NOT_SUBMITTED, call).await? {
            Ok(version) => Ok(version),
            Err(error) => Err(match self.deadline.before(diagnose(&self.client.config())).await.flatten() {
                Some(reason) => Exit::unreachable(reason),
                None => Exit::from_call(error, &self.client.config().host_port),
            }),
        }
    }

    /// Lists the workers. The error is the reason why the list is unavailable.
    async fn workers(&mut self) -> Result<Vec<WorkerSummary>, String> {
        let rest = self.client.rest().ok_or("the REST address is unknown: set HATCHET_CLIENT_SERVER_URL")?;
        let listed = self.deadline.before(list_workers(self.client, rest, self.request)).await;
        listed.unwrap_or_else(|| Err(format!("REST has not responded within {}", self.deadline.limit())))
    }

    /// Plans the runs of a task. Warns if no worker serves the task, and if its runs are not deduplicated.
    async fn plan_task(
        &mut self,
        task: &ErasedTask,
        input: &Template,
        workers: &Result<Vec<WorkerSummary>, String>,
    ) -> Result<PlannedTask, Exit> {
        let keyed = match workers {
            Ok(workers) => {
                // Not optional: without run keys, all runs of an earlier benchmark with this prefix would start again.
                let query = uses_keyed_copy(self.client, task, workers);
                let keyed = self.deadline.require(self.client, self.commands, NOT_SUBMITTED, query).await??;
                let name = workflow_name(task, keyed);
                if !workers.iter().any(|worker| serves(&self.client.config(), worker, &name)) {
                    self.warn(format!(
                        "no worker for {name} is online, so its runs will wait: start a worker with `{}`, or use \
                         --with-worker",
                        self.commands.render(&["worker", "--run-keys", "--tasks", task.name()])
                    ));
                }
                keyed
            }
            Err(reason) => {
                self.warn(format!("the list of workers is unavailable: {reason}"));
                self.request.with_worker
            }
        };
        if !keyed {
            self.warn(format!(
                "dedupe of {} is off, since no worker serves its keyed copy: start a worker with `{}`",
                task.name(),
                self.commands.render(&["worker", "--run-keys"])
            ));
        }
        Ok(PlannedTask {
            name: task.name().to_owned(),
            workflow: workflow_name(task, keyed),
            keyed,
            input: input.clone(),
            slot_pool: task.slot_pool(),
            schedule_timeout: if keyed { KEY_TTL } else { task.options().schedule_timeout },
        })
    }
}

/// Returns the name of a task's workflow, or of its keyed copy.
fn workflow_name(task: &ErasedTask, keyed: bool) -> String {
    format!("{}{}", task.name(), if keyed { KEYED_SUFFIX } else { "" })
}

/// Lists the workers. Waits until the worker of this benchmark is among them, if it has one.
async fn list_workers(client: &Client, rest: &RestClient, request: &Request) -> Result<Vec<WorkerSummary>, String> {
    let started = Instant::now();
    loop {
        let workers = rest.workers().await.map_err(|e| e.to_string())?;
        let is_listed = |(task, _): &(ErasedTask, _)| {
            workers.iter().any(|w| serves(&client.config(), w, &workflow_name(task, true)))
        };
        if !request.with_worker || request.tasks.iter().all(is_listed) || started.elapsed() > OWN_WORKER_TIMEOUT {
            return Ok(workers);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether to trigger the keyed copy of a task: if a worker serves the copy, or if no worker serves the task and the
/// copy is registered with the engine.
async fn uses_keyed_copy(client: &Client, task: &ErasedTask, workers: &[WorkerSummary]) -> Result<bool, ClientError> {
    let online = |name: &str| workers.iter().any(|worker| serves(&client.config(), worker, name));
    let copy = workflow_name(task, true);
    if online(&copy) || online(task.name()) {
        return Ok(online(&copy));
    }
    match client.rest() {
        Some(rest) => {
            let workflow = rest.workflow_by_name(&client.config().namespaced(&copy)).await;
            workflow.map(|workflow| workflow.is_some())
        }
        None => Ok(false),
    }
}

/// Returns a warning if the last runs would exceed the task's schedule timeout, estimated from a trial run.
async fn check_schedule_timeout(
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
    let started = Instant::now();
    let stub = Stub::<_, serde_json::Value>::from_name(&task.workflow);
    let trigger = client.run_no_wait(&stub, &task.input.render(0)).into_future();
    let consequence = "and it is not known whether a trial run was started";
    let Ok(trial) = deadline.require(client, commands, consequence, trigger).await? else { return Ok(None) };
    if deadline.before(tokio::time::timeout(TRIAL_TIMEOUT, trial.outcome())).await.is_none() {
        return Ok(Some(format!(
            "a trial run of {} ({}) was abandoned after {}, at the --timeout of the preparation, so it is not known \
             whether the runs will end in time: use a worker with --run-keys, which needs no trial run",
            task.name,
            trial.id(),
            readable_duration(started.elapsed())
        )));
    }
    let (elapsed, limit) = (started.elapsed(), task.schedule_timeout);
    let wait = elapsed.mul_f64(runs as f64 / slots as f64);
    Ok((wait > limit).then(|| {
        format!(
            "the last runs of {} will wait about {} for one of {slots} slots, but are cancelled after {} (a trial run \
             took {}): use fewer runs, more slots, or a worker with --run-keys",
            task.name,
            readable_duration(wait),
            readable_duration(limit),
            readable_duration(elapsed)
        )
    }))
}
