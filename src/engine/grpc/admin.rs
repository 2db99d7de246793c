//! `v1.AdminService`: definitions, run details, cancelling and replaying.

use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, error::unimplemented, run_details::run_details, trigger::trigger_one};
use crate::{
    engine::{
        state::{Capacity, State},
        validate::{
            definition::{missing_rate_limit, validate_definition},
            field,
            filter::{RunSelection, validate_selection},
        },
    },
    hatchet::wire::{
        RunId,
        proto::v1::{
            BranchDurableTaskRequest, BranchDurableTaskResponse, CancelTasksRequest, CancelTasksResponse,
            CreateWorkflowVersionRequest, CreateWorkflowVersionResponse, GetRunDetailsRequest, GetRunDetailsResponse,
            ReplayTasksRequest, ReplayTasksResponse, TriggerWorkflowRequest, TriggerWorkflowRunRequest,
            TriggerWorkflowRunResponse, admin_service_server::AdminService,
        },
    },
};

/// Largest numbers of runs that a filter cancels and that a filter replays, as in a real engine.
const MAX_CANCELLED: usize = 20_000;
const MAX_REPLAYED: usize = 1000;

#[tonic::async_trait]
impl AdminService for Services {
    async fn put_workflow(
        &self,
        request: Request<CreateWorkflowVersionRequest>,
    ) -> Result<Response<CreateWorkflowVersionResponse>, Status> {
        let timings = self.driver.apply(|state, _| state.timings().clone());
        let definition = validate_definition(request.into_inner(), &timings)?;
        let put = self.driver.add(Capacity::Workers, |state, now| match state.missing_rate_limit(&definition) {
            None => Ok(state.put_workflow(definition, now)),
            Some((task, rule, key)) => Err(missing_rate_limit(task, rule, &key)),
        });
        let (id, workflow_id) = put.await??;
        Ok(Response::new(CreateWorkflowVersionResponse { id: id.to_string(), workflow_id: workflow_id.to_string() }))
    }

    async fn cancel_tasks(
        &self,
        request: Request<CancelTasksRequest>,
    ) -> Result<Response<CancelTasksResponse>, Status> {
        let CancelTasksRequest { external_ids, filter } = request.into_inner();
        let selection = validate_selection(&external_ids, filter)?;
        let cancelled_tasks = self
            .driver
            .with(|state, now| {
                let ids = resolve(selection, state, MAX_CANCELLED);
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
        let selection = validate_selection(&external_ids, filter)?;
        let replayed_tasks = self
            .driver
            .with(|state, now| {
                let ids = resolve(selection, state, MAX_REPLAYED);
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
        let id = trigger_one(&self.driver, request).await?;
        Ok(Response::new(TriggerWorkflowRunResponse { external_id: id.to_string() }))
    }

    async fn get_run_details(
        &self,
        request: Request<GetRunDetailsRequest>,
    ) -> Result<Response<GetRunDetailsResponse>, Status> {
        let id = field::parse_external_id(&request.into_inner().external_id)?;
        let mut found = self.driver.with(|state, _| run_details(state, id)).await?;
        // The input and the output each fit into a message, but perhaps not both: the output takes precedence.
        if let Some(details) = found.as_mut().filter(|details| details.encoded_len() > self.driver.max_message) {
            details.input = b"{}".to_vec();
            if details.encoded_len() > self.driver.max_message {
                return Err(Status::resource_exhausted(
                    "all outputs together are larger than a message: request each task by its own id",
                ));
            }
        }
        found.map(Response::new).ok_or_else(|| Status::not_found("workflow run not found"))
    }

    async fn branch_durable_task(
        &self,
        _: Request<BranchDurableTaskRequest>,
    ) -> Result<Response<BranchDurableTaskResponse>, Status> {
        Err(unimplemented("durable tasks"))
    }
}

/// Returns the ids of the selected runs, at most `limit` if they are selected by a filter.
fn resolve(selection: RunSelection, state: &State, limit: usize) -> Vec<RunId> {
    match selection {
        RunSelection::Ids(ids) => ids,
        RunSelection::Filter(filter) => state.select(&filter).take(limit).collect(),
    }
}
