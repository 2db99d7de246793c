//! Registration of workflows, triggers, and queries of runs.

use hatchet_quickstart::hatchet::wire::proto::v1::{
    CancelTasksRequest, CreateTaskOpts, CreateWorkflowVersionRequest, CreateWorkflowVersionResponse,
    GetRunDetailsRequest, GetRunDetailsResponse, ReplayTasksRequest, TaskRunDetail, TriggerWorkflowRequest,
};
use serde_json::Value;
use tonic::{Code, Status};

use super::{Target, eventually};

/// A registered workflow of one task. The task has the workflow's name.
#[derive(Debug, Clone)]
pub struct Workflow {
    pub name: String,
    pub action: String,
    pub version_id: String,
    pub workflow_id: String,
}

impl Workflow {
    pub fn request(&self, input: Value) -> TriggerWorkflowRequest {
        TriggerWorkflowRequest { name: self.name.clone(), input: input.to_string(), ..Default::default() }
    }
}

/// The only task of a run.
#[track_caller]
pub fn only_task(details: &GetRunDetailsResponse) -> &TaskRunDetail {
    assert_eq!(details.task_runs.len(), 1, "{details:?}");
    details.task_runs.values().next().unwrap()
}

impl Target {
    /// A definition with one task, not registered yet.
    pub fn definition(&self, base: &str) -> CreateWorkflowVersionRequest {
        let name = self.name(base);
        let task = CreateTaskOpts {
            readable_id: name.clone(),
            action: format!("{name}:{name}"),
            timeout: "2m".to_owned(),
            schedule_timeout: Some("3m".to_owned()),
            inputs: "{}".to_owned(),
            ..Default::default()
        };
        CreateWorkflowVersionRequest { name, tasks: vec![task], ..Default::default() }
    }

    pub async fn try_put(
        &self,
        definition: &CreateWorkflowVersionRequest,
    ) -> Result<CreateWorkflowVersionResponse, Status> {
        Ok(self.admin().put_workflow(definition.clone()).await?.into_inner())
    }

    pub async fn put(&self, definition: &CreateWorkflowVersionRequest) -> Workflow {
        let put = self.try_put(definition).await.unwrap();
        Workflow {
            name: definition.name.clone(),
            action: definition.tasks[0].action.clone(),
            version_id: put.id,
            workflow_id: put.workflow_id,
        }
    }

    /// Registers a workflow with one task.
    pub async fn workflow(&self, base: &str) -> Workflow {
        self.put(&self.definition(base)).await
    }

    /// Registers a workflow with one task after applying `change` to the task.
    pub async fn workflow_with(&self, base: &str, change: impl FnOnce(&mut CreateTaskOpts)) -> Workflow {
        let mut definition = self.definition(base);
        change(&mut definition.tasks[0]);
        self.put(&definition).await
    }

    pub async fn try_trigger(&self, request: TriggerWorkflowRequest) -> Result<String, Status> {
        Ok(self.workflows().trigger_workflow(request).await?.into_inner().workflow_run_id)
    }

    pub async fn trigger(&self, workflow: &Workflow, input: Value) -> String {
        self.try_trigger(workflow.request(input)).await.unwrap()
    }

    pub async fn details(&self, id: &str) -> Result<GetRunDetailsResponse, Status> {
        let request = GetRunDetailsRequest { external_id: id.to_owned() };
        Ok(self.admin().get_run_details(request).await?.into_inner())
    }

    /// Reads the run until it satisfies `accepts`. Right after a trigger a real engine may not find it yet.
    pub async fn details_until(
        &self,
        id: &str,
        what: &str,
        accepts: impl Fn(&GetRunDetailsResponse) -> bool,
    ) -> GetRunDetailsResponse {
        eventually(what, async || match self.details(id).await {
            Ok(details) => accepts(&details).then_some(details),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("{status:?}"),
        })
        .await
    }

    /// Waits until the run is finished. Only the field `done` is reliable: a status may be temporary.
    pub async fn done(&self, id: &str) -> GetRunDetailsResponse {
        self.details_until(id, "the run is final", |details| details.done).await
    }

    pub async fn cancel(&self, ids: &[&str]) -> Vec<String> {
        let external_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let request = CancelTasksRequest { external_ids, filter: None };
        self.admin().cancel_tasks(request).await.unwrap().into_inner().cancelled_tasks
    }

    pub async fn replay(&self, ids: &[&str]) -> Vec<String> {
        let external_ids = ids.iter().map(|id| (*id).to_owned()).collect();
        let request = ReplayTasksRequest { external_ids, filter: None };
        self.admin().replay_tasks(request).await.unwrap().into_inner().replayed_tasks
    }
}
