//! `WorkflowService`: triggering.

use tonic::{Request, Response, Status};

use super::{Door, not_here, trigger};
use crate::hatchet::wire::proto::{
    BulkTriggerWorkflowRequest, BulkTriggerWorkflowResponse, PauseRateLimitRequest, PauseRateLimitResponse,
    PutRateLimitRequest, PutRateLimitResponse, PutWorkflowRequest, ScheduleWorkflowRequest, TriggerWorkflowResponse,
    WorkflowVersion, v1::TriggerWorkflowRequest, workflow_service_server::WorkflowService,
};

#[tonic::async_trait]
impl WorkflowService for Door {
    async fn trigger_workflow(
        &self,
        request: Request<TriggerWorkflowRequest>,
    ) -> Result<Response<TriggerWorkflowResponse>, Status> {
        let id = trigger::one(&self.driver, request.into_inner())?;
        Ok(Response::new(TriggerWorkflowResponse { workflow_run_id: id.to_string() }))
    }

    async fn bulk_trigger_workflow(
        &self,
        request: Request<BulkTriggerWorkflowRequest>,
    ) -> Result<Response<BulkTriggerWorkflowResponse>, Status> {
        let workflow_run_ids = trigger::many(&self.driver, request.into_inner().workflows)?;
        Ok(Response::new(BulkTriggerWorkflowResponse { workflow_run_ids }))
    }

    async fn put_workflow(&self, _: Request<PutWorkflowRequest>) -> Result<Response<WorkflowVersion>, Status> {
        Err(not_here("the first generation of PutWorkflow; use v1.AdminService/PutWorkflow"))
    }

    async fn schedule_workflow(
        &self,
        _: Request<ScheduleWorkflowRequest>,
    ) -> Result<Response<WorkflowVersion>, Status> {
        Err(not_here("scheduled runs"))
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
