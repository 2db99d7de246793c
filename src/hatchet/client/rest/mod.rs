//! The REST API of an engine, for queries that gRPC has no call for.
//!
//! One file per resource: runs, tasks and their logs, workflows, workers, schedules, crons, events, filters, rate
//! limits, metrics. Lists are read to their end page by page. The REST store of a real engine lags behind its gRPC API
//! by up to seconds.

mod crons;
mod events;
mod filters;
mod http;
mod list;
mod logs;
mod metrics;
mod rate_limits;
mod runs;
mod schedules;
mod tasks;
mod workers;
mod workflows;

use std::{fmt, time::SystemTime};

use tonic::codegen::http::{Method, header};

pub(in crate::hatchet) use self::tasks::TaskRow;
pub use self::{
    crons::{Cron, CronFilter},
    events::{EventFilter, StoredEvent, TriggeredRun},
    filters::Filter,
    list::ResourceMetadata,
    logs::StoredLogLine,
    rate_limits::RateLimitState,
    runs::{RunFilter, RunPages, RunSummary},
    schedules::{ScheduleFilter, ScheduledRun},
    tasks::TaskEvent,
    workers::{SlotUse, WorkerSummary},
    workflows::{PausedRuns, WorkflowSummary},
};
use super::{ClientError, Connection};
use crate::hatchet::wire::TenantId;

/// A client of an engine's REST API. Cheap to clone.
///
/// Each call opens its own connection, with the proxy and TLS settings of gRPC. It takes at most 10 s, reads at most
/// 16 MiB, and follows no redirect.
///
/// ```no_run
/// # use hatchet_quickstart::prelude::*;
/// # async fn example(client: Client) -> Result<(), ClientError> {
/// if let Some(rest) = client.rest() {
///     for worker in rest.workers().await? {
///         println!("{} is {}", worker.name, worker.status);
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// By [`ClientError::kind`]: [`ErrorKind::Config`](super::ErrorKind::Config) for an invalid address,
/// [`ErrorKind::Unreachable`](super::ErrorKind::Unreachable), [`ErrorKind::Tls`](super::ErrorKind::Tls) or
/// [`ErrorKind::TimedOut`](super::ErrorKind::TimedOut) without a response, and the kind of the response's status
/// otherwise. Calls are not repeated.
#[derive(Clone)]
pub struct RestClient {
    /// The source of the current address and token.
    connection: Connection,
}

impl RestClient {
    /// `None` if the settings have no REST address.
    pub(super) fn new(connection: Connection) -> Option<Self> {
        connection.config().server_url.as_ref()?;
        Some(Self { connection })
    }

    /// Returns the clock of the REST API, to the second, from the header of a response; `None` without that header.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`], except that the response's status is ignored.
    pub async fn clock(&self) -> Result<Option<SystemTime>, ClientError> {
        // A refusal has the header too.
        let (_, response) = self.send(Method::GET, "/api/v1/meta", &[], None).await?;
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()))
    }

    fn tenant(&self) -> TenantId {
        self.connection.config().tenant
    }
}

impl fmt::Debug for RestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestClient").field("server_url", &self.connection.config().server_url).finish_non_exhaustive()
    }
}
