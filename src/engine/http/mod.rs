//! The listener: connections, authentication, and the routes of gRPC, REST and the dashboard.

mod connections;
pub(super) mod server;
pub(super) mod token;
