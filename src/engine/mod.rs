//! The embedded development engine: Hatchet's gRPC services and a small REST part, in this process.
//!
//! It is for development, tests and single machines. It speaks only the wire: it knows neither the client nor the
//! worker nor any task of this crate, so that what works with it is evidence about the protocol.
//!
//! ```no_run
//! use hatchet_quickstart::engine::{Engine, EngineOptions};
//!
//! # async fn run() -> Result<(), hatchet_quickstart::engine::EngineError> {
//! let engine = Engine::start(EngineOptions::default()).await?;
//! println!("token and address: {}", engine.handshake().grpc_address);
//! engine.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! | step | file |
//! |---|---|
//! | start, stop, the thread | `running`; the folder with lock, key and handshake: `folder` |
//! | one port for both protocols, one check of the token | `serve`, `token`; connections and their bounds: `incoming` |
//! | a page to look at it all | `rest::look`; whose pages may ask: `host` |
//! | messages in and out | `grpc`, `rest` |
//! | the state machine: pure, with its picture | `state`, `state::attempt` |
//! | clock, lock, delivery of effects | `driver`; queues that never make it wait: `mailbox` |
//! | what a restart must not lose | noted by `state::kept`, made rows by `state::save`, a state again by `state::load` |
//! | the file with these rows | `keeping`, `store`; no answer before them: `gate` |
//! | who waits for runs and who watches them | `subscriptions` |
//! | idempotency expressions | `idempotency`, evaluated within a cost limit by `cel` |
//!
//! # What a restart keeps
//!
//! With a folder, and unless it is [ephemeral](EngineOptions::ephemeral), the engine keeps all that it has acknowledged
//! in `engine.db` there: no answer and no message of a stream goes out before what it says is written. `kill -9` at any
//! moment loses nothing of it. A loss of power may: the disk is not waited for. Only one engine holds the folder.
//!
//! - Open runs go on: queued ones in their places, those in back-off when it is over, timeouts when they are due.
//! - A worker of another process has [`Timings::worker_dead`] to listen again, under its id and with what it runs, as
//!   if it had just been heard. Its heartbeats are not kept: it can only be given up later by that, never too early.
//! - A worker in the engine's process ([`Engine::own_handshake`]) has died with it: what it ran is queued again at once.
//! - A schedule that was missed starts at once; times of crons that were missed are not made up for, as with a real
//!   engine. Both follow the wall clock. Other waits are never longer than they were to be, wherever the clock was set.
//! - Not kept: streams and who waits on them, chunks that wait for a gap.
//! - While the file cannot be written, nothing is acknowledged: calls end with UNAVAILABLE and the reason after some
//!   seconds, new ones at once; when it can be written again all goes on.
//!
//! # The clocks
//!
//! Schedules and crons follow the wall clock: when it is set, or the machine wakes, they start within 10 s what has
//! become due; a cron once, however many of its times were leapt over. When it is set back nothing starts twice: a cron
//! waits until the time after its last one comes, or goes by the new time at once if that is 3 h earlier or more.
//! Times that are shown go forward with it and never back, from one start to the next: they stand still until it has
//! caught up. Timeouts, leases, back-off, the ends of idempotency keys and the age of finished runs go by a clock that
//! nobody sets, and that stands still while the machine sleeps, under Linux. Only what has passed between two starts is
//! taken from the wall clock, as it is at the second. What is forgotten first is what ended first, whatever the times.
//! When that clock shows that the engine itself stood still, as after SIGSTOP, every worker gets a fresh lease before
//! anything is taken from it; other waits go on as if nothing had been, as with a real engine.
//!
//! # What it does not do
//!
//! Conditions, concurrency groups, rate limits,
//! sticky workers and affinity, event filters, durable and batch tasks are refused by name, at declaration or with
//! UNIMPLEMENTED. Of finished runs and of events the last [`EngineOptions::keep_finished`] are kept (of events 64 MiB
//! at most), of log lines 1000 a task and 64 MiB in all. A task's input and output must leave 8 KiB of the largest
//! message free; a task whose input and parents' outputs together do not fit a message fails.
//!
//! # Where it differs from a real engine on purpose
//!
//! - Triggering an unknown workflow is INVALID_ARGUMENT `workflow names not found: X`, never an id without a run.
//! - A run is visible everywhere before its trigger is answered; gRPC and REST say the same at all times, so a
//!   schedule timeout is CANCELLED in both.
//! - Cancelling or replaying by a filter without its `since` over REST is refused; a real engine answers OK and finds
//!   nothing.
//! - A filter over REST that this engine does not know, or that cannot be read, is refused; a real engine ignores it and
//!   lists everything.
//! - Input and output are kept byte for byte; a real engine sorts keys and turns numbers into floats.
//! - `TriggerWorkflowRun` checks its JSON as `TriggerWorkflow` does.
//! - An idempotency expression that yields no string, or costs more than a few milliseconds, refuses the trigger and
//!   says why; no run vanishes silently. For an event, a schedule or a cron the run is left out and the log says why.
//!   Expressions have no bytes, timestamps, durations or string extensions, and are nested at most 60 deep.
//! - A run of several tasks shows how each one stands while it is open; a real engine shows a completed one as QUEUED
//!   and without its output until all are final. Cancelling a run cancels its on-failure task too. Replaying one task
//!   runs again what depends on it, and those of its parents that have not completed.
//! - A parent's output that is no object is an empty one to its children; a real engine never starts them then.
//! - An event starts a workflow once, however many of its keys fit. One with an empty payload starts runs too, with
//!   the input `null`.
//! - A cron expression that never fires is refused, and over REST also one that is none; a real engine takes both and
//!   forgets them. One that is named twice in a declaration counts once. Time zones need the system's zone data.
//! - Workflows take turns at a worker; priorities count within a workflow only.
//! - Terminal events for an attempt that has ended are ignored: what has ended stays as it ended.
//! - The stop of a timed-out attempt is sent before the next attempt, not after it.
//! - Timers fire when they are due: no polling second, no half minute of back-off after an idle time.
//! - What a broken stream has not read is queued again at once, as a lost worker's task is. What a worker has said
//!   nothing of when it listens anew is sent again, as the same attempt; a real engine never does, and a lost
//!   assignment ends at its execution timeout.
//! - A released slot is free at once, and the task that released it can still be stopped.
//! - Unsubscribe ends the assignment of work; the stream stays, for stops. A worker with an older stream open stays
//!   active when its newest one ends.
//! - A worker that is silent for an hour without a stream is forgotten.
//! - The error of a task that lost too many workers is the same over gRPC as in REST.
//! - Event streams by run id hang up at the true end of the run, not after each attempt; one that comes late is told
//!   the last events of the tasks and the end. An unknown run id is NOT_FOUND at once. A timed-out attempt is announced
//!   as FAILED too.
//! - A chunk that is not UTF-8 is refused, where a real engine breaks every subscriber's stream.
//! - A subscriber or worker that leaves too much unread is hung up on with RESOURCE_EXHAUSTED.
//! - The REST part answers under loopback names only; see [`EngineOptions::bind`]. Task events of a run or task are the
//!   last 64 of each task, and are there as soon as they happened.
//! - `traceparent` is not added to the metadata. There is no rate limit on calls. Action ids are lower-cased.
//! - Errors that a real engine reports as INTERNAL for bad declarations are INVALID_ARGUMENT and name the field.

#[cfg(feature = "cel")]
mod cel;
mod cron;
mod dashboard;
mod driver;
mod error;
mod file_id;
mod grpc;
mod http;
mod lifecycle;
mod options;
#[cfg_attr(not(feature = "durable"), allow(dead_code, reason = "only the file is left out of such a build"))]
mod persistence;
mod rest;
#[cfg_attr(not(feature = "durable"), allow(dead_code, reason = "only the file is left out of such a build"))]
mod state;
#[cfg(test)]
mod tests;
mod validate;

pub use error::{EngineError, EngineErrorKind};
pub use lifecycle::{Announcement, Engine, find};
pub use options::{EngineOptions, Rest, Timings};
