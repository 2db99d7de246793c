//! `Dispatcher`: workers, and subscriptions.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{Caller, Door, VERSION, not_here};
use crate::{
    engine::{
        driver::Driver,
        driver::send_queue::QueueReader,
        driver::subscriptions::{EventFilter, RunEvent, RunResult, SubscriberId},
        state::{AttemptReport, Capacity, Registration, WorkerError},
        validate::{definition as declare, payload as check},
    },
    hatchet::wire::{
        ActionId, RunId, parse_duration,
        proto::{
            ActionEventResponse, AssignedAction, BatchActionEvent, GetVersionRequest, GetVersionResponse,
            GroupKeyActionEvent, HeartbeatRequest, HeartbeatResponse, OverridesData, OverridesDataResponse,
            RefreshTimeoutRequest, RefreshTimeoutResponse, ReleaseSlotRequest, ReleaseSlotResponse,
            RestoreEvictedTaskRequest, RestoreEvictedTaskResponse, Sdks, StepActionEvent, StepActionEventType,
            SubscribeToWorkflowEventsRequest, SubscribeToWorkflowRunsRequest, UpsertWorkerLabelsRequest,
            UpsertWorkerLabelsResponse, WorkerListenRequest, WorkerRegisterRequest, WorkerRegisterResponse,
            WorkerUnsubscribeRequest, WorkerUnsubscribeResponse, WorkflowEvent, WorkflowRunEvent,
            dispatcher_server::Dispatcher,
        },
    },
};

/// Slots of a worker that says nothing about them: the real engine's.
const DEFAULT_SLOTS: i64 = 100;

#[tonic::async_trait]
impl Dispatcher for Door {
    type ListenStream = QueueReader<AssignedAction>;
    type ListenV2Stream = QueueReader<AssignedAction>;
    type SubscribeToWorkflowEventsStream = Events;
    type SubscribeToWorkflowRunsStream = Answers;

    async fn register(
        &self,
        request: Request<WorkerRegisterRequest>,
    ) -> Result<Response<WorkerRegisterResponse>, Status> {
        let inside = request.extensions().get() == Some(&Caller::SameProcess);
        let request = request.into_inner();
        let worker_name = request.worker_name.clone();
        let registration = Registration { inside, ..registration(request)? };
        let id = self.driver.add(Capacity::Workers, |state, now| state.register(registration, now)).await?;
        Ok(Response::new(WorkerRegisterResponse {
            tenant_id: self.driver.tenant.to_string(),
            worker_id: id.to_string(),
            worker_name,
        }))
    }

    async fn listen(&self, request: Request<WorkerListenRequest>) -> Result<Response<Self::ListenStream>, Status> {
        self.open(&request.into_inner().worker_id, true)
    }

    async fn listen_v2(&self, request: Request<WorkerListenRequest>) -> Result<Response<Self::ListenV2Stream>, Status> {
        self.open(&request.into_inner().worker_id, false)
    }

    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Result<Response<HeartbeatResponse>, Status> {
        let text = request.into_inner().worker_id;
        let id = check::worker_id(&text)?;
        // It promises nothing, so it waits for nothing: workers stay alive while nothing can be kept.
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
        let request = request.into_inner();
        let watched = match request {
            SubscribeToWorkflowEventsRequest { workflow_run_id: Some(id), .. } if !id.is_empty() => {
                let bad = |_| Status::invalid_argument(format!("invalid workflow run id {}", check::brief(&id)));
                EventFilter::Run(id.parse().map_err(bad)?)
            }
            SubscribeToWorkflowEventsRequest {
                additional_meta_key: Some(key),
                additional_meta_value: Some(value),
                ..
            } => EventFilter::Pair(key, value),
            _ => {
                return Err(Status::invalid_argument(
                    "either workflow run id or additional meta key-value must be provided",
                ));
            }
        };
        let missing = match &watched {
            EventFilter::Run(id) => format!("workflow run {id} not found"),
            EventFilter::Pair(..) => String::new(),
        };
        let reader = self.driver.subscribe_events(watched).ok_or_else(|| Status::not_found(missing))?;
        Ok(Response::new(Events(reader)))
    }

    async fn subscribe_to_workflow_runs(
        &self,
        request: Request<Streaming<SubscribeToWorkflowRunsRequest>>,
    ) -> Result<Response<Self::SubscribeToWorkflowRunsStream>, Status> {
        let (id, reader) = self.driver.subscribe_results();
        Ok(Response::new(Answers {
            id,
            asked: Some(request.into_inner()),
            reader: Box::pin(reader),
            driver: self.driver.clone(),
        }))
    }

    async fn send_step_action_event(
        &self,
        request: Request<StepActionEvent>,
    ) -> Result<Response<ActionEventResponse>, Status> {
        let event = request.into_inner();
        let id = check::step_id(&event.task_run_external_id)?;
        let report = report(&event, self.driver.max_message)?;
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
        Err(not_here("batch tasks"))
    }

    async fn send_group_key_action_event(
        &self,
        _: Request<GroupKeyActionEvent>,
    ) -> Result<Response<ActionEventResponse>, Status> {
        Err(Status::unimplemented("SendGroupKeyActionEvent is not implemented in engine version v1"))
    }

    async fn put_overrides_data(&self, _: Request<OverridesData>) -> Result<Response<OverridesDataResponse>, Status> {
        // A real engine does nothing with it either.
        Ok(Response::new(OverridesDataResponse {}))
    }

    async fn unsubscribe(
        &self,
        request: Request<WorkerUnsubscribeRequest>,
    ) -> Result<Response<WorkerUnsubscribeResponse>, Status> {
        let worker_id = request.into_inner().worker_id;
        let id = check::worker_id(&worker_id)?;
        self.driver.with(|state, _| state.unsubscribe(id)).await?.map_err(|e| unknown(e, &worker_id))?;
        Ok(Response::new(WorkerUnsubscribeResponse { tenant_id: self.driver.tenant.to_string(), worker_id }))
    }

    async fn refresh_timeout(
        &self,
        request: Request<RefreshTimeoutRequest>,
    ) -> Result<Response<RefreshTimeoutResponse>, Status> {
        let request = request.into_inner();
        let id = check::task_id(&request.task_run_external_id)?;
        let by = parse_duration(&request.increment_timeout_by).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let at = self.driver.with(|state, now| state.refresh_timeout(id, by, now)).await?.ok_or_else(|| no_task(id))?;
        Ok(Response::new(RefreshTimeoutResponse { timeout_at: Some(at.to_wire()) }))
    }

    async fn release_slot(
        &self,
        request: Request<ReleaseSlotRequest>,
    ) -> Result<Response<ReleaseSlotResponse>, Status> {
        let id = check::task_id(&request.into_inner().task_run_external_id)?;
        if !self.driver.with(|state, now| state.release_slot(id, now)).await? {
            return Err(no_task(id));
        }
        Ok(Response::new(ReleaseSlotResponse {}))
    }

    async fn restore_evicted_task(
        &self,
        _: Request<RestoreEvictedTaskRequest>,
    ) -> Result<Response<RestoreEvictedTaskResponse>, Status> {
        Err(not_here("durable tasks"))
    }

    async fn upsert_worker_labels(
        &self,
        request: Request<UpsertWorkerLabelsRequest>,
    ) -> Result<Response<UpsertWorkerLabelsResponse>, Status> {
        let UpsertWorkerLabelsRequest { worker_id, labels } = request.into_inner();
        let id = check::worker_id(&worker_id)?;
        self.driver
            .add(Capacity::Workers, |state, _| state.label(id, labels))
            .await?
            .map_err(|e| unknown(e, &worker_id))?;
        Ok(Response::new(UpsertWorkerLabelsResponse { tenant_id: self.driver.tenant.to_string(), worker_id }))
    }

    async fn get_version(&self, _: Request<GetVersionRequest>) -> Result<Response<GetVersionResponse>, Status> {
        Ok(Response::new(GetVersionResponse { version: VERSION.to_owned() }))
    }
}

impl Door {
    fn open(&self, worker_id: &str, beats: bool) -> Result<Response<QueueReader<AssignedAction>>, Status> {
        let id = check::worker_id(worker_id)?;
        let reader = self.driver.listen(id, beats).map_err(|_| Status::not_found("not found"))?;
        Ok(Response::new(reader))
    }
}

fn unknown(_: WorkerError, id: &str) -> Status {
    Status::not_found(format!("worker not found: {id}"))
}

fn no_task(id: RunId) -> Status {
    Status::not_found(format!("task run not found: {id}"))
}

fn registration(from: WorkerRegisterRequest) -> Result<Registration, Status> {
    let invalid = |field: &str, reason: &str| {
        Status::invalid_argument(format!(
            "Invalid request: Validation failed with the following errors: 0: validation failed on field \
             'CreateWorkerOpts.{field}': {reason}"
        ))
    };
    if !declare::is_name(&from.worker_name) {
        let name = check::brief(&from.worker_name);
        return Err(invalid("Name", &format!("`{name}` is not a name: use letters, digits and . - _")));
    }
    let mut actions = Vec::with_capacity(from.actions.len());
    for (at, action) in from.actions.iter().enumerate() {
        let action: ActionId = action.parse().map_err(|_| {
            invalid(
                &format!("Actions[{at}]"),
                "Invalid action ID. Action IDs must be in the format <integrationId>:<verb>",
            )
        })?;
        actions.push(action.as_str().to_owned());
    }
    if let Some(language) = from.runtime_info.as_ref().and_then(|info| info.language) {
        match Sdks::try_from(language) {
            Ok(Sdks::Go | Sdks::Python | Sdks::Typescript | Sdks::Ruby) => {}
            Ok(Sdks::Unknown) | Err(_) => {
                return Err(invalid("RuntimeInfo.Language", &format!("{language} is none of 1 to 4: leave it unset")));
            }
        }
    }
    let slots = match from.slots {
        Some(_) if !from.slot_config.is_empty() => {
            return Err(Status::invalid_argument(
                "either slot_config or slots (deprecated) must be provided, not both",
            ));
        }
        Some(n) => vec![("default".to_owned(), i64::from(n))],
        None if from.slot_config.is_empty() => vec![("default".to_owned(), DEFAULT_SLOTS)],
        None => {
            let sorted: BTreeMap<_, _> = from.slot_config.into_iter().collect();
            sorted.into_iter().map(|(kind, units)| (kind, i64::from(units))).collect()
        }
    };
    Ok(Registration {
        name: from.worker_name,
        actions,
        slots,
        labels: from.labels.into_iter().collect(),
        runtime: from.runtime_info,
        inside: false,
    })
}

fn report(event: &StepActionEvent, max_message: usize) -> Result<AttemptReport, Status> {
    let text = event.event_payload.as_str();
    match StepActionEventType::try_from(event.event_type) {
        Ok(StepActionEventType::StepEventTypeStarted | StepActionEventType::StepEventTypeAcknowledged) => {
            Ok(AttemptReport::Acknowledged)
        }
        Ok(StepActionEventType::StepEventTypeCompleted) => Ok(match check::output(text, max_message) {
            Ok(output) => AttemptReport::Completed(output),
            // As with a real engine the task has failed then, and may be tried again.
            Err(error) => AttemptReport::Failed { error: error.into(), may_retry: true },
        }),
        Ok(StepActionEventType::StepEventTypeFailed) => Ok(AttemptReport::Failed {
            error: check::error(text, max_message),
            may_retry: !event.should_not_retry.unwrap_or(false),
        }),
        Ok(StepActionEventType::StepEventTypeCancelled) => Ok(AttemptReport::Cancelled),
        Ok(StepActionEventType::StepEventTypeUnknown) | Err(_) => Err(Status::invalid_argument(format!(
            "invalid task external run id {}: event type {} is not known",
            check::brief(&event.task_run_external_id),
            event.event_type
        ))),
    }
}

/// The stream of SubscribeToWorkflowEvents.
pub(super) struct Events(QueueReader<RunEvent>);

impl Stream for Events {
    type Item = Result<WorkflowEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context).map(|next| next.map(|item| item.map(RunEvent::message)))
    }
}

/// The stream of SubscribeToWorkflowRuns. It reads the client's questions itself, and only when all answers so far
/// have been taken: a client that asks and does not read is held back, not buffered for.
pub(super) struct Answers {
    id: SubscriberId,
    /// `None` when the client has closed its side, which ends the stream after what is ready.
    asked: Option<Streaming<SubscribeToWorkflowRunsRequest>>,
    reader: Pin<Box<QueueReader<Arc<RunResult>>>>,
    driver: Arc<Driver>,
}

impl Stream for Answers {
    type Item = Result<WorkflowRunEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Poll::Ready(next) = self.reader.poll_next_unpin(context) {
                return Poll::Ready(next.map(|item| item.map(|answer| answer.message(self.driver.max_message))));
            }
            let Some(asked) = &mut self.asked else { return Poll::Ready(None) };
            match asked.poll_next_unpin(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(question))) => {
                    // What is no id is ignored, as with a real engine.
                    if let Ok(run) = question.workflow_run_id.parse() {
                        self.driver.request_result(self.id, run);
                    }
                }
                Poll::Ready(Some(Err(_)) | None) => self.asked = None,
            }
        }
    }
}
