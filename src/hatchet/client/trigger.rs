//! Starts runs.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prost::Message as _;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Client, ClientError, Connection, ErrorKind,
    retry::{if_not_done, retrying},
};
use crate::hatchet::wire::{RunId, check_object, proto::v1};

/// What a run is started with beside its input.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TriggerOptions {
    /// Pairs that the run can be found and filtered by.
    pub additional_metadata: Map<String, Value>,
    /// 1 to 3; the task's default where none is given.
    pub priority: Option<u8>,
}

/// A run that this client has triggered may not be known to a busy real engine for a moment: one under load was seen to
/// need 1 s.
const TRIGGERED_PATIENCE: Duration = Duration::from_secs(10);
/// Twice that second, for an id that somebody gives, who waits for the answer that it is wrong.
const GIVEN_PATIENCE: Duration = Duration::from_secs(2);

/// A started run.
#[derive(Clone)]
pub struct RunHandle {
    client: Client,
    id: RunId,
    /// It was triggered by this client.
    triggered: bool,
    /// The engine has shown that it knows the run, to this handle or a clone.
    seen: Arc<AtomicBool>,
}

impl RunHandle {
    /// A run that this client has just triggered.
    pub(super) fn triggered(client: Client, id: RunId) -> Self {
        Self { client, id, triggered: true, seen: Arc::default() }
    }

    /// A run by an id that was given.
    pub(super) fn given(client: Client, id: RunId) -> Self {
        Self { client, id, triggered: false, seen: Arc::default() }
    }

    /// A run that the engine does not know for this long is not coming, or not coming back.
    pub(super) fn patience(&self) -> Duration {
        if self.triggered || self.was_seen() { TRIGGERED_PATIENCE } else { GIVEN_PATIENCE }
    }

    /// Notes that the engine knows the run.
    pub(super) fn saw(&self) {
        self.seen.store(true, Ordering::Relaxed);
    }

    /// Whether it ever did.
    pub(super) fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    /// What it means that the engine does not know the run and is not going to.
    pub(super) fn unknown(&self) -> ClientError {
        let id = self.id;
        if self.was_seen() {
            return ClientError::new(
                ErrorKind::Lost,
                format!(
                    "the engine no longer knows run {id}, which it knew before: it was restarted without its data, or \
                     has dropped the run since: start it again if its work is still wanted"
                ),
            );
        }
        let remedy = if self.triggered {
            "no workflow has the name that it was triggered by: start a worker that registers it"
        } else {
            "check the id, and that the run is one of this engine"
        };
        let patience = self.patience();
        let message = format!("run {id} is not known to the engine, which was asked for {patience:?}: {remedy}");
        ClientError::new(ErrorKind::NotFound, message)
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
            async move {
                stub.trigger_workflow(request).await.map_err(|status| refused(self.connection(), call, name, status))
            }
        })
        .await?;
        Ok(RunHandle::triggered(self.clone(), run_id(&answer.into_inner().workflow_run_id)?))
    }

    pub(super) fn request(
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
pub(super) fn refused(connection: &Connection, call: &str, name: &str, status: tonic::Status) -> ClientError {
    if status.code() == tonic::Code::InvalidArgument && status.message().contains("workflow names not found") {
        let message =
            format!("{call}: the engine knows no workflow of this name: start a worker that registers {name}");
        return ClientError::new(ErrorKind::NotFound, message).with_source(status);
    }
    connection.failed(call, status)
}

pub(super) fn run_id(text: &str) -> Result<RunId, ClientError> {
    text.parse().map_err(|e| ClientError::new(ErrorKind::Engine, format!("the engine's answer cannot be read: {e}")))
}
