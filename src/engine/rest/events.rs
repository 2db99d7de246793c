//! Pushed events and the runs that they started.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json, Router,
    extract::{RawQuery, State as AxumState},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    ApiError,
    request::{
        Body, PathParam, body, object_text,
        page::{LastPage, Page},
        query,
    },
    response::{
        JsonResponse,
        json_object::{JsonObject, Payload},
        list::ListResponse,
        resource_metadata, rfc3339,
    },
};
use crate::{
    engine::{
        driver::Driver,
        state::{Event, Origin, Run, State, Timestamp, metadata::PairFilter},
        validate::{
            event::validate_event_parts,
            filter::{parse_metadata_pair, parse_status},
        },
    },
    hatchet::wire::{RunId, RunStatus},
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tenants/{tenant}/events", get(list))
        .route("/api/v1/stable/tenants/{tenant}/events/keys", get(list_keys))
        .route("/api/v1/stable/tenants/{tenant}/events/{event}", get(get_event))
        .route("/api/v1/events/{event}/data", get(get_data))
        .route("/api/v1/tenants/{tenant}/events", post(push))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewEvent {
    key: String,
    data: Value,
    additional_metadata: Option<Value>,
    priority: Option<i32>,
    scope: Option<String>,
}

/// Pushes an event. The route is part of Hatchet's published API; a real engine refuses all of its calls and leaves
/// events to gRPC, which a web page cannot speak.
async fn push(AxumState(driver): AxumState<Arc<Driver>>, new: Body<NewEvent>) -> Result<JsonObject, ApiError> {
    let NewEvent { key, data, additional_metadata, priority, scope } = body(new)?;
    if key.is_empty() {
        return Err(ApiError::bad_request("event key is required"));
    }
    let payload = object_text("data", Some(data))?.unwrap_or_default();
    let metadata = object_text("additionalMetadata", additional_metadata)?;
    let event = validate_event_parts(&key, &payload, metadata.as_deref(), priority, scope, driver.max_message)?;
    let pushed = driver.push_events(vec![event]).await?;
    let (id, _) = pushed.into_iter().next().ok_or_else(ApiError::not_found)?;
    read(&driver, id).await
}

/// A filter of events. Absent criteria match all. An event matches the metadata if it has every pair.
#[derive(Default)]
struct Filter {
    keys: Vec<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    workflows: Vec<Uuid>,
    statuses: Vec<RunStatus>,
    ids: Vec<Uuid>,
    metadata: PairFilter,
    scopes: Vec<String>,
}

impl Filter {
    fn parse(&mut self, key: &str, value: String) -> Result<(), ApiError> {
        match key {
            "keys" => self.keys.push(value),
            "since" => self.since = Some(query::time(key, &value)?),
            "until" => self.until = Some(query::time(key, &value)?),
            "workflowIds" => self.workflows.push(query::parse(key, &value)?),
            "workflowRunStatuses" => self.statuses.push(parse_status(&value)?),
            "eventIds" => self.ids.push(query::parse(key, &value)?),
            "additionalMetadata" => self.metadata.add(parse_metadata_pair(&value)?),
            "scopes" => self.scopes.push(value),
            other => return Err(query::unknown(other)),
        }
        Ok(())
    }

    fn matches(&self, state: &State, id: Uuid, event: &Event) -> bool {
        let mut runs = event.runs.iter().filter_map(|id| state.run(*id)).map(|(_, run)| run);
        (self.keys.is_empty() || self.keys.iter().any(|key| **key == *event.key))
            && self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at <= until)
            && (self.ids.is_empty() || self.ids.contains(&id))
            && self.metadata.matches_all(&event.metadata)
            && (self.scopes.is_empty() || event.scope.as_ref().is_some_and(|scope| self.scopes.contains(scope)))
            && (self.workflows.is_empty() && self.statuses.is_empty()
                || runs.any(|run| {
                    (self.workflows.is_empty() || self.workflows.contains(&run.version.workflow_id))
                        && (self.statuses.is_empty() || self.statuses.contains(&state.rest_status(run)))
                }))
    }
}

async fn list(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> Result<ListResponse, ApiError> {
    let mut filter = Filter::default();
    let page = Page::default()
        .last_page(LastPage::ItselfUnlessFull)
        .parse(query.as_deref(), |key, value| filter.parse(key, value))?;
    let ids = driver
        .with(|state, _| {
            let events = state.events().filter(|(id, event)| filter.matches(state, *id, event));
            events.map(|(id, _)| id).collect::<Vec<Uuid>>()
        })
        .await?;
    let list = ListResponse::new(&driver, &page, ids, |driver, state, _, id| {
        state.event(*id).map(|event| object(driver, state, *id, event))
    });
    Ok(list.await?)
}

/// The keys of the retained events, sorted.
async fn list_keys(AxumState(driver): AxumState<Arc<Driver>>) -> JsonResponse {
    let keys: BTreeSet<Arc<str>> =
        driver.with(|state, _| state.events().map(|(_, event)| event.key.clone()).collect()).await?;
    Ok(Json(json!({ "rows": keys.iter().map(|key| &**key).collect::<Vec<_>>() })))
}

async fn get_event(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
) -> Result<JsonObject, ApiError> {
    read(&driver, id).await
}

async fn read(driver: &Driver, id: Uuid) -> Result<JsonObject, ApiError> {
    driver
        .with(|state, _| {
            let event = state.event(id).ok_or_else(ApiError::not_found)?;
            Ok(object(driver, state, id, event))
        })
        .await?
}

/// The payload of an event as a text.
async fn get_data(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
) -> Result<JsonObject, ApiError> {
    driver
        .with(|state, _| {
            let event = state.event(id).ok_or_else(ApiError::not_found)?;
            let mut object = JsonObject::default();
            object.payload("data", Payload::Text(event.input.clone()));
            Ok(object)
        })
        .await?
}

fn object(driver: &Driver, state: &State, id: Uuid, event: &Event) -> JsonObject {
    let mut object = JsonObject::from_value(json!({
        "metadata": resource_metadata(id, event.at),
        "key": *event.key,
        "tenantId": driver.tenant.to_string(),
        "seenAt": rfc3339(event.at),
        "workflowRunSummary": run_counts(state, event),
        "triggeredRuns": triggered_runs(state, event),
    }));
    if let Some(scope) = &event.scope {
        object.set("scope", scope.as_str());
    }
    object.payload("payload", Payload::Json(event.input.clone()));
    object.payload("additionalMetadata", Payload::Json(event.metadata.clone()));
    object
}

/// The numbers of the event's runs by status.
fn run_counts(state: &State, event: &Event) -> Map<String, Value> {
    let names = ["queued", "running", "succeeded", "failed", "cancelled"];
    let mut counts = names.map(|name| (name, 0_u64));
    for (_, run) in event.runs.iter().filter_map(|id| state.run(*id)) {
        let name = match state.rest_status(run) {
            RunStatus::Queued => "queued",
            RunStatus::Completed => "succeeded",
            RunStatus::Failed => "failed",
            RunStatus::Cancelled => "cancelled",
            RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_) => "running",
        };
        counts.iter_mut().filter(|(counted, _)| *counted == name).for_each(|(_, count)| *count += 1);
    }
    counts.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect()
}

/// The event's runs; `None` if there are none.
fn triggered_runs(state: &State, event: &Event) -> Option<Vec<Value>> {
    let runs = event.runs.iter().filter_map(|id| Some((id, state.run(*id)?.1)));
    let shown = |(id, run): (&RunId, &Run)| match &run.origin {
        Origin::Event { filter: Some(filter), .. } => {
            json!({ "workflowRunId": id.to_string(), "filterId": filter.id.to_string() })
        }
        Origin::Event { .. } | Origin::Call | Origin::Schedule(_) | Origin::Cron => {
            json!({ "workflowRunId": id.to_string() })
        }
    };
    let runs: Vec<Value> = runs.map(shown).collect();
    Some(runs).filter(|runs| !runs.is_empty())
}
