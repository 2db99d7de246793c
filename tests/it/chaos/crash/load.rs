//! Load on the engine until it is killed: triggers, cancellations, events and schedules.

use std::{sync::Arc, time::Duration};

use hatchet_quickstart::hatchet::wire::{
    decode_detail,
    proto::{
        PushEventRequest, ScheduleWorkflowRequest,
        v1::{
            CancelTasksRequest, CreateTaskOpts, CreateWorkflowVersionRequest, IdempotencyCollisionError,
            IdempotencyConfig, TriggerWorkflowRequest,
        },
    },
};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use super::acknowledgements::{Acknowledged, Acknowledgements};
use crate::support::Target;

/// A workflow whose runs the worker completes, with one run for each key.
pub const KEYED: &str = "crash-keyed";
/// A workflow whose runs the worker completes, triggered by calls, events and schedules.
pub const PLAIN: &str = "crash-plain";
/// A workflow whose runs the worker leaves running until they are cancelled.
pub const BLOCKED: &str = "crash-blocked";
/// The event that triggers [`PLAIN`].
const EVENT: &str = "crash:event";

/// Returns a random number below a limit.
pub fn random(below: u64) -> u64 {
    (Uuid::new_v4().as_u128() % u128::from(below.max(1))) as u64
}

pub async fn declare(target: &Target) {
    for name in [KEYED, PLAIN, BLOCKED] {
        let task = CreateTaskOpts {
            readable_id: name.into(),
            action: format!("{name}:{name}"),
            timeout: "1h".into(),
            schedule_timeout: Some("1h".into()),
            inputs: "{}".into(),
            ..Default::default()
        };
        let mut definition =
            CreateWorkflowVersionRequest { name: name.into(), tasks: vec![task], ..Default::default() };
        match name {
            KEYED => {
                let expression = "input.key".into();
                definition.idempotency =
                    Some(IdempotencyConfig { expression, ttl_ms: 86_400_000, ..Default::default() });
            }
            PLAIN => definition.event_triggers = vec![EVENT.into()],
            _ => {}
        }
        target.admin().put_workflow(definition).await.unwrap();
    }
}

async fn trigger(target: &Target, name: &str, input: serde_json::Value) -> Result<String, Status> {
    let request = TriggerWorkflowRequest { name: name.into(), input: input.to_string(), ..Default::default() };
    Ok(target.workflows().trigger_workflow(request).await?.into_inner().workflow_run_id)
}

/// Triggers the run of a key. Returns the run, and whether it is new.
pub async fn trigger_key(target: &Target, key: &str) -> Result<(String, bool), Status> {
    match trigger(target, KEYED, json!({ "key": key })).await {
        Ok(run) => Ok((run, true)),
        Err(status) if status.code() == Code::AlreadyExists => {
            let name = "v1.IdempotencyCollisionError";
            let collision: IdempotencyCollisionError = decode_detail(status.details(), name).unwrap();
            Ok((collision.existing_run_external_id, false))
        }
        Err(status) => Err(status),
    }
}

#[derive(Clone)]
pub struct Load {
    pub target: Arc<Target>,
    pub acknowledged: Arc<Acknowledgements>,
    pub cycle: usize,
}

impl Load {
    /// Runs until the engine is killed.
    pub async fn run_until_failure(self) {
        tokio::join!(self.keys(), self.runs(), self.cancels(), self.events(), self.schedules());
    }

    async fn keys(&self) {
        for n in 0.. {
            let key = format!("{}-{n}", self.cycle);
            match trigger_key(&self.target, &key).await {
                Ok((run, is_new)) => {
                    assert!(is_new, "{key} is new");
                    self.acknowledged.record(Acknowledged::Run(run.clone()));
                    self.acknowledged.record(Acknowledged::Key { key, run });
                }
                Err(status) => return assert_killed(&status),
            }
        }
    }

    async fn runs(&self) {
        loop {
            match trigger(&self.target, PLAIN, json!({ "pad": "x".repeat(random(3000) as usize) })).await {
                Ok(run) => self.acknowledged.record(Acknowledged::Run(run)),
                Err(status) => return assert_killed(&status),
            }
        }
    }

    async fn cancels(&self) {
        loop {
            let run = match trigger(&self.target, BLOCKED, json!({})).await {
                Ok(run) => run,
                Err(status) => return assert_killed(&status),
            };
            if random(2) == 0 {
                tokio::time::sleep(Duration::from_millis(random(5))).await;
            }
            let request = CancelTasksRequest { external_ids: vec![run.clone()], filter: None };
            match self.target.admin().cancel_tasks(request).await {
                Ok(_) => self.acknowledged.record(Acknowledged::Cancelled(run)),
                Err(status) => return assert_killed(&status),
            }
        }
    }

    async fn events(&self) {
        loop {
            let request = PushEventRequest { key: EVENT.into(), payload: "{}".into(), ..Default::default() };
            match self.target.events().push(request).await {
                Ok(event) => self.acknowledged.record(Acknowledged::Event(event.into_inner().event_id)),
                Err(status) => return assert_killed(&status),
            }
            tokio::time::sleep(Duration::from_millis(random(20))).await;
        }
    }

    async fn schedules(&self) {
        loop {
            let time = std::time::SystemTime::now() + Duration::from_millis(random(1500));
            let marker = uuid::Uuid::new_v4().to_string();
            let request = ScheduleWorkflowRequest {
                name: PLAIN.into(),
                schedules: vec![time.into()],
                input: "{}".into(),
                additional_metadata: Some(serde_json::json!({ "schedule": marker }).to_string()),
                ..Default::default()
            };
            match self.target.workflows().schedule_workflow(request).await {
                Ok(created) => {
                    created.into_inner().scheduled_workflows.into_iter().for_each(|schedule| {
                        self.acknowledged.record(Acknowledged::Schedule { id: schedule.id, marker: marker.clone() });
                    });
                }
                Err(status) => return assert_killed(&status),
            }
            tokio::time::sleep(Duration::from_millis(random(20))).await;
        }
    }
}

/// Asserts that a call failed because the engine was killed.
fn assert_killed(status: &Status) {
    assert!(
        matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal),
        "{status:?}"
    );
}
