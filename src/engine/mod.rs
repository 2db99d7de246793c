//! The embedded engine: Hatchet's gRPC services, a part of its REST API and a dashboard, in this process.
//!
//! It is meant for development, for tests and for a single machine. It uses the wire protocol only, and neither the
//! client nor the worker of this crate, so a client that works with it is evidence about the protocol.
//!
//! ```no_run
//! use hatchet_quickstart::engine::{Engine, EngineOptions};
//!
//! # async fn run() -> Result<(), hatchet_quickstart::engine::EngineError> {
//! let engine = Engine::start(EngineOptions::default()).await?;
//! println!("listening on {}", engine.handshake().grpc_address);
//! engine.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! A request passes the modules from top to bottom; each uses only modules below it.
//!
//! ```text
//! lifecycle     start, stop, data folder, handshake file
//!     |
//!   http        connections, authentication, host validation, routes
//!     |
//!  grpc  rest  dashboard     one file per service or resource
//!     |    |
//!   validate    request messages and plain values -> types of the state
//!     |
//!   driver      clock, lock, delivery to streams, persistence of changes
//!     |     \
//!   state    persistence     the pure state machine   |   rows, commit barrier, SQLite
//!     |
//!  cron  expression    cron expressions; CEL (`cel`) of idempotency keys, limits, conditions and filters
//! ```
//!
//! `options`, `error` and `file_id` define types that several modules share.
//!
//! # Durability
//!
//! With a data folder, and unless it is [ephemeral](EngineOptions::ephemeral), the engine persists all acknowledged
//! changes in `engine.db` in the folder. No response and no stream message leaves the engine before the state that it
//! reports is written. So a crash of the process (`kill -9`) loses no acknowledged change. A loss of power can lose the
//! last changes, since the engine does not wait for the disk. A folder is used by one engine at a time.
//!
//! After a restart on the folder:
//!
//! - Open runs continue. Queued tasks keep their positions. Backoffs and timeouts keep their end times.
//! - A worker in another process has [`Timings::worker_lease`] to reconnect. It keeps its id and its tasks. Heartbeats
//!   are not persisted, so the restart counts as a heartbeat.
//! - A worker in the engine's own process ([`Engine::in_process_handshake`]) ends with the engine, so its tasks are
//!   queued again immediately.
//! - Sleeps of conditions keep their ends, and events that have met a condition count. Pauses, filters and deletions of
//!   workflows persist.
//! - A scheduled run whose time has passed starts immediately. Missed times of crons are skipped, as in a real engine.
//! - Streams, subscriptions, and chunks that wait for a chunk with a lower index are lost.
//!
//! While the file cannot be written, no change is acknowledged. Calls in progress fail with UNAVAILABLE and the reason
//! after 3 s, and new calls fail immediately. Normal operation resumes when the file can be written again.
//!
//! # Clocks
//!
//! - Schedules and crons follow the wall clock. After the clock was set forward or the machine was suspended, due runs
//!   start within 10 s; a cron starts a single run, however many of its times were skipped. If the clock is set back,
//!   nothing starts twice: a cron waits for the time after its last run, or follows the new time immediately if the
//!   clock was set back by 3 h or more.
//! - Timeouts, leases, backoffs, idempotency keys and the age of finished runs follow the monotonic clock, which
//!   cannot be set. On Linux it pauses while the machine is suspended. The time between two starts is taken from the
//!   wall clock.
//! - Displayed times follow the wall clock but never decrease, even across restarts: if the clock is set back, they do
//!   not advance until it has caught up.
//! - Finished runs are removed in the order in which they finished.
//! - If the engine itself was suspended, as by SIGSTOP, every worker gets a new lease before it can lose its tasks.
//!   Other timers do not account for the suspension, as in a real engine.
//!
//! # Limits
//!
//! - Durable tasks and batch tasks are not supported. A definition that uses them is refused with their names; their
//!   methods return UNIMPLEMENTED. The other workflows of the same worker can be declared and run.
//! - OpenTelemetry traces are accepted and dropped.
//! - The engine keeps the last [`EngineOptions::keep_finished`] finished runs and the same number of events, events up
//!   to 64 MiB in total. It keeps 1000 log lines for each task, and 64 MiB of them in total.
//! - A task's input and its output must each be 8 KiB smaller than the largest message. A task fails if its input and
//!   the outputs of the completed tasks of its run together do not fit into a message.
//! - There is no rate limit on calls.
//! - The REST API accepts loopback host names only, unless the engine listens on another address; see
//!   [`EngineOptions::bind`]. It accepts changes of a web page only from its own origin.
//!
//! # Deliberate differences from a real engine
//!
//! Triggers and definitions:
//!
//! - A trigger of an unknown workflow fails with INVALID_ARGUMENT, `workflow names not found: X`, instead of returning
//!   the id of a run that never exists.
//! - An invalid definition is INVALID_ARGUMENT with the name of the field, even where a real engine returns INTERNAL.
//! - A cron expression that never fires is refused, and over REST also an invalid expression. A duplicate cron in a
//!   definition counts once. Time zones need the system's zone data.
//! - `TriggerWorkflowRun` validates JSON as `TriggerWorkflow` does.
//! - An idempotency expression that yields no string, or costs more than a few milliseconds, fails the trigger with the
//!   reason. For an event, a schedule or a cron, the run is skipped and the reason is logged. Bytes, time zones of
//!   timestamps and string extensions of CEL are not supported; an expression is nested at most 60 deep.
//! - A condition of a task whose expression does not compile, whose event key is empty, or whose parent is not a parent
//!   of the task is refused; a real engine accepts it, and the condition is never met. The same applies to event
//!   filters.
//! - The only task of a workflow may have conditions; on a real engine its run never exists.
//! - A group of conditions with a parent and a sleep or an event is met by one of them; a real engine waits for both. A
//!   cancel condition on one of several parents cancels the task; a real engine also waits for a failure of the others.
//! - A task that waits for its conditions is cancelled with its run.
//! - An event never meets a condition of a run that it triggers itself.
//! - A pause with an invalid time to live is refused.
//! - An event starts a workflow once, or once for each filter that it matches, even if several of its keys match. An
//!   event with an empty payload starts runs too, with the input `null`.
//! - An event can be pushed over REST, as the published API describes; a real engine refuses every such call with 400.
//! - Inputs and outputs are stored byte for byte; a real engine sorts keys and converts numbers to floats.
//! - `traceparent` is not added to the metadata. Action ids are converted to lower case.
//!
//! Scheduling and attempts:
//!
//! - The schedule timeout of a task that waits for its concurrency group fires when it is due; a real engine checks it
//!   only when the group changes. Shared rules, limits by expression and the strategies that limit the waiting runs are
//!   supported, as in real engines from v0.106.3.
//! - Units of a rate limit are given at the beginning of its window; a real engine polls every second. A pause of a
//!   rate limit is supported, as in real engines from v0.114. A rule with a fixed key for which there is no rate limit
//!   is refused with the name of the field. A rule with a computed key and no limit leaves the limit of the key alone;
//!   a real engine sets it to 0. The limit that a rule with a computed key has set is removed at the end of its window,
//!   at the earliest after 10 s, unless a task waits for its units; the next task with the key sets it again. A real
//!   engine lists it forever.
//! - The delay before a retry that a failed attempt chooses (`retry_after_ms`) replaces the backoff, as in real engines
//!   from v0.111; earlier ones ignore it. The SDKs send it only to an engine that reports such a version.
//! - A task that waits for units of a rate limit has one REQUEUED_RATE_LIMIT event for each wait; a real engine adds
//!   one for each attempt to take the units.
//! - Workflows take turns at a worker; priorities apply within a workflow.
//! - Timers fire when they are due; a real engine polls every second, and a backoff can take half a minute longer
//!   after an idle time.
//! - The stop of an attempt that timed out is sent before the next attempt, not after it.
//! - A report about an attempt that has finished is ignored.
//! - Assignments that a broken stream did not deliver are queued again immediately, like the tasks of a lost worker. An
//!   assignment that a worker has not acknowledged when it opens a new stream is sent again as the same attempt. A real
//!   engine never sends it again, so that a lost assignment ends with its execution timeout.
//! - A released slot is free immediately, and the task that released it can still be stopped.
//! - `Unsubscribe` ends the assignment of tasks, but the stream stays open for stops. A worker with an older open
//!   stream stays active when its newest stream ends.
//! - A worker without a stream and without a heartbeat for an hour is removed.
//! - A parent's output that is not an object is an empty object for its children; a real engine never starts them.
//! - An assignment has the outputs of the tasks that have completed since the last replay; a real engine adds those
//!   from before the replay.
//! - Cancelling a run also cancels its on-failure task. Replaying a task also replays the tasks that depend on it, and
//!   its parents that have not completed.
//!
//! Reading and streams:
//!
//! - A run is visible everywhere before its trigger returns. gRPC and REST agree, except where a real engine always
//!   differs: a task that exceeded its schedule timeout is CANCELLED over gRPC and FAILED over REST, and over REST a
//!   timeout has no error text.
//! - Over REST, a completed run has no error, even if one of its attempts failed. A task starts with its assignment,
//!   not with the worker's first report. All tasks of a run have its creation time, which their display names contain.
//! - An open run of several tasks shows the status of each task; a real engine shows a completed task as QUEUED and
//!   without output until all tasks are final.
//! - The error of a task that lost too many workers is the same over gRPC and REST.
//! - An event stream by run id ends with the run, not after each attempt. A late subscriber receives the last event of
//!   each task and the end of the run. An unknown run id is NOT_FOUND immediately. A timed-out attempt is reported as
//!   FAILED too.
//! - A chunk that is not UTF-8 is refused; a real engine then breaks the stream of every subscriber.
//! - The stream of a subscriber or worker that does not read is closed with RESOURCE_EXHAUSTED.
//! - REST refuses an unknown or malformed filter; a real engine ignores it and lists everything. It also refuses to
//!   cancel or replay by a filter without `since`; a real engine returns OK and finds nothing.
//! - Task events are the last 64 of each task, available as soon as they occur.

#[cfg(feature = "cel")]
mod cel;
mod cron;
mod dashboard;
mod driver;
mod error;
mod expression;
mod file_id;
mod grpc;
mod http;
mod lifecycle;
mod options;
#[cfg_attr(
    not(feature = "durable"),
    allow(dead_code, reason = "without the feature only the SQLite store is left out")
)]
mod persistence;
mod rest;
#[cfg_attr(
    not(feature = "durable"),
    allow(dead_code, reason = "without the feature only the SQLite store is left out")
)]
mod state;
#[cfg(test)]
mod tests;
mod validate;
#[cfg(feature = "testing")]
mod virtual_engine;

pub use error::{EngineError, EngineErrorKind};
pub use lifecycle::{Announcement, Engine, find};
pub use options::{EngineOptions, Rest, Timings};
#[cfg(feature = "testing")]
pub(crate) use virtual_engine::VirtualEngine;
