//! A worker over raw gRPC, in the process of the test. It registers once and listens again after every kill.

use std::{sync::Arc, time::Duration};

use hatchet_quickstart::hatchet::wire::proto::{
    ActionType, AssignedAction, PutLogRequest, StepActionEvent, StepActionEventType, WorkerListenRequest,
    WorkerRegisterRequest,
};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    acknowledgements::{Acknowledged, Acknowledgements},
    load::{BLOCKED, KEYED, PLAIN, random},
};
use crate::support::Target;

pub struct RawWorker {
    target: Arc<Target>,
    acknowledged: Arc<Acknowledgements>,
    id: String,
    /// Attempts whose completion has not been acknowledged.
    open: Vec<AssignedAction>,
    /// Number of the current stream.
    stream: u32,
}

impl RawWorker {
    pub async fn register(target: &Arc<Target>, acknowledged: &Arc<Acknowledgements>) -> Self {
        let request = WorkerRegisterRequest {
            worker_name: "worker".into(),
            actions: [KEYED, PLAIN, BLOCKED].map(|name| format!("{name}:{name}")).to_vec(),
            slots: Some(100_000),
            ..Default::default()
        };
        let id = target.dispatcher().register(request).await.unwrap().into_inner().worker_id;
        Self { target: target.clone(), acknowledged: acknowledged.clone(), id, open: Vec::new(), stream: 0 }
    }

    /// Executes assignments until `stop` is cancelled, across all restarts of the engine.
    pub async fn work(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                lost = self.session() => {
                    let status = lost.err();
                    let is_known = status.as_ref().is_none_or(|status| status.code() != tonic::Code::NotFound);
                    assert!(is_known, "the engine no longer has the worker: {status:?}");
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn session(&mut self) -> Result<(), Status> {
        let request = WorkerListenRequest { worker_id: self.id.clone() };
        // `Listen` and not `ListenV2`: the open stream replaces heartbeats.
        self.stream += 1;
        let mut stream = self.target.dispatcher().listen(request).await?.into_inner();
        loop {
            while let Some(action) = self.open.last().cloned() {
                self.finish(&action).await?;
                self.open.pop();
            }
            let Some(action) = stream.next().await.transpose()? else { return Ok(()) };
            if action.action_type() != ActionType::StartStepRun {
                continue;
            }
            if self.acknowledged.has_completed(&action.workflow_run_id, action.retry_count, self.stream) {
                continue;
            }
            if !action.action_id.starts_with(BLOCKED) {
                self.open.push(action.clone());
            }
            if random(2) == 0 {
                self.report(&action, StepActionEventType::StepEventTypeStarted, "").await?;
            }
        }
    }

    async fn finish(&self, action: &AssignedAction) -> Result<(), Status> {
        let run = action.workflow_run_id.clone();
        if random(3) == 0 {
            let message = format!("line {}", random(u64::MAX));
            let line =
                PutLogRequest { task_run_external_id: run.clone(), message: message.clone(), ..Default::default() };
            self.target.events().put_log(line).await?;
            self.acknowledged.record(Acknowledged::Line { run: run.clone(), message });
        }
        // Equal for every attempt, because the engine may have stored the output before it was killed.
        let output = format!(r#"{{"of":"{run}"}}"#);
        self.report(action, StepActionEventType::StepEventTypeCompleted, &output).await?;
        self.acknowledged.completed(run, output, action.retry_count, self.stream);
        Ok(())
    }

    async fn report(&self, action: &AssignedAction, kind: StepActionEventType, payload: &str) -> Result<(), Status> {
        let event = StepActionEvent {
            worker_id: self.id.clone(),
            task_run_external_id: action.task_run_external_id.clone(),
            retry_count: Some(action.retry_count),
            event_type: kind.into(),
            event_payload: payload.into(),
            ..Default::default()
        };
        self.target.dispatcher().send_step_action_event(event).await?;
        Ok(())
    }
}
