//! Workflows.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{RawQuery, State as AxumState},
    http::StatusCode,
    routing::get,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    ApiError,
    request::{Body, PathParam, body, page::Page, query},
    response::{JsonResponse, json_object::JsonObject, list::ListResponse, resource_metadata},
};
use crate::{
    engine::{
        driver::Driver,
        state::{Pause, PauseBehavior, State, Version},
        validate::definition::workflow_config,
    },
    hatchet::wire::parse_duration,
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/tenants/{tenant}/workflows", get(list))
        .route("/api/v1/workflows/{workflow}", get(get_workflow).patch(update).delete(delete))
        .route("/api/v1/workflows/{workflow}/versions", get(get_version))
        .route("/api/v1/tenants/{tenant}/workflows/{workflow}/worker-count", get(worker_count))
}

async fn list(AxumState(driver): AxumState<Arc<Driver>>, RawQuery(query): RawQuery) -> Result<ListResponse, ApiError> {
    let mut name_part = String::new();
    let page = Page::default().parse(query.as_deref(), |key, value| {
        if key != "name" {
            return Err(query::unknown(key));
        }
        name_part = value.to_lowercase();
        Ok(())
    })?;
    let ids: Vec<Uuid> = driver
        .with(|state, _| {
            let matches = |name: &str| name.to_lowercase().contains(&name_part);
            state.workflows().filter(|(name, _)| matches(name)).map(|(_, version)| version.workflow_id).collect()
        })
        .await?;
    let members = json!({ "metadata": resource_metadata(driver.tenant, driver.now().display) });
    let list = ListResponse::with_members(&driver, &page, members, ids, |driver, state, _, id| {
        state.workflow(*id).map(|version| JsonObject::from_value(fields(driver, state, version)))
    });
    Ok(list.await?)
}

/// A change of a workflow: its pause.
#[derive(Deserialize)]
struct WorkflowUpdate {
    pause: PauseBody,
}

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
enum PauseBody {
    Pause {
        #[serde(rename = "pausedWorkflowCronRunQueueBehavior")]
        cron: BehaviorBody,
        #[serde(rename = "pausedWorkflowScheduledRunQueueBehavior")]
        scheduled: BehaviorBody,
        #[serde(rename = "pausedWorkflowQueueTTL")]
        ttl: String,
    },
    Unpause {},
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum BehaviorBody {
    Queue,
    Drop,
}

impl From<BehaviorBody> for PauseBehavior {
    fn from(body: BehaviorBody) -> Self {
        match body {
            BehaviorBody::Queue => Self::Queue,
            BehaviorBody::Drop => Self::Drop,
        }
    }
}

async fn update(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
    update: Body<WorkflowUpdate>,
) -> JsonResponse {
    let pause = match body(update)?.pause {
        PauseBody::Unpause {} => None,
        PauseBody::Pause { cron, scheduled, ttl } => {
            let ttl = parse_ttl(&ttl)?;
            Some(Pause { cron: cron.into(), scheduled: scheduled.into(), ttl })
        }
    };
    driver
        .with(|state, now| {
            if !state.pause_workflow(id, pause, now) {
                return Err(ApiError::not_found());
            }
            let version = state.workflow(id).ok_or_else(ApiError::not_found)?;
            let mut shown = fields(&driver, state, version);
            if let Some(pause) = pause {
                shown["pausedWorkflowCronRunQueueBehavior"] = behavior_name(pause.cron).into();
                shown["pausedWorkflowScheduledRunQueueBehavior"] = behavior_name(pause.scheduled).into();
            }
            Ok(Json(shown))
        })
        .await?
}

/// Parses a time to live: a duration, or whole days, weeks or years as `7d`, `2w` or `1y`.
fn parse_ttl(text: &str) -> Result<Duration, ApiError> {
    const DAY: Duration = Duration::from_secs(86_400);
    let days_in = |unit: char, days: u32| {
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        DAY.checked_mul(number.checked_mul(days)?)
    };
    if let Some(ttl) = days_in('d', 1).or_else(|| days_in('w', 7)).or_else(|| days_in('y', 365)) {
        return Ok(ttl);
    }
    parse_duration(text).map_err(|error| ApiError::bad_request(format!("invalid pausedWorkflowQueueTTL: {error}")))
}

fn behavior_name(behavior: PauseBehavior) -> &'static str {
    match behavior {
        PauseBehavior::Queue => "QUEUE",
        PauseBehavior::Drop => "DROP",
    }
}

async fn delete(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
) -> Result<StatusCode, ApiError> {
    match driver.with(|state, now| state.delete_workflow(id, now)).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::not_found()),
    }
}

/// The newest version of a workflow, or the version that the query names.
async fn get_version(
    AxumState(driver): AxumState<Arc<Driver>>,
    PathParam(id): PathParam<Uuid>,
    RawQuery(query): RawQuery,
) -> JsonResponse {
    let mut version_id: Option<Uuid> = None;
    for (key, value) in query::pairs(query.as_deref()) {
        match key.as_str() {
            "version" => version_id = Some(query::parse(&key, &value)?),
            other => return Err(query::unknown(other)),
        }
    }
    driver
        .with(|state, _| {
            let newest = state.workflow(id).ok_or_else(ApiError::not_found)?;
            let version = match version_id {
                Some(version_id) => state.versions_of(id).find(|version| version.id == version_id),
                None => Some(newest),
            };
            Ok(Json(version_fields(&driver, state, version.ok_or_else(ApiError::not_found)?)))
        })
        .await?
}

fn version_fields(driver: &Driver, state: &State, version: &Version) -> Value {
    let content = version.definition.content.message();
    let mut workflow = fields(driver, state, version);
    if let Some(members) = workflow.as_object_mut() {
        members.remove("versions");
    }
    let mut triggers = Map::new();
    if !content.event_triggers.is_empty() {
        let events = content.event_triggers.iter();
        let events = events.map(|key| json!({ "parent_id": version.id.to_string(), "event_key": key }));
        triggers.insert("events".into(), events.collect());
    }
    if !content.cron_triggers.is_empty() {
        let crons = content.cron_triggers.iter();
        let crons = crons.map(|rule| json!({ "parent_id": version.id.to_string(), "cron": rule }));
        triggers.insert("crons".into(), crons.collect());
    }
    let mut shown = json!({
        "metadata": resource_metadata(version.id, version.created),
        "version": "",
        "order": version.order,
        "workflowId": version.workflow_id.to_string(),
        "workflow": workflow,
        "defaultPriority": content.default_priority.unwrap_or_default(),
        // A constant of a real engine, which no declaration changes.
        "scheduleTimeout": "5m",
        "triggers": triggers,
        "v1Concurrency": [],
        "workflowConfig": workflow_config(&version.definition.content),
    });
    let schema = content.input_json_schema.as_deref().unwrap_or_default();
    if let Ok(schema @ Value::Object(_)) = serde_json::from_slice(schema) {
        shown["inputJsonSchema"] = schema;
    }
    shown
}

async fn get_workflow(AxumState(driver): AxumState<Arc<Driver>>, PathParam(id): PathParam<Uuid>) -> JsonResponse {
    driver
        .with(|state, _| {
            let version = state.workflow(id).ok_or_else(ApiError::not_found)?;
            Ok(Json(fields(&driver, state, version)))
        })
        .await?
}

/// Free slots and all slots of the workers that can be assigned this workflow's tasks at the moment.
async fn worker_count(AxumState(driver): AxumState<Arc<Driver>>, PathParam(id): PathParam<Uuid>) -> JsonResponse {
    driver
        .with(|state, now| {
            let version = state.workflow(id).ok_or_else(ApiError::not_found)?;
            let (free, max) = state.slots_for(version, now);
            // The field's name is that of a real engine.
            Ok(Json(json!({ "freeSlotCount": free, "maxSlotCount": max, "workflowRunId": id.to_string() })))
        })
        .await?
}

fn fields(driver: &Driver, state: &State, version: &Version) -> Value {
    let content = version.definition.content.message();
    json!({
        "metadata": resource_metadata(version.workflow_id, version.workflow_created),
        "name": *version.definition.name,
        "tenantId": driver.tenant.to_string(),
        "description": content.description,
        "isPaused": state.pause_of(version.workflow_id).is_some(),
        "versions": [{
            "metadata": resource_metadata(version.id, version.created), "version": "",
            "order": version.order, "workflowId": version.workflow_id.to_string(),
        }],
    })
}
