//! The part of Hatchet's REST API that SDKs, the dashboard, and this crate's runner, doctor and benchmark use.
//!
//! Each resource has a file with its routes. Responses have the fields that SDKs require. Unlike a real engine, the API
//! refuses parameters that it does not know, so that a filter never silently selects everything.
//!
//! | resource | file |
//! |---|---|
//! | workflow runs, their stream chunks | `runs` |
//! | tasks and their logs, cancelling and replaying | `tasks` |
//! | the history of tasks | `task_events` |
//! | numbers of tasks and runs | `metrics` |
//! | rate limits | `rate_limits` |
//! | workflows: versions, pause, deletion | `workflows` |
//! | workers and the tenant | `workers` |
//! | scheduled runs, crons, events | `schedules`, `crons`, `events` |
//! | event filters, evaluation of their expressions | `filters` |
//!
//! All of them parse requests with `request` and write responses with `response`.

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware::from_fn_with_state};

use self::request::check_tenant;
use super::driver::Driver;

mod crons;
mod error;
mod events;
mod filters;
mod metrics;
mod rate_limits;
mod request;
mod response;
mod runs;
mod schedules;
mod task_events;
mod tasks;
mod workers;
mod workflows;

pub(super) use error::ApiError;

pub(super) fn routes(driver: Arc<Driver>) -> Router {
    Router::new()
        .merge(workers::routes())
        .merge(workflows::routes())
        .merge(runs::routes())
        .merge(tasks::routes())
        .merge(task_events::routes())
        .merge(metrics::routes())
        .merge(rate_limits::routes())
        .merge(schedules::routes())
        .merge(crons::routes())
        .merge(events::routes())
        .merge(filters::routes())
        .route_layer(from_fn_with_state(driver.clone(), check_tenant))
        // The same limit as that of a gRPC message.
        .layer(DefaultBodyLimit::max(driver.max_message))
        .with_state(driver)
}
