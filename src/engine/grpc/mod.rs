//! The gRPC doors: each turns a message into an event of the state machine and the answer into a message.

mod admin;
pub(super) mod collision;
mod dispatcher;
mod durable;
mod events;
mod workflows;

use std::sync::Arc;

use tonic::{Status, codec::CompressionEncoding, service::Routes};

use super::driver::Driver;
use crate::hatchet::wire::proto::{
    dispatcher_server::DispatcherServer,
    events_service_server::EventsServiceServer,
    v1::{admin_service_server::AdminServiceServer, v1_dispatcher_server::V1DispatcherServer},
    workflow_service_server::WorkflowServiceServer,
};

/// What the engine says its version is: the newest whose features it has; SDKs choose their protocol by it.
const VERSION: &str = "v0.101.27";

/// Who sent a request. The HTTP server adds it to the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// A client in the engine's own process, which ends with it.
    SameProcess,
    /// Any other client.
    OtherProcess,
}

/// Every service answers from the same driver.
#[derive(Clone)]
struct Door {
    driver: Arc<Driver>,
}

/// All services. They take gzip, as every SDK sends it, and answer plain, which every SDK takes.
pub(super) fn routes(driver: &Arc<Driver>) -> Routes {
    let door = || Door { driver: driver.clone() };
    let max = driver.max_message;
    macro_rules! service {
        ($server:ident) => {
            // What goes out was measured when it came in: a limit here could only break a stream.
            $server::new(door())
                .accept_compressed(CompressionEncoding::Gzip)
                .max_decoding_message_size(max)
                .max_encoding_message_size(usize::MAX)
        };
    }
    Routes::new(service!(DispatcherServer))
        .add_service(service!(WorkflowServiceServer))
        .add_service(service!(EventsServiceServer))
        .add_service(service!(AdminServiceServer))
        .add_service(service!(V1DispatcherServer))
}

/// For what the contract has and this engine does not.
pub(super) fn not_here(feature: &str) -> Status {
    Status::unimplemented(format!(
        "{feature}: this embedded engine does not have it yet; a real Hatchet has (set HATCHET_CLIENT_TOKEN)"
    ))
}
