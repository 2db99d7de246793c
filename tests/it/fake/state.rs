//! What the scripted engine was told, and what it will answer.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use hatchet_quickstart::hatchet::wire::{
    RunId,
    proto::{
        AssignedAction, StepActionEvent, StepActionEventType, StepRunResult, WorkerRegisterRequest, WorkflowRunEvent,
        v1::{CreateWorkflowVersionRequest, GetRunDetailsResponse, RunStatus, TaskRunDetail, TriggerWorkflowRequest},
    },
};
use tokio::sync::mpsc;
use tonic::Status;

/// Where a stream's messages go in.
pub type Outlet<T> = mpsc::Sender<Result<T, Status>>;

/// Everything that was seen, in order, and the failures to answer next. An empty queue of failures means success.
#[derive(Debug, Default)]
pub struct Script {
    /// The only token that is accepted; any, where there is none.
    pub only_token: Option<String>,
    pub versions_asked: usize,
    pub version_failures: VecDeque<Status>,
    pub workflows: Vec<CreateWorkflowVersionRequest>,
    pub put_failures: VecDeque<Status>,
    pub register_failures: VecDeque<Status>,
    pub registered: Vec<WorkerRegisterRequest>,
    /// Worker ids that are not known any more.
    pub forgotten: Vec<String>,
    /// Answers to calls that open a stream of assignments.
    pub listen_failures: VecDeque<Status>,
    /// Streams of assignments, each with the worker's id; the last is the newest.
    pub streams: Vec<(String, Outlet<AssignedAction>)>,
    pub heartbeats: Vec<Instant>,
    pub heartbeat_failures: VecDeque<Status>,
    /// Each is answered after this.
    pub heartbeat_takes: Duration,
    /// What was said of attempts.
    pub reports: Vec<Report>,
    /// Events of attempts' ends that were refused.
    pub refused_ends: usize,
    pub end_failures: VecDeque<Status>,
    pub unsubscribed: Vec<String>,
    pub runs: HashMap<String, GetRunDetailsResponse>,
    pub details_asked: usize,
    /// How often it had been asked for details at each subscription to live events.
    pub events_after: Vec<usize>,
    pub details_failures: VecDeque<Status>,
    /// Each is answered after this.
    pub details_take: Duration,
    pub triggers: Vec<TriggerWorkflowRequest>,
    pub trigger_failures: VecDeque<Status>,
    pub bulk_sizes: Vec<usize>,
    /// Subscriptions to ends of runs, each with the ids asked for; the last is the newest.
    pub subscriptions: Vec<(Vec<String>, Outlet<WorkflowRunEvent>)>,
}

/// Something that a worker said.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    Log(String, String),
    Chunk(String, Option<i64>, String),
    Event(StepActionEvent),
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Finished {
    Completed(String),
    Failed { error: String, may_retry: bool },
}

impl Script {
    /// The ends that were reported of a run, in order.
    pub fn finished(&self, run: RunId) -> Vec<Finished> {
        let run = run.to_string();
        self.reports
            .iter()
            .filter_map(|report| match report {
                Report::Event(event) if event.task_run_external_id == run => Finished::read(event),
                _ => None,
            })
            .collect()
    }

    /// Makes a run known, with one task.
    pub fn set_run(&mut self, run: &str, status: RunStatus, output: Option<&str>) {
        let task = TaskRunDetail {
            external_id: run.to_owned(),
            status: status.into(),
            output: output.map(|output| output.as_bytes().to_vec()),
            readable_id: "task".to_owned(),
            ..Default::default()
        };
        let details = GetRunDetailsResponse {
            status: status.into(),
            task_runs: HashMap::from([("task".to_owned(), task)]),
            done: matches!(status, RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled),
            input: b"{}".to_vec(),
            additional_metadata: b"{}".to_vec(),
            ..Default::default()
        };
        self.runs.insert(run.to_owned(), details);
    }
}

impl Finished {
    pub fn read(event: &StepActionEvent) -> Option<Self> {
        match event.event_type() {
            StepActionEventType::StepEventTypeCompleted => Some(Self::Completed(event.event_payload.clone())),
            StepActionEventType::StepEventTypeFailed => Some(Self::Failed {
                error: event.event_payload.clone(),
                may_retry: event.should_not_retry != Some(true),
            }),
            _ => None,
        }
    }
}

/// What a subscription says of a run's end.
pub fn ended(run: &str, output: Option<&str>, error: Option<&str>) -> WorkflowRunEvent {
    let result = StepRunResult {
        task_run_external_id: run.to_owned(),
        task_name: "task".to_owned(),
        output: output.map(str::to_owned),
        error: error.map(str::to_owned),
        ..Default::default()
    };
    WorkflowRunEvent { workflow_run_id: run.to_owned(), results: vec![result], ..Default::default() }
}
