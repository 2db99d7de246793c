//! The engine's cost of an assignment, by the length of the queue, the numbers of workers and workflows, and the limits
//! of the workflow.
//!
//! The cost is the CPU time of the engine's thread, which excludes the stubs in this process. It covers the assignment,
//! its message, the report, and the end of the run.

use std::{collections::HashMap, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::wire::proto::{
        ActionType, BulkTriggerWorkflowRequest, HeartbeatRequest, StepActionEvent, StepActionEventType,
        WorkerListenRequest, WorkerRegisterRequest,
        dispatcher_client::DispatcherClient,
        v1::{
            Concurrency, ConcurrencyLimitStrategy, CreateTaskOpts, CreateTaskRateLimit, CreateWorkflowVersionRequest,
            RateLimitDuration, TriggerWorkflowRequest, admin_service_client::AdminServiceClient,
        },
        workflow_service_client::WorkflowServiceClient,
    },
};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    fixture::{AuthenticatedChannel, connect},
    table::{Figure, Target, median, row},
};

const QUEUED: [usize; 2] = [1_000, 200_000];
const WORKERS: [usize; 2] = [1, 50];
const WORKFLOWS: [usize; 2] = [1, 500];
/// Slots of all workers together.
const SLOTS: usize = 100;
/// Assignments per measurement. At its start, the queue is longer by this number.
const ASSIGNMENTS: usize = 2_000;
const ROUNDS: usize = 5;
/// Comparisons of the limits. Each takes the costs directly after one another, as the speed of a machine changes.
const LIMIT_ROUNDS: usize = 3;
/// Triggers per call.
const BATCH: usize = 1_000;

/// Queued runs for the cost of a limit.
const LIMITED: usize = 100_000;
/// Keys of a limit.
const KEYS: usize = 10_000;

/// A limit of the workflow, by the key of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    None,
    /// One run at a time for each key.
    Group,
    /// A rate limit for each key, which is never exceeded.
    Rate,
}

impl Limit {
    fn declare(self, task: &mut CreateTaskOpts) {
        match self {
            Self::None => {}
            Self::Group => task.concurrency.push(Concurrency {
                expression: "input.k".to_owned(),
                max_runs: Some(1),
                limit_strategy: Some(ConcurrencyLimitStrategy::GroupRoundRobin.into()),
                ..Default::default()
            }),
            Self::Rate => task.rate_limits.push(CreateTaskRateLimit {
                key: "k".to_owned(),
                units: Some(1),
                key_expr: Some("input.k".to_owned()),
                limit_values_expr: Some("1000000".to_owned()),
                duration: Some(RateLimitDuration::Hour.into()),
                ..Default::default()
            }),
        }
    }
}

/// Measures the larger ratio of the costs with a concurrency group or a rate limit, and without a limit: the median of
/// [`LIMIT_ROUNDS`].
pub(crate) async fn measure_limits() -> Result<Figure> {
    let (mut without, mut groups, mut rates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..LIMIT_ROUNDS {
        let none = measure_cost(LIMITED, 1, 1, Limit::None).await?;
        groups.push(measure_cost(LIMITED, 1, 1, Limit::Group).await? / none);
        rates.push(measure_cost(LIMITED, 1, 1, Limit::Rate).await? / none);
        without.push(none);
    }
    Ok(Figure {
        number: 24,
        name: "engine CPU per task, limit with 10,000 keys",
        measured: format!("{:.2} x group, {:.2} x rate", median(&groups), median(&rates)),
        limit: format!("{:.1} us without", median(&without)),
        value: median(&groups).max(median(&rates)),
        target: Target::AtMost(1.3, " x"),
        notes: vec![format!("by round: concurrency group {} x, rate limit {} x", row(&groups), row(&rates))],
    })
}

/// Measures the largest ratio of the costs with the long and the short queue.
pub(crate) async fn measure() -> Result<Figure> {
    let mut costs = HashMap::new();
    let mut notes = Vec::new();
    for workers in WORKERS {
        for workflows in WORKFLOWS {
            let mut row = Vec::new();
            for queued in QUEUED {
                let cost = measure_cost(queued, workers, workflows, Limit::None).await?;
                costs.insert((queued, workers, workflows), cost);
                row.push(cost);
            }
            notes.push(format!(
                "{workers} worker(s), {workflows} workflow(s): {:.1} us with 1,000 queued, {:.1} us with 200,000, \
                 {:.2} x",
                row[0],
                row[1],
                row[1] / row[0]
            ));
        }
    }
    let base = costs[&(QUEUED[0], 1, 1)];
    let ratio = |workers, workflows| costs[&(QUEUED[1], workers, workflows)] / costs[&(QUEUED[0], workers, workflows)];
    let worst = WORKERS.iter().flat_map(|w| WORKFLOWS.map(|f| ratio(*w, f))).fold(0.0, f64::max);
    let max = costs.values().copied().fold(0.0, f64::max);
    notes.push(format!("the maximum is {:.2} x the cost with 1,000 queued, 1 worker, 1 workflow", max / base));
    Ok(Figure {
        number: 17,
        name: "engine CPU per task, 200,000 queued",
        measured: format!("{max:.1} us at most"),
        limit: format!("{base:.1} us at 1,000"),
        value: worst,
        target: Target::AtMost(1.2, " x"),
        notes,
    })
}

/// Measures the microseconds of the engine's thread per task, while at least `queued` runs are queued.
async fn measure_cost(queued: usize, workers: usize, workflows: usize, limit: Limit) -> Result<f64> {
    let engine = Engine::start(EngineOptions::default()).await?;
    let link = connect(engine.handshake()).await?;
    register_workflows(&link, workflows, limit).await?;
    trigger(&link, queued + ASSIGNMENTS, workflows).await?;
    // The workers complete a limited number of tasks, which defines the end of a measurement.
    let allowed = Arc::new(Semaphore::new(0));
    let (done, mut finished) = tokio::sync::mpsc::channel(1024);
    let mut streams = JoinSet::new();
    for number in 0..workers {
        streams.spawn(run_worker(link.clone(), number, SLOTS / workers, workflows, allowed.clone(), done.clone()));
    }
    drop(done);
    let thread = find_engine_thread()?;
    let mut costs = Vec::new();
    // The first round warms up.
    for round in 0..=ROUNDS {
        if round > 0 {
            trigger(&link, ASSIGNMENTS, workflows).await?;
        }
        let before = cpu_micros(&thread)?;
        allowed.add_permits(ASSIGNMENTS);
        for _ in 0..ASSIGNMENTS {
            tokio::select! {
                report = finished.recv() => report.context("the workers ended")?,
                Some(end) = streams.join_next() => end??,
            }
        }
        if round > 0 {
            costs.push((cpu_micros(&thread)? - before) / ASSIGNMENTS as f64);
        }
    }
    streams.shutdown().await;
    engine.stop().await;
    Ok(median(&costs))
}

fn workflow_name(workflow: usize) -> String {
    format!("depth-{workflow}")
}

async fn register_workflows(link: &AuthenticatedChannel, workflows: usize, limit: Limit) -> Result<()> {
    let mut admin = AdminServiceClient::new(link.clone());
    for workflow in 0..workflows {
        let mut task = CreateTaskOpts {
            readable_id: "t".to_owned(),
            action: format!("{}:t", workflow_name(workflow)),
            timeout: "10m".to_owned(),
            schedule_timeout: Some("1h".to_owned()),
            inputs: "{}".to_owned(),
            ..Default::default()
        };
        limit.declare(&mut task);
        let definition =
            CreateWorkflowVersionRequest { name: workflow_name(workflow), tasks: vec![task], ..Default::default() };
        admin.put_workflow(definition).await?;
    }
    Ok(())
}

async fn trigger(link: &AuthenticatedChannel, runs: usize, workflows: usize) -> Result<()> {
    let mut client = WorkflowServiceClient::new(link.clone());
    for first in (0..runs).step_by(BATCH) {
        let item = |run: usize| TriggerWorkflowRequest {
            name: workflow_name(run % workflows),
            input: format!(r#"{{"k":"{}"}}"#, run % KEYS),
            ..Default::default()
        };
        let items = (first..runs.min(first + BATCH)).map(item).collect();
        client.bulk_trigger_workflow(BulkTriggerWorkflowRequest { workflows: items }).await?;
    }
    Ok(())
}

/// Runs a worker of gRPC stubs, which completes a task for each permit.
async fn run_worker(
    link: AuthenticatedChannel,
    number: usize,
    slots: usize,
    workflows: usize,
    allowed: Arc<Semaphore>,
    done: tokio::sync::mpsc::Sender<()>,
) -> Result<()> {
    let mut dispatcher = DispatcherClient::new(link);
    let request = WorkerRegisterRequest {
        worker_name: format!("depth-{number}"),
        actions: (0..workflows).map(|workflow| format!("{}:t", workflow_name(workflow))).collect(),
        slot_config: HashMap::from([("default".to_owned(), i32::try_from(slots)?)]),
        ..Default::default()
    };
    let worker_id = dispatcher.register(request).await?.into_inner().worker_id;
    let listen = WorkerListenRequest { worker_id: worker_id.clone() };
    let mut actions = dispatcher.listen_v2(listen).await?.into_inner();
    let mut heartbeats = dispatcher.clone();
    let heartbeat = async move {
        loop {
            let now = Some(hatchet_quickstart::hatchet::wire::timestamp_now());
            heartbeats.heartbeat(HeartbeatRequest { worker_id: worker_id.clone(), heartbeat_at: now }).await?;
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        }
        #[expect(unreachable_code, reason = "names the error")]
        Ok::<(), anyhow::Error>(())
    };
    let complete = async {
        let mut reports = JoinSet::new();
        while let Some(action) = actions.next().await {
            let action = action?;
            ensure!(action.action_type() == ActionType::StartStepRun, "{action:?}");
            let event = StepActionEvent {
                task_run_external_id: action.task_run_external_id,
                action_id: action.action_id,
                event_type: StepActionEventType::StepEventTypeCompleted.into(),
                event_payload: "{}".to_owned(),
                retry_count: Some(action.retry_count),
                ..Default::default()
            };
            let (mut dispatcher, allowed, done) = (dispatcher.clone(), allowed.clone(), done.clone());
            reports.spawn(async move {
                allowed.acquire().await?.forget();
                dispatcher.send_step_action_event(event).await?;
                done.send(()).await?;
                Ok::<(), anyhow::Error>(())
            });
            while let Some(report) = reports.try_join_next() {
                report??;
            }
        }
        Ok(())
    };
    tokio::select! {
        end = heartbeat => end,
        end = complete => end,
    }
}

/// Finds the file with the CPU times of the engine's thread.
fn find_engine_thread() -> Result<std::path::PathBuf> {
    for task in std::fs::read_dir("/proc/self/task").context("the times of a thread are available on Linux only")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == "hatchet-engine" {
            return Ok(task.join("schedstat"));
        }
    }
    anyhow::bail!("the engine has no separate thread")
}

fn cpu_micros(thread: &std::path::Path) -> Result<f64> {
    let text = std::fs::read_to_string(thread)?;
    let nanos: u64 = text.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanos as f64 / 1e3)
}
