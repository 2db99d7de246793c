//! Connections to a server through proxy, TCP and TLS, for both gRPC and REST.
//!
//! ```text
//!  Connector (gRPC channel) ─┐                ┌─ tunnel (through a proxy) ─┐
//!                            ├─▶ Dialer ──────┤                            ├─▶ tcp ─▶ byte counters ─▶ tls
//!  http::exchange (REST) ────┘                └────────────────────────────┘
//! ```

mod dialer;
mod error;
mod http;
mod tcp;
mod tls;
mod tunnel;

pub(super) use self::{
    dialer::{Connector, open},
    error::io_source,
};
pub(in crate::hatchet) use self::{
    dialer::{Dialer, Protocol},
    error::ConnectError,
    http::{HttpError, exchange},
    tls::SharedTls,
};
