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
//! - A call ends: with its response, at its deadline ([`call_deadline`]), or when its connection is dead ([`liveness`]).
//! - A failed call becomes a [`ClientError`] through [`Connection::call_error`], and [`retry`] decides what is repeated.
//! - The REST API uses the same settings, proxies and TLS configuration, on connections of its own ([`dial`]).
//!
//! This is the only module that names tonic's transport. It knows nothing of clients and workers.

mod auth_grace;
mod authenticated;
mod call_deadline;
mod config;
mod connection;
mod diagnose;
mod dial;
mod error;
mod link;
mod liveness;
mod retry;

pub use self::{
    authenticated::Authenticated,
    config::{
        ClientConfig, ENV_FILES, Proxies, Rediscovery, Source, Sources, Tls, Token, embedded_folder, parse_integer,
        token_claims,
    },
    connection::Connection,
    diagnose::{ProbeResult, diagnose, explain_probe, explain_unanswered, probe_address},
    error::{ClientError, ErrorKind},
};
pub(in crate::hatchet) use self::{
    call_deadline::{DEFAULT_TIMEOUT, with_timeout},
    config::ServerUrl,
    connection::{USER_AGENT, response_messages},
    dial::{ConnectError, Dialer, HttpError, Protocol, SharedTls, exchange, root_cause},
    error::untrusted_certificate,
    retry::{Backoff, RegistrationTimeout, retry, retry_until, when_temporary},
};
