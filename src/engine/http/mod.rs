//! The engine's HTTP server: listeners, authentication, and the routes of gRPC, REST and the dashboard.
//!
//! All protocols share each port. A request passes these steps:
//!
//! ```text
//! connection (bounded)  ->  Host, Origin, unless gRPC  ->  token  ->  call limit  ->  gRPC service or REST resource
//! connections               browser                        authentication             routed in server
//! ```
//!
//! The dashboard's files are the only responses without a token.

mod authentication;
mod browser;
mod connections;
mod grpc_call;
mod server;
mod token;

pub(super) use server::{Service, serve};
pub(super) use token::{KEY_BYTES, Tokens, new_key};
