//! Starts runs.

use std::{collections::HashSet, fmt, sync::Arc};

use prost::Message as _;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use super::{
    Client, ClientError, ErrorKind, collision,
    retry::{if_not_done, retrying},
};
use crate::hatchet::wire::{RunId, check_object, proto, proto::v1};

/// Most runs in one bulk call: the Python SDK's number.
const BULK_ITEMS: usize = 1_000;
/// Bytes of one bulk call are kept this far below the limit, for what the message adds around its items.
const BULK_MARGIN: usize = 4 * 1024;
/// Bulk calls under way at once.
const BULK_CALLS: usize = 4;

/// What a run is started with beside its input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TriggerOptions {
    /// Pairs that the run can be found and filtered by.
    pub additional_metadata: Map<String, Value>,
    /// 1 to 3; the task's default where none is given.
    pub priority: Option<u8>,
}

/// A started run.
#[derive(Clone)]
pub struct RunHandle {
    client: Client,
    id: RunId,
}

/// What became of one item of a bulk trigger.
pub type BulkItem = Result<RunHandle, ClientError>;

impl RunHandle {
    pub(super) fn new(client: Client, id: RunId) -> Self {
        Self { client, id }
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// The client it was made with.
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Debug for RunHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunHandle({})", self.id)
    }
}

impl Client {
    /// Starts a run of the workflow `name` (in the settings' namespace) and comes back when the engine has taken it.
    ///
    /// The input must be a JSON object. Errors: [`ErrorKind::Invalid`] for what an engine would refuse,
    /// [`ErrorKind::TooLarge`] over the message limit, [`ErrorKind::Duplicate`] where an idempotency key is taken.
    /// A real engine answers with the id of a run that never comes to be when it does not know the name.
    pub async fn trigger(
        &self,
        name: &str,
        input: &impl Serialize,
        options: &TriggerOptions,
    ) -> Result<RunHandle, ClientError> {
        let request = self.request(name, input, options)?;
        let call = format!("trigger {name}");
        let answer = retrying(if_not_done, || {
            let (mut stub, request) = (self.connection().workflows(), request.clone());
            let call = &call;
            async move { stub.trigger_workflow(request).await.map_err(|status| refused(call, name, status)) }
        })
        .await?;
        Ok(RunHandle::new(self.clone(), run_id(&answer.into_inner().workflow_run_id)?))
    }

    /// Starts many runs of one workflow, in the order given. Each item has its own outcome: a refused input or a
    /// taken idempotency key fails that item alone. Split into calls of at most 1,000 items and the message limit,
    /// four of them under way at once.
    pub async fn trigger_many<I: Serialize>(
        &self,
        name: &str,
        inputs: impl IntoIterator<Item = (I, TriggerOptions)>,
    ) -> Vec<BulkItem> {
        let mut outcomes: Vec<Option<BulkItem>> = Vec::new();
        let mut calls: Vec<Vec<(usize, v1::TriggerWorkflowRequest)>> = vec![Vec::new()];
        let limit = self.config().max_send_message.saturating_sub(BULK_MARGIN);
        let mut bytes = 0;
        for (index, (input, options)) in inputs.into_iter().enumerate() {
            outcomes.push(None);
            match self.request(name, &input, &options) {
                Err(error) => outcomes[index] = Some(Err(error)),
                Ok(request) => {
                    // A length prefix takes at most 5 bytes, its tag 1.
                    let size = request.encoded_len() + 6;
                    if calls
                        .last()
                        .is_none_or(|call| call.len() == BULK_ITEMS || (bytes + size > limit && !call.is_empty()))
                    {
                        calls.push(Vec::new());
                        bytes = 0;
                    }
                    bytes += size;
                    if let Some(call) = calls.last_mut() {
                        call.push((index, request));
                    }
                }
            }
        }
        let permits = Arc::new(Semaphore::new(BULK_CALLS));
        let calls = calls.into_iter().filter(|call| !call.is_empty()).map(|call| {
            let permits = permits.clone();
            async move {
                let _permit = permits.acquire().await;
                self.bulk_call(name, call).await
            }
        });
        for call in futures_util::future::join_all(calls).await {
            for (index, outcome) in call {
                outcomes[index] = Some(outcome);
            }
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(lost()))).collect()
    }

    async fn bulk_call(&self, name: &str, items: Vec<(usize, v1::TriggerWorkflowRequest)>) -> Vec<(usize, BulkItem)> {
        let (indexes, workflows): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        let call = format!("trigger {} runs of {name}", indexes.len());
        let answer = retrying(if_not_done, || {
            let (mut stub, workflows) = (self.connection().workflows(), workflows.clone());
            let call = &call;
            async move {
                stub.bulk_trigger_workflow(proto::BulkTriggerWorkflowRequest { workflows })
                    .await
                    .map_err(|status| refused(call, name, status))
            }
        })
        .await;
        match answer {
            Ok(answer) => {
                let mut ids = answer.into_inner().workflow_run_ids.into_iter();
                let outcome = |id: Option<String>| match id {
                    Some(id) => run_id(&id).map(|id| RunHandle::new(self.clone(), id)),
                    None => Err(lost()),
                };
                indexes.into_iter().map(|index| (index, outcome(ids.next()))).collect()
            }
            // The answer names what collided but not its place, so each item is asked for on its own: those that
            // started hold their key by now and come back as duplicates of themselves.
            Err(error) => match error.status().and_then(collision::bulk) {
                Some(collision) => self.settle_collision(name, indexes, workflows, &collision).await,
                None => indexes.into_iter().map(|index| (index, Err(again(&error)))).collect(),
            },
        }
    }

    /// Finds out, one by one, what each item of a partly refused bulk call became.
    async fn settle_collision(
        &self,
        name: &str,
        indexes: Vec<usize>,
        workflows: Vec<v1::TriggerWorkflowRequest>,
        collision: &v1::BulkTriggerIdempotencyCollisionError,
    ) -> Vec<(usize, BulkItem)> {
        let mut settled = Vec::with_capacity(indexes.len());
        // Two items with one key: the first is the run, the second its duplicate.
        let mut started: HashSet<&str> =
            collision.successful_workflow_run_external_ids.iter().map(String::as_str).collect();
        for (index, request) in indexes.into_iter().zip(workflows) {
            let call = format!("trigger {name}");
            let outcome = match self.connection().workflows().trigger_workflow(request).await {
                Ok(answer) => run_id(&answer.into_inner().workflow_run_id).map(|id| RunHandle::new(self.clone(), id)),
                Err(status) => {
                    let error = ClientError::from_status(&call, status);
                    match error.kind() {
                        ErrorKind::Duplicate(Some(run)) if started.remove(run.to_string().as_str()) => {
                            Ok(RunHandle::new(self.clone(), run))
                        }
                        _ => Err(error),
                    }
                }
            };
            settled.push((index, outcome));
        }
        settled
    }

    fn request(
        &self,
        name: &str,
        input: &impl Serialize,
        options: &TriggerOptions,
    ) -> Result<v1::TriggerWorkflowRequest, ClientError> {
        let bad = |message: String| ClientError::new(ErrorKind::Invalid, message);
        let input = serde_json::to_string(input)
            .map_err(|e| bad(format!("the input of {name} cannot be written as JSON: {e}")))?;
        check_object(&input).map_err(|e| bad(format!("the input of {name} is {e}")))?;
        let additional_metadata = if options.additional_metadata.is_empty() {
            None
        } else {
            let json = serde_json::to_string(&options.additional_metadata)
                .map_err(|e| bad(format!("the metadata cannot be written as JSON: {e}")))?;
            check_object(&json).map_err(|e| bad(format!("the metadata is {e}")))?;
            Some(json)
        };
        if let Some(priority) = options.priority.filter(|p| !(1..=3).contains(p)) {
            return Err(bad(format!("priority is {priority}: it goes from 1 to 3")));
        }
        let request = v1::TriggerWorkflowRequest {
            name: self.config().namespaced(name),
            input,
            additional_metadata,
            priority: options.priority.map(i32::from),
            ..Default::default()
        };
        let (size, limit) = (request.encoded_len(), self.config().max_send_message);
        if size > limit {
            return Err(ClientError::new(
                ErrorKind::TooLarge,
                format!(
                    "the input of {name} makes a message of {size} bytes, over the limit of {limit}: send less, or raise \
                     the engine's limit and HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH"
                ),
            ));
        }
        Ok(request)
    }
}

/// Why a trigger was refused. The embedded engine looks the name up at once, and a busy real one does now and then;
/// only the text tells that from other invalid arguments.
fn refused(call: &str, name: &str, status: tonic::Status) -> ClientError {
    if status.code() == tonic::Code::InvalidArgument && status.message().contains("workflow names not found") {
        let message =
            format!("{call}: the engine knows no workflow of this name: start a worker that registers {name}");
        return ClientError::new(ErrorKind::NotFound, message).with_source(status);
    }
    ClientError::from_status(call, status)
}

fn run_id(text: &str) -> Result<RunId, ClientError> {
    text.parse().map_err(|e| ClientError::new(ErrorKind::Engine, format!("the engine's answer cannot be read: {e}")))
}

fn lost() -> ClientError {
    ClientError::new(ErrorKind::Engine, "the engine answered with fewer runs than were asked for")
}

/// The same failure for another item.
fn again(error: &ClientError) -> ClientError {
    ClientError::new(error.kind(), error.to_string())
}
