//! `WorkflowService`: triggers and schedules.

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    Services,
    error::unimplemented,
    trigger::{trigger_many, trigger_one},
};
use crate::{
    engine::{
        state::{Capacity, Timestamp},
        validate::{Invalid, definition::parse_window, template::validate_template},
    },
    hatchet::wire::{
        excerpt,
        proto::{
            BulkTriggerWorkflowRequest, BulkTriggerWorkflowResponse, PauseRateLimitRequest, PauseRateLimitResponse,
            PutRateLimitRequest, PutRateLimitResponse, PutWorkflowRequest, ScheduleWorkflowRequest, ScheduledWorkflow,
            TriggerWorkflowResponse, WorkflowVersion, v1::TriggerWorkflowRequest,
            workflow_service_server::WorkflowService,
        },
    },
};

#[tonic::async_trait]
impl WorkflowService for Services {
    async fn trigger_workflow(
        &self,
        request: Request<TriggerWorkflowRequest>,
    ) -> Result<Response<TriggerWorkflowResponse>, Status> {
        let id = trigger_one(&self.driver, request.into_inner()).await?;
        Ok(Response::new(TriggerWorkflowResponse { workflow_run_id: id.to_string() }))
    }

    async fn bulk_trigger_workflow(
        &self,
        request: Request<BulkTriggerWorkflowRequest>,
    ) -> Result<Response<BulkTriggerWorkflowResponse>, Status> {
        let workflow_run_ids = trigger_many(&self.driver, request.into_inner().workflows).await?;
        Ok(Response::new(BulkTriggerWorkflowResponse { workflow_run_ids }))
    }

    async fn put_workflow(&self, _: Request<PutWorkflowRequest>) -> Result<Response<WorkflowVersion>, Status> {
        Err(unimplemented("the first generation of PutWorkflow (use v1.AdminService/PutWorkflow)"))
    }

    async fn schedule_workflow(
        &self,
        request: Request<ScheduleWorkflowRequest>,
    ) -> Result<Response<WorkflowVersion>, Status> {
        let request = request.into_inner();
        if request.parent_task_run_external_id.is_some() {
            return Err(Invalid::unsupported("scheduling child runs").into());
        }
        let metadata = request.additional_metadata.as_deref();
        let template =
            validate_template(&request.name, &request.input, metadata, request.priority, self.driver.max_message)?;
        let times: Vec<Timestamp> = request.schedules.iter().map(Timestamp::from_wire).collect();
        let found = self
            .driver
            .add(Capacity::Runs, |state, now| {
                let ids = state.schedule(&template, &times, now).ok()?;
                Some((ids, state.version_of(&template.workflow)?.clone()))
            })
            .await?;
        let (ids, version) = found.ok_or_else(|| Status::not_found("workflow not found"))?;
        let scheduled =
            |(id, at): (Uuid, &Timestamp)| ScheduledWorkflow { id: id.to_string(), trigger_at: Some(at.to_wire()) };
        Ok(Response::new(WorkflowVersion {
            id: version.id.to_string(),
            created_at: Some(version.created.to_wire()),
            updated_at: Some(version.created.to_wire()),
            version: version.definition.content.message().version.clone(),
            order: version.order,
            workflow_id: version.workflow_id.to_string(),
            scheduled_workflows: ids.into_iter().zip(&times).map(scheduled).collect(),
        }))
    }

    async fn put_rate_limit(
        &self,
        request: Request<PutRateLimitRequest>,
    ) -> Result<Response<PutRateLimitResponse>, Status> {
        let PutRateLimitRequest { key, limit, duration } = request.into_inner();
        if key.is_empty() {
            return Err(Status::invalid_argument("key is required"));
        }
        let window =
            parse_window(duration).ok_or_else(|| Status::invalid_argument(format!("invalid duration {duration}")))?;
        let put = self.driver.add(Capacity::Runs, |state, now| state.put_rate_limit(&key, limit.into(), window, now));
        put.await?;
        Ok(Response::new(PutRateLimitResponse {}))
    }

    async fn pause_rate_limit(
        &self,
        request: Request<PauseRateLimitRequest>,
    ) -> Result<Response<PauseRateLimitResponse>, Status> {
        let PauseRateLimitRequest { key, paused_until } = request.into_inner();
        if key.is_empty() {
            return Err(Status::invalid_argument("key is required"));
        }
        let until = paused_until.ok_or_else(|| Status::invalid_argument("paused_until is required"))?;
        let until = Timestamp::from_wire(&until);
        let paused = self.driver.with(|state, now| state.pause_rate_limit(&key, until, now)).await?;
        let paused = paused.ok_or_else(|| Status::not_found(format!("rate limit not found: {}", excerpt(&key))))?;
        Ok(Response::new(PauseRateLimitResponse { paused_until: Some(paused.to_wire()) }))
    }
}
