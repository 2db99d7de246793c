//! Everything that can be asked of the engine, again and again until it is dead.

use std::{sync::Arc, time::Duration};

use hatchet_quickstart::hatchet::wire::{
    proto::{
        PushEventRequest, ScheduleWorkflowRequest,
        v1::{
            CancelTasksRequest, CreateTaskOpts, CreateWorkflowVersionRequest, IdempotencyCollisionError,
            IdempotencyConfig, TriggerWorkflowRequest,
        },
    },
    read_detail,
};
use serde_json::json;
use tonic::{Code, Status};
use uuid::Uuid;

use super::acknowledgements::{Book, Kept};
use crate::support::Target;

/// Completed by the worker; one run a key.
pub const KEYED: &str = "crash-keyed";
/// Completed by the worker; started by calls, events and schedules.
pub const PLAIN: &str = "crash-plain";
/// Left running by the worker until it is cancelled.
pub const HELD: &str = "crash-held";
/// What starts a run of [`PLAIN`].
const EVENT: &str = "crash:event";

/// Below a bound.
pub fn random(below: u64) -> u64 {
    (Uuid::new_v4().as_u128() % u128::from(below.max(1))) as u64
}

pub async fn declare(target: &Target) {
    for name in [KEYED, PLAIN, HELD] {
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

/// The run of a key, and whether it was made now.
pub async fn of_key(target: &Target, key: &str) -> Result<(String, bool), Status> {
    match trigger(target, KEYED, json!({ "key": key })).await {
        Ok(run) => Ok((run, true)),
        Err(status) if status.code() == Code::AlreadyExists => {
            let name = "v1.IdempotencyCollisionError";
            let collision: IdempotencyCollisionError = read_detail(status.details(), name).unwrap();
            Ok((collision.existing_run_external_id, false))
        }
        Err(status) => Err(status),
    }
}

#[derive(Clone)]
pub struct Load {
    pub target: Arc<Target>,
    pub book: Arc<Book>,
    pub cycle: usize,
}

impl Load {
    /// Ends when the engine is dead.
    pub async fn until_it_fails(self) {
        tokio::join!(self.keys(), self.runs(), self.cancels(), self.events(), self.schedules());
    }

    async fn keys(&self) {
        for n in 0.. {
            let key = format!("{}-{n}", self.cycle);
            match of_key(&self.target, &key).await {
                Ok((run, made)) => {
                    assert!(made, "{key} is new");
                    self.book.note(Kept::Run(run.clone()));
                    self.book.note(Kept::Key { key, run });
                }
                Err(status) => return dead(&status),
            }
        }
    }

    async fn runs(&self) {
        loop {
            match trigger(&self.target, PLAIN, json!({ "pad": "x".repeat(random(3000) as usize) })).await {
                Ok(run) => self.book.note(Kept::Run(run)),
                Err(status) => return dead(&status),
            }
        }
    }

    async fn cancels(&self) {
        loop {
            let run = match trigger(&self.target, HELD, json!({})).await {
                Ok(run) => run,
                Err(status) => return dead(&status),
            };
            if random(2) == 0 {
                tokio::time::sleep(Duration::from_millis(random(5))).await;
            }
            let request = CancelTasksRequest { external_ids: vec![run.clone()], filter: None };
            match self.target.admin().cancel_tasks(request).await {
                Ok(_) => self.book.note(Kept::Cancelled(run)),
                Err(status) => return dead(&status),
            }
        }
    }

    async fn events(&self) {
        loop {
            let request = PushEventRequest { key: EVENT.into(), payload: "{}".into(), ..Default::default() };
            match self.target.events().push(request).await {
                Ok(event) => self.book.note(Kept::Event(event.into_inner().event_id)),
                Err(status) => return dead(&status),
            }
            tokio::time::sleep(Duration::from_millis(random(20))).await;
        }
    }

    async fn schedules(&self) {
        loop {
            let at = std::time::SystemTime::now() + Duration::from_millis(random(1500));
            let mark = uuid::Uuid::new_v4().to_string();
            let request = ScheduleWorkflowRequest {
                name: PLAIN.into(),
                schedules: vec![at.into()],
                input: "{}".into(),
                additional_metadata: Some(serde_json::json!({ "schedule": mark }).to_string()),
                ..Default::default()
            };
            match self.target.workflows().schedule_workflow(request).await {
                Ok(made) => {
                    made.into_inner().scheduled_workflows.into_iter().for_each(|it| {
                        self.book.note(Kept::Schedule { id: it.id, mark: mark.clone() });
                    });
                }
                Err(status) => return dead(&status),
            }
            tokio::time::sleep(Duration::from_millis(random(20))).await;
        }
    }
}

/// A call may fail only because there is no engine.
fn dead(status: &Status) {
    assert!(
        matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal),
        "{status:?}"
    );
}
