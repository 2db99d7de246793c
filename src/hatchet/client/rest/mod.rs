//! The REST API of an engine: what gRPC has no call for.
//!
//! One file per resource: [`RunSummary`] and [`RunPages`], [`WorkerSummary`], workflows. Lists are read to their end page
//! by page. The REST store of a real engine lags behind its gRPC API by up to seconds.

mod http;
mod pages;
mod row;
mod runs;
mod workers;
mod workflows;

use std::time::SystemTime;

use tonic::codegen::http::{Method, header};

pub use self::{
    row::Metadata,
    runs::{RunPages, RunSummary},
    workers::{SlotUse, WorkerSummary},
};
use super::{ClientError, Connection};
use crate::hatchet::wire::TenantId;

/// A client of an engine's REST API. Cheap to clone.
///
/// Each call opens a connection of its own, with the proxy and TLS settings of gRPC. It takes at most 10 s, reads at most
/// 16 MiB, and follows no redirect.
#[derive(Clone)]
pub struct RestClient {
    /// Has the current address and token.
    connection: Connection,
}

impl RestClient {
    /// `None` if the settings have no REST address.
    pub(super) fn new(connection: Connection) -> Option<Self> {
        connection.config().server_url.as_ref()?;
        Some(Self { connection })
    }

    /// The clock of the REST API, to the second, from the header of a response; `None` without that header.
    pub async fn clock(&self) -> Result<Option<SystemTime>, ClientError> {
        // A refusal has the header too.
        let (_, answer) = self.send(Method::GET, "/api/v1/meta", &[], None).await?;
        let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| httpdate::parse_http_date(date).ok()))
    }

    fn tenant(&self) -> TenantId {
        self.connection.config().tenant
    }
}
