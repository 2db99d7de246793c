//! Validation of requests: converts messages of the wire and plain values into the types that `state` accepts.
//!
//! gRPC and REST validate through these functions, so both accept the same. Stored definitions are validated again when
//! they are loaded. Nothing here reads or changes the state; where a rule depends on a workflow's version, the caller
//! passes it. Errors are of one type, [`Invalid`], which each protocol turns into its own response.
//!
//! | module | from | to |
//! |---|---|---|
//! | `definition` | `CreateWorkflowVersionRequest` | `Definition` |
//! | `trigger` | `TriggerWorkflowRequest` or a `RunTemplate` | `TriggerItem` |
//! | `template` | the workflow, payloads and priority of a run | `RunTemplate` |
//! | `event` | `PushEventRequest` | `PushedEvent` |
//! | `event_filter` | the fields of an event filter | `FilterRule` |
//! | `registration` | `WorkerRegisterRequest` | `Registration` |
//! | `report` | `StepActionEvent` | `AttemptReport` |
//! | `log_line` | `PutLogRequest` | `NewLogLine` |
//! | `filter` | filters by status and metadata | `RunFilter` and its parts |
//! | `json` | inputs, metadata, outputs, errors | texts that can be stored and sent |
//! | `field` | ids, names, priorities | their types |
//! | `error` | the reason of a refusal | [`Invalid`] |

pub(super) mod definition;
mod error;
pub(super) mod event;
pub(super) mod event_filter;
pub(super) mod field;
pub(super) mod filter;
mod json;
pub(super) mod log_line;
pub(super) mod registration;
pub(super) mod report;
pub(super) mod template;
pub(super) mod trigger;

pub(super) use error::{Invalid, InvalidKind, unsupported};
pub(super) use json::ERROR_TOO_LARGE;
