//! The services of workflow definitions, triggers and run details.

use hatchet_quickstart::hatchet::wire::{
    RunId,
    proto::{
        BulkTriggerWorkflowRequest, BulkTriggerWorkflowResponse, PauseRateLimitRequest, PauseRateLimitResponse,
        PutRateLimitRequest, PutRateLimitResponse, PutWorkflowRequest, ScheduleWorkflowRequest,
        TriggerWorkflowResponse, WorkflowVersion,
        v1::{self, admin_service_server::AdminService},
        workflow_service_server::WorkflowService,
    },
};
use tonic::{Request, Response, Status};

use super::{Services, dispatcher::unscripted};

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AdminService for Services {
    async fn put_workflow(
        &self,
        request: Request<v1::CreateWorkflowVersionRequest>,
    ) -> Reply<v1::CreateWorkflowVersionResponse> {
        self.update(|script| match script.put_failures.pop_front() {
            Some(failure) => Err(failure),
            None => {
                script.workflows.push(request.into_inner());
                Ok(())
            }
        })?;
        Ok(Response::new(v1::CreateWorkflowVersionResponse::default()))
    }

    async fn get_run_details(&self, request: Request<v1::GetRunDetailsRequest>) -> Reply<v1::GetRunDetailsResponse> {
        let run = request.into_inner().external_id;
        let delay = self.update(|script| script.details_delay);
        tokio::time::sleep(delay).await;
        self.update(|script| {
            script.details_calls += 1;
            if let Some(failure) = script.details_failures.pop_front() {
                return Err(failure);
            }
            script.runs.get(&run).cloned().map(Response::new).ok_or_else(|| Status::not_found("run not found"))
        })
    }

    async fn cancel_tasks(&self, _: Request<v1::CancelTasksRequest>) -> Reply<v1::CancelTasksResponse> {
        unscripted("CancelTasks")
    }

    async fn replay_tasks(&self, _: Request<v1::ReplayTasksRequest>) -> Reply<v1::ReplayTasksResponse> {
        unscripted("ReplayTasks")
    }

    async fn trigger_workflow_run(
        &self,
        _: Request<v1::TriggerWorkflowRunRequest>,
    ) -> Reply<v1::TriggerWorkflowRunResponse> {
        unscripted("TriggerWorkflowRun")
    }

    async fn branch_durable_task(
        &self,
        _: Request<v1::BranchDurableTaskRequest>,
    ) -> Reply<v1::BranchDurableTaskResponse> {
        unscripted("durable tasks")
    }
}

#[tonic::async_trait]
impl WorkflowService for Services {
    async fn trigger_workflow(&self, request: Request<v1::TriggerWorkflowRequest>) -> Reply<TriggerWorkflowResponse> {
        let delay = self.update(|script| {
            script.triggers.push(request.into_inner());
            script.trigger_delay
        });
        tokio::time::sleep(delay).await;
        self.update(|script| match script.trigger_failures.pop_front() {
            Some(failure) => Err(failure),
            None => Ok(Response::new(TriggerWorkflowResponse { workflow_run_id: RunId::random().to_string() })),
        })
    }

    async fn bulk_trigger_workflow(
        &self,
        request: Request<BulkTriggerWorkflowRequest>,
    ) -> Reply<BulkTriggerWorkflowResponse> {
        let items = request.into_inner().workflows;
        self.update(|script| {
            script.bulk_sizes.push(items.len());
            if let Some(failure) = script.trigger_failures.pop_front() {
                return Err(failure);
            }
            let workflow_run_ids = items.iter().map(|_| RunId::random().to_string()).collect();
            script.triggers.extend(items);
            Ok(Response::new(BulkTriggerWorkflowResponse { workflow_run_ids }))
        })
    }

    async fn put_workflow(&self, _: Request<PutWorkflowRequest>) -> Reply<WorkflowVersion> {
        unscripted("WorkflowService.PutWorkflow")
    }

    async fn schedule_workflow(&self, _: Request<ScheduleWorkflowRequest>) -> Reply<WorkflowVersion> {
        unscripted("schedules")
    }

    async fn put_rate_limit(&self, _: Request<PutRateLimitRequest>) -> Reply<PutRateLimitResponse> {
        unscripted("rate limits")
    }

    async fn pause_rate_limit(&self, _: Request<PauseRateLimitRequest>) -> Reply<PauseRateLimitResponse> {
        unscripted("rate limits")
    }
}
