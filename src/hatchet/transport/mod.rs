//! The connection to an engine: settings, dialing, TLS, authentication, retries, liveness.

mod auth_grace;
mod authenticated;
pub(in crate::hatchet) mod call_deadline;
pub(in crate::hatchet) mod config;
pub(in crate::hatchet) mod connection;
mod diagnose;
pub(in crate::hatchet) mod dial;
pub(in crate::hatchet) mod error;
mod link;
mod liveness;
pub(in crate::hatchet) mod retry;

pub use authenticated::Authenticated;
pub use config::{
    ClientConfig, ENV_FILES, Proxies, Rediscovery, Source, Sources, Tls, Token, embedded_folder, parse_integer,
    token_claims,
};
pub use connection::Connection;
pub use diagnose::{ProbeResult, diagnose, explain_probe, explain_unanswered, probe_address};
pub use error::{ClientError, ErrorKind};
