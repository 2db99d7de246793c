//! Rate limits.

use std::{cmp::Ordering, sync::Arc};

use axum::{
    Router,
    extract::{RawQuery, State as AxumState},
    routing::get,
};
use serde_json::json;

use super::{
    ApiError,
    request::{page::Page, query},
    response::{json_object::JsonObject, list::ListResponse, rfc3339},
};
use crate::engine::{
    driver::Driver,
    state::{ClockReading, State, rate_limits::RateLimit},
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new().route("/api/v1/tenants/{tenant}/rate-limits", get(list))
}

/// The order of the list.
#[derive(Default)]
struct Order {
    field: Field,
    is_descending: bool,
}

#[derive(Default)]
enum Field {
    #[default]
    Key,
    Value,
    Limit,
}

impl Order {
    fn parse(&mut self, key: &str, value: &str) -> Result<(), ApiError> {
        match (key, value.to_ascii_lowercase().as_str()) {
            ("orderByField", "key") => self.field = Field::Key,
            ("orderByField", "value") => self.field = Field::Value,
            ("orderByField", "limitvalue") => self.field = Field::Limit,
            ("orderByDirection", "asc") => self.is_descending = false,
            ("orderByDirection", "desc") => self.is_descending = true,
            ("orderByField", _) => {
                return Err(ApiError::bad_request(format!("invalid {key} {value:?}: use key, value or limitValue")));
            }
            _ => return Err(ApiError::bad_request(format!("invalid {key} {value:?}: use asc or desc"))),
        }
        Ok(())
    }

    /// Compares two limits, and equal ones by their keys.
    fn compare(&self, a: &(Arc<str>, i64, i64), b: &(Arc<str>, i64, i64)) -> Ordering {
        let by_field = match self.field {
            Field::Key => a.0.cmp(&b.0),
            Field::Value => a.1.cmp(&b.1),
            Field::Limit => a.2.cmp(&b.2),
        };
        let by_field = if self.is_descending { by_field.reverse() } else { by_field };
        by_field.then_with(|| a.0.cmp(&b.0))
    }
}

async fn list(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> Result<ListResponse, ApiError> {
    let (mut order, mut search) = (Order::default(), String::new());
    for (key, value) in query::pairs(query.as_deref()).filter(|(key, _)| key.starts_with("orderBy")) {
        order.parse(&key, &value)?;
    }
    let page = Page::default().parse(query.as_deref(), |key, value| {
        if key != "search" {
            return Err(query::unknown(key));
        }
        search = value;
        Ok(())
    })?;
    let mut limits: Vec<(Arc<str>, i64, i64)> = driver
        .with(|state, now| {
            let found = state.rate_limits().filter(|(key, _)| key.contains(&search));
            found.map(|(key, limit)| (key.clone(), limit.at(now).0, limit.limit)).collect()
        })
        .await?;
    limits.sort_by(|a, b| order.compare(a, b));
    let keys = limits.into_iter().map(|(key, ..)| key).collect();
    Ok(ListResponse::new(&driver, &page, keys, |driver, state: &State, now, key: &Arc<str>| {
        Some(row(driver, key, state.rate_limit(key)?, now))
    })
    .await?)
}

fn row(driver: &Driver, key: &str, limit: &RateLimit, now: ClockReading) -> JsonObject {
    let (value, refilled) = limit.at(now);
    JsonObject::from_value(json!({
        "tenantId": driver.tenant.to_string(),
        "key": key,
        "limitValue": limit.limit,
        "value": value,
        "window": format!("1 {}", limit.window.name()),
        "lastRefill": rfc3339(refilled),
    }))
}
