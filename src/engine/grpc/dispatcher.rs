//! `Dispatcher`: workers, their reports, and subscriptions to runs.

use tonic::{Request, Response, Status, Streaming};

use super::{
    Caller, Services, VERSION,
    error::{task_not_found, unimplemented, unimplemented_in_v1},
    streams::{EventStream, ResultStream},
};
use crate::{
    engine::{
        driver::{EventFilter, QueueReader},
        state::{Capacity, WorkerError},
        validate::{
            field,
            registration::{convert_labels, validate_registration},
            report::validate_report,
        },
    },
    hatchet::wire::{
        parse_duration,
        proto::{
            ActionEventResponse, AssignedAction, BatchActionEvent, GetVersionRequest, GetVersionResponse,
            GroupKeyActionEvent, HeartbeatRequest, HeartbeatResponse, OverridesData, OverridesDataResponse,
            RefreshTimeoutRequest, RefreshTimeoutResponse, ReleaseSlotRequest, ReleaseSlotResponse,
            RestoreEvictedTaskRequest, RestoreEvictedTaskResponse, StepActionEvent, SubscribeToWorkflowEventsRequest,
            SubscribeToWorkflowRunsRequest, UpsertWorkerLabelsRequest, UpsertWorkerLabelsResponse, WorkerListenRequest,
            WorkerRegisterRequest, WorkerRegisterResponse, WorkerUnsubscribeRequest, WorkerUnsubscribeResponse,
            dispatcher_server::Dispatcher,
        },
    },
};

#[tonic::async_trait]
impl Dispatcher for Services {
    type ListenStream = QueueReader<AssignedAction>;
    type ListenV2Stream = QueueReader<AssignedAction>;
    type SubscribeToWorkflowEventsStream = EventStream;
    type SubscribeToWorkflowRunsStream = ResultStream;

    async fn register(
        &self,
        request: Request<WorkerRegisterRequest>,
    ) -> Result<Response<WorkerRegisterResponse>, Status> {
        let in_process = request.extensions().get() == Some(&Caller::SameProcess);
        let request = request.into_inner();
        let worker_name = request.worker_name.clone();
        let registration = validate_registration(request, in_process)?;
        let id = self.driver.add(Capacity::Workers, |state, now| state.register(registration, now)).await?;
        Ok(Response::new(WorkerRegisterResponse {
            tenant_id: self.driver.tenant.to_string(),
            worker_id: id.to_string(),
            worker_name,
        }))
    }

    async fn listen(&self, request: Request<WorkerListenRequest>) -> Result<Response<Self::ListenStream>, Status> {
        self.open_stream(&request.into_inner().worker_id, true)
    }

    async fn listen_v2(&self, request: Request<WorkerListenRequest>) -> Result<Response<Self::ListenV2Stream>, Status> {
        self.open_stream(&request.into_inner().worker_id, false)
    }

    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Result<Response<HeartbeatResponse>, Status> {
        let text = request.into_inner().worker_id;
        let id = field::parse_worker_id(&text)?;
        // Heartbeats are not persisted, so this does not wait: workers stay alive while the file cannot be written.
        self.driver.apply(|state, now| state.heartbeat(id, now)).map_err(|e| match e {
            WorkerError::Unknown => Status::not_found(format!("worker not found: {text}")),
            WorkerError::NoStream => {
                Status::failed_precondition(format!("Heartbeat rejected: worker stream is not active: {text}"))
            }
        })?;
        Ok(Response::new(HeartbeatResponse {}))
    }

    async fn subscribe_to_workflow_events(
        &self,
        request: Request<SubscribeToWorkflowEventsRequest>,
    ) -> Result<Response<Self::SubscribeToWorkflowEventsStream>, Status> {
        let filter = event_filter(request.into_inner())?;
        let unknown_run = match &filter {
            EventFilter::Run(id) => format!("workflow run {id} not found"),
            EventFilter::Metadata(..) => String::new(),
        };
        let events = self.driver.subscribe_events(filter).ok_or_else(|| Status::not_found(unknown_run))?;
        Ok(Response::new(EventStream(events)))
    }

    async fn subscribe_to_workflow_runs(
        &self,
        request: Request<Streaming<SubscribeToWorkflowRunsRequest>>,
    ) -> Result<Response<Self::SubscribeToWorkflowRunsStream>, Status> {
        Ok(Response::new(ResultStream::new(self.driver.clone(), request.into_inner())))
    }

    async fn send_step_action_event(
        &self,
        request: Request<StepActionEvent>,
    ) -> Result<Response<ActionEventResponse>, Status> {
        let event = request.into_inner();
        let id = field::parse_reported_task_id(&event.task_run_external_id)?;
        let report = validate_report(&event, self.driver.max_message)?;
        let attempt = event.retry_count;
        if !self.driver.with(|state, now| state.report(id, attempt, report, now)).await? {
            return Err(Status::invalid_argument(format!("invalid task external run id {id}: no such task run")));
        }
        Ok(Response::new(ActionEventResponse { tenant_id: self.driver.tenant.to_string(), worker_id: event.worker_id }))
    }

    async fn send_batch_action_event(
        &self,
        _: Request<BatchActionEvent>,
    ) -> Result<Response<ActionEventResponse>, Status> {
        Err(unimplemented("batch tasks"))
    }

    async fn send_group_key_action_event(
        &self,
        _: Request<GroupKeyActionEvent>,
    ) -> Result<Response<ActionEventResponse>, Status> {
        Err(unimplemented_in_v1("SendGroupKeyActionEvent"))
    }

    async fn put_overrides_data(&self, _: Request<OverridesData>) -> Result<Response<OverridesDataResponse>, Status> {
        // A real engine ignores these data too.
        Ok(Response::new(OverridesDataResponse {}))
    }

    async fn unsubscribe(
        &self,
        request: Request<WorkerUnsubscribeRequest>,
    ) -> Result<Response<WorkerUnsubscribeResponse>, Status> {
        let worker_id = request.into_inner().worker_id;
        let id = field::parse_worker_id(&worker_id)?;
        self.driver.with(|state, _| state.unsubscribe(id)).await?.map_err(|e| worker_not_found(e, &worker_id))?;
        Ok(Response::new(WorkerUnsubscribeResponse { tenant_id: self.driver.tenant.to_string(), worker_id }))
    }

    async fn refresh_timeout(
        &self,
        request: Request<RefreshTimeoutRequest>,
    ) -> Result<Response<RefreshTimeoutResponse>, Status> {
        let request = request.into_inner();
        let id = field::parse_task_id(&request.task_run_external_id)?;
        let increment =
            parse_duration(&request.increment_timeout_by).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let timeout_at = self
            .driver
            .with(|state, now| state.refresh_timeout(id, increment, now))
            .await?
            .ok_or_else(|| task_not_found(id))?;
        Ok(Response::new(RefreshTimeoutResponse { timeout_at: Some(timeout_at.to_wire()) }))
    }

    async fn release_slot(
        &self,
        request: Request<ReleaseSlotRequest>,
    ) -> Result<Response<ReleaseSlotResponse>, Status> {
        let id = field::parse_task_id(&request.into_inner().task_run_external_id)?;
        if !self.driver.with(|state, now| state.release_slot(id, now)).await? {
            return Err(task_not_found(id));
        }
        Ok(Response::new(ReleaseSlotResponse {}))
    }

    async fn restore_evicted_task(
        &self,
        _: Request<RestoreEvictedTaskRequest>,
    ) -> Result<Response<RestoreEvictedTaskResponse>, Status> {
        Err(unimplemented("durable tasks"))
    }

    async fn upsert_worker_labels(
        &self,
        request: Request<UpsertWorkerLabelsRequest>,
    ) -> Result<Response<UpsertWorkerLabelsResponse>, Status> {
        let UpsertWorkerLabelsRequest { worker_id, labels } = request.into_inner();
        let id = field::parse_worker_id(&worker_id)?;
        self.driver
            .add(Capacity::Workers, |state, now| state.label(id, convert_labels(labels), now))
            .await?
            .map_err(|e| worker_not_found(e, &worker_id))?;
        Ok(Response::new(UpsertWorkerLabelsResponse { tenant_id: self.driver.tenant.to_string(), worker_id }))
    }

    async fn get_version(&self, _: Request<GetVersionRequest>) -> Result<Response<GetVersionResponse>, Status> {
        Ok(Response::new(GetVersionResponse { version: VERSION.to_owned() }))
    }
}

impl Services {
    /// Opens a worker's stream of assignments. A stream of `Listen` replaces the worker's heartbeats while it is open;
    /// a stream of `ListenV2` does not.
    fn open_stream(
        &self,
        worker_id: &str,
        counts_as_heartbeat: bool,
    ) -> Result<Response<QueueReader<AssignedAction>>, Status> {
        let id = field::parse_worker_id(worker_id)?;
        let stream = self.driver.listen(id, counts_as_heartbeat).map_err(|_| Status::not_found("not found"))?;
        Ok(Response::new(stream))
    }
}

/// Reads the filter of a subscription: a run id, or else a pair of metadata.
fn event_filter(request: SubscribeToWorkflowEventsRequest) -> Result<EventFilter, Status> {
    match request {
        SubscribeToWorkflowEventsRequest { workflow_run_id: Some(id), .. } if !id.is_empty() => {
            Ok(EventFilter::Run(field::parse_workflow_run_id(&id)?))
        }
        SubscribeToWorkflowEventsRequest {
            additional_meta_key: Some(key), additional_meta_value: Some(value), ..
        } => Ok(EventFilter::Metadata(key, value)),
        _ => Err(Status::invalid_argument("either workflow run id or additional meta key-value must be provided")),
    }
}

fn worker_not_found(_: WorkerError, id: &str) -> Status {
    Status::not_found(format!("worker not found: {id}"))
}
