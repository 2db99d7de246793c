//! The registrations of a worker process with the engine, each with its stream of assignments and its heartbeats.
//!
//! A process registers as one worker for its async and blocking tasks and as a second worker for its CPU tasks
//! (`registration::definition` has the reason). Each registration has one supervisor, which runs one session after another:
//!
//! ```text
//!              ┌──────────── backoff ◀──────────────┐
//!              ▼                                    │ stream or heartbeat failed
//!  register ─▶ session: stream + heartbeats ────────┤
//!      ▲        │  │  │                             │
//!      │        │  │  └─ first heartbeat accepted: the registration is listening
//!      │        │  └─ token refused: the worker ends with the error
//!      │        └─ intake stopped: idle until the drain ends
//!      └─ the worker id is unknown to the engine: registered again under a new id
//! ```
//!
//! - Stream and heartbeats form one session: if either fails, both are opened again, so a worker is never half
//!   connected.
//! - A reopened session keeps the worker's id. Running attempts are not affected. Assignments that were lost with the
//!   connection are found and started (`lost_assignments`).
//! - A draining worker never registers again: the drain has paused only the workers that were registered at its start.
//! - `states` combines the state of all sessions into the state of the process.

mod backoff;
mod heartbeat;
mod initial;
mod label_changes;
mod lost_assignments;
mod outage_log;
mod registration;
mod states;
mod stream;
mod supervisor;
mod unsubscribe;

pub(super) use initial::register_initially;
pub(super) use label_changes::send_label_changes;
pub(super) use registration::worker_definitions;
pub(super) use states::SessionStates;
pub(super) use supervisor::supervise;
pub(super) use unsubscribe::unsubscribe;
