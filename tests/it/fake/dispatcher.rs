//! The dispatcher service.

use std::time::Instant;

use hatchet_quickstart::hatchet::wire::{WorkerId, proto::*};
use tokio::sync::mpsc;
use tokio_stream::{Empty, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::{Finished, Report, Services};

type Reply<T> = Result<Response<T>, Status>;

/// Refuses a call that no test scripts.
pub(super) fn unscripted<T>(what: &str) -> Reply<T> {
    Err(Status::unimplemented(format!("the scripted engine has no {what}")))
}

#[tonic::async_trait]
impl dispatcher_server::Dispatcher for Services {
    async fn register(&self, request: Request<WorkerRegisterRequest>) -> Reply<WorkerRegisterResponse> {
        let request = request.into_inner();
        let (worker_id, worker_name) = (WorkerId::random().to_string(), request.worker_name.clone());
        self.update(|script| match script.register_failures.pop_front() {
            Some(failure) => Err(failure),
            None => {
                script.registered.push(request);
                Ok(())
            }
        })?;
        Ok(Response::new(WorkerRegisterResponse { worker_id, worker_name, ..Default::default() }))
    }

    type ListenV2Stream = ReceiverStream<Result<AssignedAction, Status>>;

    async fn listen_v2(&self, request: Request<WorkerListenRequest>) -> Reply<Self::ListenV2Stream> {
        let worker = request.into_inner().worker_id;
        let (sender, receiver) = mpsc::channel(64);
        self.update(|script| {
            if script.unknown_workers.contains(&worker) {
                return Err(Status::not_found("worker not found"));
            }
            if let Some(failure) = script.listen_failures.pop_front() {
                return Err(failure);
            }
            script.streams.push((worker, sender));
            Ok(())
        })?;
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn heartbeat(&self, request: Request<HeartbeatRequest>) -> Reply<HeartbeatResponse> {
        let worker = request.into_inner().worker_id;
        let result = self.update(|script| {
            if script.unknown_workers.contains(&worker) {
                return Err(Status::not_found("worker not found"));
            }
            // Like a real engine, refuses heartbeats without a stream while it refuses streams.
            let open = script.streams.iter().any(|(id, stream)| *id == worker && !stream.is_closed());
            if !script.listen_failures.is_empty() && !open {
                return Err(Status::failed_precondition("stream is not active"));
            }
            if let Some(failure) = script.heartbeat_failures.pop_front() {
                return Err(failure);
            }
            script.heartbeats.push(Instant::now());
            Ok(())
        });
        let delay = self.update(|script| script.heartbeat_delay);
        tokio::time::sleep(delay).await;
        result.map(|()| Response::new(HeartbeatResponse {}))
    }

    async fn send_step_action_event(&self, request: Request<StepActionEvent>) -> Reply<ActionEventResponse> {
        let event = request.into_inner();
        self.update(|script| {
            if Finished::read(&event).is_some()
                && let Some(failure) = script.outcome_failures.pop_front()
            {
                script.refused_outcomes += 1;
                return Err(failure);
            }
            script.reports.push(Report::Event(event));
            Ok(())
        })?;
        Ok(Response::new(ActionEventResponse::default()))
    }

    type SubscribeToWorkflowRunsStream = ReceiverStream<Result<WorkflowRunEvent, Status>>;

    async fn subscribe_to_workflow_runs(
        &self,
        request: Request<Streaming<SubscribeToWorkflowRunsRequest>>,
    ) -> Reply<Self::SubscribeToWorkflowRunsStream> {
        let (sender, receiver) = mpsc::channel(64);
        let index = self.update(|script| {
            script.subscriptions.push((Vec::new(), sender));
            script.subscriptions.len() - 1
        });
        let (services, mut requests) = (self.clone(), request.into_inner());
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                services.update(|script| script.subscriptions[index].0.push(request.workflow_run_id));
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn unsubscribe(&self, request: Request<WorkerUnsubscribeRequest>) -> Reply<WorkerUnsubscribeResponse> {
        let worker = request.into_inner().worker_id;
        self.update(|script| {
            if script.unknown_workers.contains(&worker) {
                return Err(Status::not_found("worker not found"));
            }
            script.unsubscribed.push(worker);
            Ok(())
        })?;
        Ok(Response::new(WorkerUnsubscribeResponse::default()))
    }

    async fn get_version(&self, _: Request<GetVersionRequest>) -> Reply<GetVersionResponse> {
        self.update(|script| {
            script.version_calls += 1;
            script.version_failures.pop_front().map_or(Ok(()), Err)
        })?;
        Ok(Response::new(GetVersionResponse { version: "v0.1.0-alpha.0".to_owned() }))
    }

    type ListenStream = Empty<Result<AssignedAction, Status>>;

    async fn listen(&self, _: Request<WorkerListenRequest>) -> Reply<Self::ListenStream> {
        unscripted("Listen")
    }

    type SubscribeToWorkflowEventsStream = Empty<Result<WorkflowEvent, Status>>;

    async fn subscribe_to_workflow_events(
        &self,
        _: Request<SubscribeToWorkflowEventsRequest>,
    ) -> Reply<Self::SubscribeToWorkflowEventsStream> {
        self.update(|script| script.events_after.push(script.details_calls));
        unscripted("live events")
    }

    async fn send_batch_action_event(&self, _: Request<BatchActionEvent>) -> Reply<ActionEventResponse> {
        unscripted("batches")
    }

    async fn send_group_key_action_event(&self, _: Request<GroupKeyActionEvent>) -> Reply<ActionEventResponse> {
        unscripted("group keys")
    }

    async fn put_overrides_data(&self, _: Request<OverridesData>) -> Reply<OverridesDataResponse> {
        unscripted("overrides")
    }

    async fn refresh_timeout(&self, _: Request<RefreshTimeoutRequest>) -> Reply<RefreshTimeoutResponse> {
        unscripted("deadlines")
    }

    async fn release_slot(&self, _: Request<ReleaseSlotRequest>) -> Reply<ReleaseSlotResponse> {
        unscripted("slots")
    }

    async fn restore_evicted_task(&self, _: Request<RestoreEvictedTaskRequest>) -> Reply<RestoreEvictedTaskResponse> {
        unscripted("durable tasks")
    }

    async fn upsert_worker_labels(&self, _: Request<UpsertWorkerLabelsRequest>) -> Reply<UpsertWorkerLabelsResponse> {
        unscripted("labels")
    }
}
