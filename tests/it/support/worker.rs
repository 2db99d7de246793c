//! A worker on gRPC stubs, without the worker of this project.

use std::{collections::HashMap, time::Duration};

use hatchet_quickstart::hatchet::wire::{
    proto::{
        ActionType, AssignedAction, HeartbeatRequest, StepActionEvent, StepActionEventType, WorkerListenRequest,
        WorkerRegisterRequest, WorkerUnsubscribeRequest,
    },
    timestamp_now,
};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use super::{AuthenticatedChannel, Dispatcher, StreamReader, Target, Workflow};

/// The interval of all SDKs. An engine stops assigning 5 s after the last heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(4);

pub struct RawWorker {
    pub id: String,
    pub name: String,
    dispatcher: Dispatcher,
    actions: Option<StreamReader<AssignedAction>>,
    heartbeats: Option<JoinHandle<()>>,
}

impl RawWorker {
    /// Registers a worker that does not listen yet.
    pub async fn register(target: &Target, base: &str, actions: &[&str], slots: &[(&str, i32)]) -> Self {
        Self::register_over(target.dispatcher(), target.name(base), actions, slots).await
    }

    async fn register_over(
        mut dispatcher: Dispatcher,
        worker_name: String,
        actions: &[&str],
        slots: &[(&str, i32)],
    ) -> Self {
        let request = WorkerRegisterRequest {
            worker_name,
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            slot_config: slots.iter().map(|(kind, units)| ((*kind).to_owned(), *units)).collect::<HashMap<_, _>>(),
            ..Default::default()
        };
        let registered = dispatcher.register(request).await.unwrap().into_inner();
        Self { id: registered.worker_id, name: registered.worker_name, dispatcher, actions: None, heartbeats: None }
    }

    /// Starts a listening worker for one workflow.
    pub async fn start(target: &Target, workflow: &Workflow, slots: i32) -> Self {
        let mut worker = Self::register(target, "worker", &[&workflow.action], &[("default", slots)]).await;
        worker.listen();
        worker
    }

    /// Starts a listening worker for one workflow over its own connection.
    pub async fn start_over(target: &Target, channel: AuthenticatedChannel, workflow: &Workflow, slots: i32) -> Self {
        let dispatcher = Dispatcher::new(channel);
        let slots = [("default", slots)];
        let mut worker = Self::register_over(dispatcher, target.name("worker"), &[&workflow.action], &slots).await;
        worker.listen();
        worker
    }

    /// Opens the stream of assignments and starts heartbeats. Closes a previous stream.
    pub fn listen(&mut self) {
        self.stop_listening();
        let (mut dispatcher, worker_id) = (self.dispatcher.clone(), self.id.clone());
        let request = WorkerListenRequest { worker_id };
        self.actions = Some(StreamReader::open("an action", async move { dispatcher.listen_v2(request).await }));
        self.resume_heartbeats();
    }

    /// Sends heartbeats at the interval of the SDKs.
    pub fn resume_heartbeats(&mut self) {
        self.stop_heartbeats();
        let (mut dispatcher, worker_id) = (self.dispatcher.clone(), self.id.clone());
        self.heartbeats = Some(tokio::spawn(async move {
            loop {
                let request = HeartbeatRequest { worker_id: worker_id.clone(), heartbeat_at: Some(timestamp_now()) };
                let refused = dispatcher.heartbeat(request).await.is_err();
                // The first heartbeat may arrive before the call that opens the stream.
                tokio::time::sleep(if refused { HEARTBEAT / 20 } else { HEARTBEAT }).await;
            }
        }));
    }

    /// Closes the stream and stops heartbeats, like a worker that has lost its connection.
    pub fn stop_listening(&mut self) {
        self.actions = None;
        self.stop_heartbeats();
    }

    /// Stops heartbeats; the stream stays open.
    pub fn stop_heartbeats(&mut self) {
        if let Some(heartbeats) = self.heartbeats.take() {
            heartbeats.abort();
        }
    }

    pub async fn heartbeat(&mut self) -> Result<(), Status> {
        let request = HeartbeatRequest { worker_id: self.id.clone(), heartbeat_at: Some(timestamp_now()) };
        self.dispatcher.heartbeat(request).await.map(|_| ())
    }

    pub async fn next_action(&mut self) -> AssignedAction {
        self.actions.as_mut().expect("the worker listens").message().await
    }

    /// Returns the next action and asserts that it starts a task.
    pub async fn next_start(&mut self) -> AssignedAction {
        let action = self.next_action().await;
        assert_eq!(action.action_type(), ActionType::StartStepRun, "{action:?}");
        action
    }

    /// Returns the next action and asserts that it cancels a task.
    pub async fn next_cancel(&mut self) -> AssignedAction {
        let action = self.next_action().await;
        assert_eq!(action.action_type(), ActionType::CancelStepRun, "{action:?}");
        action
    }

    /// Returns an action that has already arrived, if any.
    pub fn waiting_action(&mut self) -> Option<AssignedAction> {
        self.actions.as_mut().expect("the worker listens").waiting().map(Result::unwrap)
    }

    /// Creates an event with the fields that the SDKs set.
    pub fn event(&self, action: &AssignedAction, kind: StepActionEventType, payload: &str) -> StepActionEvent {
        StepActionEvent {
            worker_id: self.id.clone(),
            job_id: action.job_id.clone(),
            job_run_id: action.job_run_id.clone(),
            task_id: action.task_id.clone(),
            task_run_external_id: action.task_run_external_id.clone(),
            action_id: action.action_id.clone(),
            event_timestamp: Some(timestamp_now()),
            event_type: kind.into(),
            event_payload: payload.to_owned(),
            retry_count: Some(action.retry_count),
            should_not_retry: Some(false),
            retry_after_ms: None,
        }
    }

    pub async fn send(&mut self, event: StepActionEvent) -> Result<(), Status> {
        self.dispatcher.send_step_action_event(event).await.map(|_| ())
    }

    pub async fn report(&mut self, action: &AssignedAction, kind: StepActionEventType, payload: &str) {
        let event = self.event(action, kind, payload);
        self.send(event).await.unwrap();
    }

    pub async fn started(&mut self, action: &AssignedAction) {
        self.report(action, StepActionEventType::StepEventTypeStarted, "").await;
    }

    pub async fn complete(&mut self, action: &AssignedAction, output: &str) {
        self.report(action, StepActionEventType::StepEventTypeCompleted, output).await;
    }

    pub async fn fail(&mut self, action: &AssignedAction, error: &str) {
        self.report(action, StepActionEventType::StepEventTypeFailed, error).await;
    }

    pub async fn unsubscribe(&mut self) -> Result<(), Status> {
        let request = WorkerUnsubscribeRequest { worker_id: self.id.clone() };
        self.dispatcher.unsubscribe(request).await.map(|_| ())
    }

    /// Unsubscribes and closes the stream. When a failing test drops a worker, only its connection closes.
    pub async fn close(mut self) {
        self.stop_heartbeats();
        match self.unsubscribe().await {
            // The dispatcher no longer has a worker whose stream is closed.
            Ok(()) => {}
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => panic!("{status:?}"),
        }
        self.stop_listening();
    }
}

impl Drop for RawWorker {
    fn drop(&mut self) {
        self.stop_listening();
    }
}

/// A second worker and workflow, whose completed runs prove that the engine has processed all earlier work.
///
/// The absence of an assignment has no state to wait for. A test completes a few runs of the control worker instead:
/// the engine would have sent the forbidden assignment before them.
pub struct ControlWorker {
    workflow: Workflow,
    worker: RawWorker,
}

impl ControlWorker {
    pub async fn start(target: &Target) -> Self {
        let workflow = target.workflow("control").await;
        let worker = RawWorker::start(target, &workflow, 1).await;
        Self { workflow, worker }
    }

    /// Triggers three runs and completes them.
    pub async fn complete_runs(&mut self, target: &Target) {
        for _ in 0..3 {
            let run = target.trigger(&self.workflow, serde_json::json!({})).await;
            let action = self.worker.next_start().await;
            self.worker.complete(&action, "{}").await;
            target.done(&run).await;
        }
    }

    pub async fn close(self) {
        self.worker.close().await;
    }
}
