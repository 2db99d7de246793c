//! Hatchet's gRPC services.
//!
//! Each method validates its message (`validate`), applies one event to the state machine through the driver, and
//! converts the outcome into a message. The driver returns only after the change is persisted. Response messages are
//! built only here, except for assignments, whose size the driver limits.
//!
//! | service | file |
//! |---|---|
//! | `Dispatcher`: workers, their reports, subscriptions | `dispatcher`; the subscriptions' streams: `streams` |
//! | `WorkflowService`: triggers and schedules | `workflows`, `trigger` |
//! | `v1.AdminService`: definitions, run details, cancel, replay | `admin`, `run_details` |
//! | `EventsService`: events, log lines, stream chunks | `events` |
//! | OpenTelemetry's `TraceService`: accepts spans and drops them | `traces` |
//! | `v1.V1Dispatcher`: durable tasks, which this engine does not support | `v1_dispatcher` |
//!
//! `error` converts the engine's errors into statuses.

mod admin;
mod dispatcher;
mod error;
mod events;
mod run_details;
mod streams;
mod traces;
mod trigger;
mod v1_dispatcher;
mod workflows;

use std::sync::Arc;

use tonic::{codec::CompressionEncoding, service::Routes};

use super::driver::Driver;
use crate::hatchet::wire::proto::{
    dispatcher_server::DispatcherServer,
    events_service_server::EventsServiceServer,
    v1::{admin_service_server::AdminServiceServer, v1_dispatcher_server::V1DispatcherServer},
    workflow_service_server::WorkflowServiceServer,
};

/// The version that the engine reports: the newest version whose features it has. SDKs choose their protocol by it.
const VERSION: &str = "v0.101.27";

/// The process that sent a request. The HTTP server adds it to the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// The engine's own process, so the client ends with the engine.
    SameProcess,
    /// Any other process.
    OtherProcess,
}

/// Implements all services.
#[derive(Clone)]
struct Services {
    driver: Arc<Driver>,
}

/// All services. They accept gzip, which every SDK sends, and respond uncompressed, which every SDK accepts.
pub(super) fn routes(driver: &Arc<Driver>) -> Routes {
    let services = || Services { driver: driver.clone() };
    let max = driver.max_message;
    macro_rules! service {
        ($server:ident) => {
            // Responses consist of payloads whose size was checked when they arrived: a limit could only break a
            // stream.
            $server::new(services())
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
        .add_service(traces::TraceService { max_message: max })
}
