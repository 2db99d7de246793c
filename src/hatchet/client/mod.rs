//! Triggers runs and waits for their results.
//!
//! ```no_run
//! use hatchet_quickstart::prelude::*;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order { items: Vec<String> }
//! #[derive(Serialize, Deserialize)]
//! struct Reserved { warehouse: String }
//!
//! const RESERVE: Stub<Order, Reserved> = Stub::new("reserve");
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = Client::from_env()?;
//!     let order = Order { items: vec!["pen".into()] };
//!     let reserved = client.run(&RESERVE, &order).await?; // triggers a run and waits for its output
//!     println!("{}", reserved.warehouse);
//!
//!     let run = client.run_no_wait(&RESERVE, &order).metadata("team", "a").await?;
//!     println!("{} is {}", run.id(), run.status().await?);
//!     println!("{}", run.result().await?.warehouse);
//!     Ok(())
//! }
//! ```
//!
//! | call | returns |
//! |---|---|
//! | [`Client::run`] | the output |
//! | [`Client::run_no_wait`] | a [`RunRef`]: id, status, result, events, cancel, replay |
//! | [`Client::run_many`], [`Client::run_many_no_wait`] | the same for many inputs, in order |
//! | [`Client::run_by_name`] | JSON, for a name that is known at run time only |
//! | [`Client::run_or_attach`] | a [`RunRef`] to a new run, or to the run that holds its idempotency key |
//! | [`Client::run_ref`] | a [`RunRef`] for the id of an earlier run |
//! | [`Client::schedule`], [`Client::cron`] | runs that start later |
//! | [`Client::push_event`], [`Client::push_events`] | events, which start runs |
//! | [`Client::rest`] | lists and changes of runs, workflows, workers, schedules, crons, events, filters |
//!
//! Each module uses only modules to the right of it:
//!
//! ```text
//!  call, events, later ──▶ trigger ──▶ span ──▶ runs ──▶ stream ──▶ handle (Client) ──▶ watcher ──▶ rest ──▶ transport
//! ```

mod call;
mod events;
mod handle;
mod later;
mod limits;
mod rest;
mod run_error;
mod runs;
mod span;
mod stream;
mod template;
mod trigger;
mod watcher;

pub(crate) use self::trigger::{Parent, TriggerOptions, may_have_started};
pub use self::{
    call::{Run, RunItem, RunMany, RunManyNoWait, RunNoWait},
    events::{NewEvent, PushEvent, PushedEvent},
    handle::{Client, TRIGGER_KEY},
    later::{CronRef, NewCron, Schedule, ScheduleAt, ScheduleRef},
    rest::{
        Cron, CronFilter, EventFilter, Filter, PausedRuns, RateLimitState, ResourceMetadata, RestClient, RunFilter,
        RunPages, RunSummary, ScheduleFilter, ScheduledRun, SlotUse, StoredEvent, StoredLogLine, TaskEvent,
        TriggeredRun, WorkerSummary, WorkflowSummary,
    },
    run_error::{RunError, RunFailure},
    runs::{Outcomes, RunRef, RunUpdate, RunUpdates},
    stream::{RunEvent, RunEventKind, RunEvents, StreamSelector},
    watcher::{RunDetails, RunOutcome, TaskDetails},
};
pub(in crate::hatchet) use self::{limits::desired_label, rest::TaskRow};
pub use crate::hatchet::transport::{
    Authenticated, ClientConfig, ClientError, Connection, ErrorKind, Proxies, Source, Sources, Tls, Token,
};
pub(crate) use crate::hatchet::transport::{
    ENV_FILES, ProbeResult, diagnose, embedded_folder, explain_no_response, explain_probe, parse_integer,
    probe_address, token_claims,
};
