//! The connection to an engine: settings, dialing, TLS, authentication, retries, liveness.
//!
//! ```text
//!  Connection ── Engine (settings, token) ── Link (one gRPC channel) ── dial (proxy, TCP, TLS)
//!      │                                       │
//!      │ dispatcher(), admin(), …              │ Activity: bytes, outstanding calls
//!      ▼                                       ▼
//!  generated stubs over Authenticated ◀── liveness::Monitor closes a dead link
//! ```
//!
//! - A call ends with its response, at its deadline ([`call_deadline`]), or when its connection is dead ([`liveness`]).
//! - [`Connection::call_error`] converts the status of a failed call to a [`ClientError`]. [`retry`] defines which
//!   failed calls are repeated.
//! - The REST API uses the same settings, proxies and TLS configuration, on separate connections ([`dial`]).
//!
//! This is the only module that names tonic's transport. It does not depend on clients and workers.

mod auth_grace;
mod authenticated;
mod call_deadline;
mod config;
mod connection;
mod diagnose;
mod dial;
mod error;
#[cfg(test)]
pub(in crate::hatchet) mod fixtures;
mod link;
mod liveness;
mod retry;

pub use self::{
    authenticated::Authenticated,
    config::{ClientConfig, Proxies, Source, Sources, Tls, Token},
    connection::Connection,
    error::{ClientError, ErrorKind},
};
pub(in crate::hatchet) use self::{
    call_deadline::{DEFAULT_TIMEOUT, with_timeout},
    config::ServerUrl,
    connection::{USER_AGENT, response_messages},
    dial::{ConnectError, Dialer, HttpError, Protocol, SharedTls, exchange},
    error::{root_cause, untrusted_certificate},
    retry::{Backoff, RegistrationTimeout, retry, retry_until, when_temporary},
};
pub(crate) use self::{
    config::{ENV_FILES, embedded_folder, parse_integer, token_claims},
    diagnose::{ProbeResult, diagnose, explain_no_response, explain_probe, probe_address},
};
