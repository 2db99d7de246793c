//! `v1.AdminService`: declaring, reading, cancelling, replaying.

use std::collections::HashMap;

use prost::Message;
use tonic::{Request, Response, Status};

use super::{Door, not_here};
use crate::{
    engine::{
        driver::assignment,
        state::{Capacity, RunFilter, State, Timestamp, model::Run},
        validate::{definition as declare, payload as check, trigger},
    },
    hatchet::wire::{
        RunId, RunStatus,
        proto::v1::{
            self, BranchDurableTaskRequest, BranchDurableTaskResponse, CancelTasksRequest, CancelTasksResponse,
            CreateWorkflowVersionRequest, CreateWorkflowVersionResponse, GetRunDetailsRequest, GetRunDetailsResponse,
            ReplayTasksRequest, ReplayTasksResponse, TaskRunDetail, TasksFilter, TriggerWorkflowRequest,
            TriggerWorkflowRunRequest, TriggerWorkflowRunResponse, admin_service_server::AdminService,
        },
    },
};

/// Most runs that one filter cancels, and that one filter replays: the real engine's.
const MAX_CANCELLED: usize = 20_000;
const MAX_REPLAYED: usize = 1000;

#[tonic::async_trait]
impl AdminService for Door {
    async fn put_workflow(
        &self,
        request: Request<CreateWorkflowVersionRequest>,
    ) -> Result<Response<CreateWorkflowVersionResponse>, Status> {
        let timings = self.driver.apply(|state, _| state.timings().clone());
        let definition = declare::definition(request.into_inner(), &timings)?;
        let (id, workflow_id) =
            self.driver.add(Capacity::Workers, |state, now| state.put_workflow(definition, now)).await?;
        Ok(Response::new(CreateWorkflowVersionResponse { id: id.to_string(), workflow_id: workflow_id.to_string() }))
    }

    async fn cancel_tasks(
        &self,
        request: Request<CancelTasksRequest>,
    ) -> Result<Response<CancelTasksResponse>, Status> {
        let CancelTasksRequest { external_ids, filter } = request.into_inner();
        let chosen = chosen(&external_ids, filter)?;
        let cancelled_tasks = self
            .driver
            .with(|state, now| {
                let ids = chosen.resolve(state, MAX_CANCELLED);
                ids.iter().for_each(|id| state.cancel(*id, now));
                ids.iter().map(RunId::to_string).collect()
            })
            .await?;
        Ok(Response::new(CancelTasksResponse { cancelled_tasks }))
    }

    async fn replay_tasks(
        &self,
        request: Request<ReplayTasksRequest>,
    ) -> Result<Response<ReplayTasksResponse>, Status> {
        let ReplayTasksRequest { external_ids, filter } = request.into_inner();
        let chosen = chosen(&external_ids, filter)?;
        let replayed_tasks = self
            .driver
            .with(|state, now| {
                let ids = chosen.resolve(state, MAX_REPLAYED);
                ids.iter().filter(|id| state.replay(**id, now)).map(RunId::to_string).collect()
            })
            .await?;
        Ok(Response::new(ReplayTasksResponse { replayed_tasks }))
    }

    async fn trigger_workflow_run(
        &self,
        request: Request<TriggerWorkflowRunRequest>,
    ) -> Result<Response<TriggerWorkflowRunResponse>, Status> {
        let request = request.into_inner();
        let text = |bytes: Vec<u8>, field: &str| {
            String::from_utf8(bytes)
                .map_err(|_| Status::invalid_argument(format!("Invalid request: invalid json in field `{field}`")))
        };
        let request = TriggerWorkflowRequest {
            name: request.workflow_name,
            input: text(request.input, "payload")?,
            additional_metadata: Some(text(request.additional_metadata, "additionalMetadata")?),
            priority: request.priority,
            desired_worker_labels: request.desired_worker_labels,
            ..TriggerWorkflowRequest::default()
        };
        let id = trigger::one(&self.driver, request).await?;
        Ok(Response::new(TriggerWorkflowRunResponse { external_id: id.to_string() }))
    }

    async fn get_run_details(
        &self,
        request: Request<GetRunDetailsRequest>,
    ) -> Result<Response<GetRunDetailsResponse>, Status> {
        let id: RunId =
            request.into_inner().external_id.parse().map_err(|_| Status::invalid_argument("invalid external id"))?;
        let mut found = self.driver.with(|state, _| details(state, id)).await?;
        // Input and output each fit, both together may not: the output is what was asked for.
        if let Some(details) = found.as_mut().filter(|details| details.encoded_len() > self.driver.max_message) {
            details.input = b"{}".to_vec();
            if details.encoded_len() > self.driver.max_message {
                return Err(Status::resource_exhausted(
                    "all outputs together are larger than a message: ask for each task by its own id",
                ));
            }
        }
        found.map(Response::new).ok_or_else(|| Status::not_found("workflow run not found"))
    }

    async fn branch_durable_task(
        &self,
        _: Request<BranchDurableTaskRequest>,
    ) -> Result<Response<BranchDurableTaskResponse>, Status> {
        Err(not_here("durable tasks"))
    }
}

/// A run with all its tasks, or one task by its own id.
fn details(state: &State, id: RunId) -> Option<GetRunDetailsResponse> {
    let (run_id, run) = state.run(id)?;
    let whole = run_id == id;
    let tasks = if whole { &run.tasks[..] } else { std::slice::from_ref(&id) };
    let status = if whole { state.status(run) } else { state.task(id)?.phase.status() };
    let task_runs: HashMap<String, TaskRunDetail> =
        tasks.iter().filter_map(|task| detail(state, run, *task)).map(|d| (d.readable_id.clone(), d)).collect();
    Some(GetRunDetailsResponse {
        input: run.input.as_bytes().to_vec(),
        status: number(status),
        task_runs,
        done: status.is_final(),
        additional_metadata: run.metadata.as_bytes().to_vec(),
        is_evicted: false,
    })
}

fn detail(state: &State, run: &Run, id: RunId) -> Option<TaskRunDetail> {
    let task = state.task(id).filter(|task| task.is_made())?;
    let status = task.phase.status();
    // Present and empty where there is no error, as with a real engine.
    let error = status.is_final().then(|| State::error_text(&task.phase).unwrap_or_default().to_owned());
    Some(TaskRunDetail {
        external_id: id.to_string(),
        status: number(status),
        error,
        output: assignment::output(&task.phase).map(|output| output.as_bytes().to_vec()),
        readable_id: run.version.tasks.get(task.spec)?.name.to_string(),
        is_evicted: false,
    })
}

fn number(status: RunStatus) -> i32 {
    match status {
        RunStatus::Queued => v1::RunStatus::Queued.into(),
        RunStatus::Running => v1::RunStatus::Running.into(),
        RunStatus::Completed => v1::RunStatus::Completed.into(),
        RunStatus::Failed => v1::RunStatus::Failed.into(),
        RunStatus::Cancelled => v1::RunStatus::Cancelled.into(),
        RunStatus::Evicted => v1::RunStatus::Evicted.into(),
        RunStatus::Unknown(n) => n,
    }
}

/// What a call is about.
enum Chosen {
    Ids(Vec<RunId>),
    By(RunFilter),
}

impl Chosen {
    fn resolve(self, state: &State, most: usize) -> Vec<RunId> {
        match self {
            Self::Ids(ids) => ids,
            Self::By(selection) => state.select(&selection).take(most).collect(),
        }
    }
}

fn chosen(ids: &[String], filter: Option<TasksFilter>) -> Result<Chosen, Status> {
    let Some(filter) = filter else {
        let id = |text: &String| text.parse().map_err(|_| Status::invalid_argument("invalid external id"));
        return Ok(Chosen::Ids(ids.iter().map(id).collect::<Result<_, _>>()?));
    };
    if !ids.is_empty() {
        return Err(Status::invalid_argument("cannot provide both external ids and filter"));
    }
    let statuses = filter.statuses.iter().map(|word| check::status_word(word)).collect::<Result<_, _>>();
    let workflow = |text: &String| text.parse().map_err(|_| Status::invalid_argument("invalid workflow id"));
    let metadata = filter.additional_metadata.iter().map(|pair| check::metadata_pair(pair)).collect::<Result<_, _>>();
    Ok(Chosen::By(RunFilter {
        since: filter.since.as_ref().map(Timestamp::from_wire),
        until: filter.until.as_ref().map(Timestamp::from_wire),
        statuses: statuses.map_err(Status::invalid_argument)?,
        workflows: filter.workflow_ids.iter().map(workflow).collect::<Result<_, _>>()?,
        metadata: metadata.map_err(Status::invalid_argument)?,
        all_pairs: false,
        parent: None,
        event: None,
    }))
}
