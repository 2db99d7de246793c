//! What is found out before anything is submitted.

use std::time::{Duration, Instant};

use super::{
    super::{Exit, connection::command::ConnectionWords, deadline::Deadline},
    request::Plan,
};
use crate::{
    bench::{self, KEYED, Observer, TaskPlan, serves},
    hatchet::{
        client::{Client, ClientError, RestClient, WorkerSummary, diagnose},
        task::{ErasedTask, Stub},
        wire::SLOT_TYPE,
    },
};

/// A worker of our own is in the lists by then.
const OWN_WORKER: Duration = Duration::from_secs(10);
/// A run that is to tell how long one takes has this long.
const TRIAL: Duration = Duration::from_secs(5);

/// What is left open when an engine does not answer.
const NOTHING_DONE: &str = "and no run was submitted";

/// What is known before the start.
pub(super) struct Prepared {
    pub(super) plan: bench::Plan,
    pub(super) engine_version: String,
    pub(super) doubts: Vec<String>,
}

/// Looks at the engine and the workers, for as long as the runs may take at most.
pub(super) async fn prepare(
    client: &Client,
    plan: &Plan,
    words: &ConnectionWords,
    observer: &mut dyn Observer,
) -> Result<Prepared, Exit> {
    let deadline = Deadline::after(Some(plan.timeout));
    let engine_version = match deadline.answered(client, words, NOTHING_DONE, client.engine_version()).await? {
        Ok(version) => version,
        Err(error) => {
            return Err(match deadline.before(diagnose(&client.config())).await.flatten() {
                Some(why) => Exit::unreachable(why),
                None => error.into(),
            });
        }
    };
    let mut doubts = Vec::new();
    let mut doubt = |observer: &mut dyn Observer, line: String| {
        observer.note(&line);
        doubts.push(format!("{line}."));
    };
    let workers = match client.rest() {
        None => Err("the REST address is not known (set HATCHET_CLIENT_SERVER_URL)".to_owned()),
        Some(rest) => {
            let listed = deadline.before(workers(client, rest, plan)).await;
            listed.unwrap_or_else(|| Err(format!("REST has not listed them within {}", deadline.limit())))
        }
    };
    let mut tasks = Vec::with_capacity(plan.tasks.len());
    for (task, input) in &plan.tasks {
        let keyed = match &workers {
            Ok(workers) => {
                // Without an answer, all runs of an earlier benchmark with this prefix might start again.
                let keyed = deadline.answered(client, words, NOTHING_DONE, has_twin(client, task, workers)).await??;
                let name = name(task, keyed);
                if !workers.iter().any(|worker| serves(&client.config(), worker, &name)) {
                    let line = format!(
                        "no worker for {name} is online: its runs wait for one; start it with `{}`, or pass --with-worker",
                        words.command(&["worker", "--run-keys", "--tasks", task.name()])
                    );
                    doubt(observer, line);
                }
                keyed
            }
            Err(why) => {
                doubt(observer, format!("which workers are online is not known: {why}"));
                plan.with_worker
            }
        };
        if !keyed {
            doubt(
                observer,
                format!(
                    "dedupe of {} is off: no worker has its twin that takes run keys; start one with `{}`",
                    task.name(),
                    words.command(&["worker", "--run-keys"])
                ),
            );
        }
        let schedule_timeout = if keyed { bench::KEY_TTL } else { task.options().schedule_timeout };
        tasks.push(TaskPlan {
            name: task.name().to_owned(),
            workflow: name(task, keyed),
            keyed,
            input: input.clone(),
            slot_pool: task.slot_pool(),
            schedule_timeout,
        });
    }
    for task in tasks.iter().filter(|task| task.schedule_timeout < bench::KEY_TTL) {
        if let Ok(workers) = &workers
            && let Some(line) = too_long(client, task, plan.runs, workers, words, deadline).await?
        {
            doubt(observer, line);
        }
    }
    let plan = bench::Plan {
        tasks,
        runs: plan.runs,
        prefix: plan.prefix.clone(),
        batch: plan.batch,
        rate: plan.rate,
        timeout: plan.timeout,
        verify_dedupe: plan.verify_dedupe,
    };
    Ok(Prepared { plan, engine_version, doubts })
}

fn name(task: &ErasedTask, keyed: bool) -> String {
    format!("{}{}", task.name(), if keyed { KEYED } else { "" })
}

/// The workers; where one of them is our own, once it is among them.
async fn workers(client: &Client, rest: &RestClient, plan: &Plan) -> Result<Vec<WorkerSummary>, String> {
    let begun = Instant::now();
    loop {
        let workers = rest.workers().await.map_err(|e| e.to_string())?;
        let there =
            |(task, _): &(ErasedTask, _)| workers.iter().any(|w| serves(&client.config(), w, &name(task, true)));
        if !plan.with_worker || plan.tasks.iter().all(there) || begun.elapsed() > OWN_WORKER {
            return Ok(workers);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Whether to trigger the twin: where a worker has it, or, where nobody has the task, where the engine knows it.
async fn has_twin(client: &Client, task: &ErasedTask, workers: &[WorkerSummary]) -> Result<bool, ClientError> {
    let online = |name: &str| workers.iter().any(|worker| serves(&client.config(), worker, name));
    let twin = name(task, true);
    if online(&twin) || online(task.name()) {
        return Ok(online(&twin));
    }
    match client.rest() {
        Some(rest) => rest.has_workflow(&client.config().namespaced(&twin)).await,
        None => Ok(false),
    }
}

/// A warning where runs would wait longer than they may, from the time that a trial takes.
async fn too_long(
    client: &Client,
    task: &TaskPlan,
    runs: usize,
    workers: &[WorkerSummary],
    words: &ConnectionWords,
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
    let begun = Instant::now();
    let trigger = client
        .run_no_wait(&Stub::<_, serde_json::Value>::from_name(&task.workflow), &task.input.render(0))
        .into_future();
    let left_open = "and whether a trial run was started is not known";
    let Ok(trial) = deadline.answered(client, words, left_open, trigger).await? else { return Ok(None) };
    // A trial that takes longer is at least as long.
    if deadline.before(tokio::time::timeout(TRIAL, trial.outcome())).await.is_none() {
        return Ok(Some(format!(
            "a trial run of {} ({}) was given up after {:.1} s, as all that comes before the runs has --timeout in all: \
             whether the runs end in time is not known; a worker with --run-keys needs no trial",
            task.name,
            trial.id(),
            begun.elapsed().as_secs_f64()
        )));
    }
    let wait = begun.elapsed().as_secs_f64() * runs as f64 / slots as f64;
    let limit = task.schedule_timeout.as_secs_f64();
    Ok((wait > limit).then(|| {
        format!(
            "the last runs of {} will wait about {wait:.0} s for one of {slots} slots, and are given up after {limit:.0} s \
             (a trial run took {:.1} s): fewer runs, more slots, or a worker with --run-keys",
            task.name,
            begun.elapsed().as_secs_f64()
        )
    }))
}
