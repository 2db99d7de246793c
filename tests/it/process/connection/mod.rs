//! Addresses, tokens, TLS and proxies.

mod address;
mod proxy;
mod secret;
mod servers;
mod tls;

pub(super) use servers::{HTTP2_SETTINGS, RestStub, silent_server, start_server, tls_engine};
