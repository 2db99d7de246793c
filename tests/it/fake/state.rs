//! The script: recorded calls and scripted responses.

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

/// The sender of a stream's messages.
pub type StreamSender<T> = mpsc::Sender<Result<T, Status>>;

/// All recorded calls, in order, and the errors to return. Without a queued error, a call succeeds.
#[derive(Debug, Default)]
pub struct Script {
    /// The only accepted token; `None` accepts any.
    pub accepted_token: Option<String>,
    pub version_calls: usize,
    pub version_failures: VecDeque<Status>,
    pub workflows: Vec<CreateWorkflowVersionRequest>,
    pub put_failures: VecDeque<Status>,
    pub register_failures: VecDeque<Status>,
    pub registered: Vec<WorkerRegisterRequest>,
    /// Ids of workers that the engine no longer has.
    pub unknown_workers: Vec<String>,
    /// Errors for calls that open a stream of assignments.
    pub listen_failures: VecDeque<Status>,
    /// Streams of assignments with the workers' ids. The last is the newest.
    pub streams: Vec<(String, StreamSender<AssignedAction>)>,
    pub heartbeats: Vec<Instant>,
    pub heartbeat_failures: VecDeque<Status>,
    /// Delay of each response.
    pub heartbeat_delay: Duration,
    /// Reports of attempts.
    pub reports: Vec<Report>,
    /// Number of refused reports of an outcome.
    pub refused_outcomes: usize,
    pub outcome_failures: VecDeque<Status>,
    pub unsubscribed: Vec<String>,
    pub runs: HashMap<String, GetRunDetailsResponse>,
    pub details_calls: usize,
    /// Value of `details_calls` at each subscription to live events.
    pub events_after: Vec<usize>,
    pub details_failures: VecDeque<Status>,
    /// Delay of each response.
    pub details_delay: Duration,
    pub triggers: Vec<TriggerWorkflowRequest>,
    pub trigger_failures: VecDeque<Status>,
    /// Delay of the response to each single trigger.
    pub trigger_delay: Duration,
    pub bulk_sizes: Vec<usize>,
    /// Subscriptions that report finished runs: the requested run ids and the sender. The last is the newest.
    pub subscriptions: Vec<(Vec<String>, StreamSender<WorkflowRunEvent>)>,
}

/// A report of a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    Log(String, String),
    Chunk(String, Option<i64>, String),
    Event(StepActionEvent),
}

/// The reported end of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Finished {
    Completed(String),
    Failed { error: String, may_retry: bool },
}

impl Script {
    /// Returns the reported outcomes of a run, in order.
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

    /// Adds a run with one task.
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

/// Creates the event of a finished run.
pub fn end_event(run: &str, output: Option<&str>, error: Option<&str>) -> WorkflowRunEvent {
    let result = StepRunResult {
        task_run_external_id: run.to_owned(),
        task_name: "task".to_owned(),
        output: output.map(str::to_owned),
        error: error.map(str::to_owned),
        ..Default::default()
    };
    WorkflowRunEvent { workflow_run_id: run.to_owned(), results: vec![result], ..Default::default() }
}
