//! `WorkflowService`: triggering, now and later.

use tonic::{Request, Response, Status};

use super::{Door, not_here};
use crate::engine::state::{Capacity, RunTemplate, Timestamp};
use crate::engine::validate::{payload as check, trigger};
use crate::hatchet::wire::proto::{
    BulkTriggerWorkflowRequest, BulkTriggerWorkflowResponse, PauseRateLimitRequest, PauseRateLimitResponse,
    PutRateLimitRequest, PutRateLimitResponse, PutWorkflowRequest, ScheduleWorkflowRequest, ScheduledWorkflow,
    TriggerWorkflowResponse, WorkflowVersion, v1::TriggerWorkflowRequest, workflow_service_server::WorkflowService,
};

#[tonic::async_trait]
impl WorkflowService for Door {
    async fn trigger_workflow(
        &self,
        request: Request<TriggerWorkflowRequest>,
    ) -> Result<Response<TriggerWorkflowResponse>, Status> {
        let id = trigger::one(&self.driver, request.into_inner()).await?;
        Ok(Response::new(TriggerWorkflowResponse { workflow_run_id: id.to_string() }))
    }

    async fn bulk_trigger_workflow(
        &self,
        request: Request<BulkTriggerWorkflowRequest>,
    ) -> Result<Response<BulkTriggerWorkflowResponse>, Status> {
        let workflow_run_ids = trigger::many(&self.driver, request.into_inner().workflows).await?;
        Ok(Response::new(BulkTriggerWorkflowResponse { workflow_run_ids }))
    }

    async fn put_workflow(&self, _: Request<PutWorkflowRequest>) -> Result<Response<WorkflowVersion>, Status> {
        Err(not_here("the first generation of PutWorkflow; use v1.AdminService/PutWorkflow"))
    }

    async fn schedule_workflow(
        &self,
        request: Request<ScheduleWorkflowRequest>,
    ) -> Result<Response<WorkflowVersion>, Status> {
        let request = request.into_inner();
        if request.parent_task_run_external_id.is_some() {
            return Err(Status::invalid_argument(not_here("scheduling child runs").message()));
        }
        let max = self.driver.max_message;
        let plan = RunTemplate {
            input: check::input(&request.input, max)?,
            metadata: check::metadata(request.additional_metadata.as_deref(), max.saturating_sub(request.input.len()))?,
            priority: check::priority(request.priority)?,
            workflow: request.name.into(),
        };
        let times: Vec<Timestamp> = request.schedules.iter().map(Timestamp::from_wire).collect();
        let found = self
            .driver
            .add(Capacity::Runs, |state, now| {
                let ids = state.schedule(&plan, &times, now).ok()?;
                Some((ids, state.version_of(&plan.workflow)?.clone()))
            })
            .await?;
        let (ids, version) = found.ok_or_else(|| Status::not_found("workflow not found"))?;
        let scheduled = |(id, at): (uuid::Uuid, &Timestamp)| ScheduledWorkflow {
            id: id.to_string(),
            trigger_at: Some(at.to_wire()),
        };
        Ok(Response::new(WorkflowVersion {
            id: version.id.to_string(),
            created_at: Some(version.created.to_wire()),
            updated_at: Some(version.created.to_wire()),
            version: version.content.version.clone(),
            order: version.order,
            workflow_id: version.workflow_id.to_string(),
            scheduled_workflows: ids.into_iter().zip(&times).map(scheduled).collect(),
        }))
    }

    async fn put_rate_limit(&self, _: Request<PutRateLimitRequest>) -> Result<Response<PutRateLimitResponse>, Status> {
        Err(not_here("rate limits"))
    }

    async fn pause_rate_limit(
        &self,
        _: Request<PauseRateLimitRequest>,
    ) -> Result<Response<PauseRateLimitResponse>, Status> {
        Err(not_here("rate limits"))
    }
}
