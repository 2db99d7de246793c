//! Events that were pushed, and what became of them.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, RawQuery, State as Shared},
    routing::get,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    ApiError, id, meta, own_tenant,
    page::Page,
    query, rfc3339,
    view::{Listing, Payload, View},
};
use crate::{
    engine::{
        driver::Driver,
        state::triggers::metadata::PairFilter,
        state::{Event, State, Timestamp},
        validate::payload::{metadata_pair, status_word},
    },
    hatchet::wire::RunStatus,
};

pub(super) fn routes() -> Router<Arc<Driver>> {
    Router::new()
        .route("/api/v1/stable/tenants/{tenant}/events", get(list))
        .route("/api/v1/stable/tenants/{tenant}/events/{id}", get(one))
}

/// Which ones a list is to show. What is empty or absent chooses all. An event must have every pair.
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
    fn read(&mut self, key: &str, value: String) -> Result<(), String> {
        match key {
            "keys" => self.keys.push(value),
            "since" => self.since = Some(query::time(key, &value)?),
            "until" => self.until = Some(query::time(key, &value)?),
            "workflowIds" => self.workflows.push(query::read(key, &value)?),
            "workflowRunStatuses" => self.statuses.push(status_word(&value)?),
            "eventIds" => self.ids.push(query::read(key, &value)?),
            "additionalMetadata" => self.metadata.add(metadata_pair(&value)?),
            "scopes" => self.scopes.push(value),
            other => return Err(query::unknown(other)),
        }
        Ok(())
    }

    fn fits(&self, state: &State, id: Uuid, event: &Event) -> bool {
        let mut runs = event.runs.iter().filter_map(|id| state.run(*id)).map(|(_, run)| run);
        (self.keys.is_empty() || self.keys.iter().any(|key| **key == *event.key))
            && self.since.is_none_or(|at| event.at >= at)
            && self.until.is_none_or(|at| event.at <= at)
            && (self.ids.is_empty() || self.ids.contains(&id))
            && self.metadata.fits_all(&event.metadata)
            && (self.scopes.is_empty() || event.scope.as_ref().is_some_and(|scope| self.scopes.contains(scope)))
            && (self.workflows.is_empty() && self.statuses.is_empty()
                || runs.any(|run| {
                    (self.workflows.is_empty() || self.workflows.contains(&run.version.workflow_id))
                        && (self.statuses.is_empty() || self.statuses.contains(&state.status(run)))
                }))
    }
}

async fn list(
    Shared(driver): Shared<Arc<Driver>>,
    Path(tenant): Path<String>,
    RawQuery(text): RawQuery,
) -> Result<Listing, ApiError> {
    own_tenant(&driver, &tenant)?;
    let (mut page, mut by) = (Page::default(), Filter::default());
    for (key, value) in query::pairs(text.as_deref().unwrap_or_default()) {
        if !page.read(&key, &value).map_err(ApiError::bad_request)? {
            by.read(&key, value).map_err(ApiError::bad_request)?;
        }
    }
    let chosen = driver
        .with(|state, _| {
            let chosen = state.events().filter(|(id, event)| by.fits(state, *id, event));
            chosen.map(|(id, _)| id).collect::<Vec<Uuid>>()
        })
        .await?;
    Ok(Listing::new(&driver, &page, chosen, |driver, state, _, id| {
        state.event(*id).map(|event| view(driver, state, *id, event))
    })
    .await?)
}

async fn one(
    Shared(driver): Shared<Arc<Driver>>,
    Path((tenant, it)): Path<(String, String)>,
) -> Result<View, ApiError> {
    own_tenant(&driver, &tenant)?;
    let id: Uuid = id(&it, "event")?;
    driver
        .with(|state, _| {
            let event = state.event(id).ok_or_else(ApiError::not_found)?;
            Ok(view(&driver, state, id, event))
        })
        .await?
}

fn view(driver: &Driver, state: &State, id: Uuid, event: &Event) -> View {
    let mut counts: Map<String, Value> = ["queued", "running", "succeeded", "failed", "cancelled"]
        .map(|word| (word.to_owned(), 0.into()))
        .into_iter()
        .collect();
    let mut runs = Vec::new();
    for run_id in &event.runs {
        let Some((_, run)) = state.run(*run_id) else { continue };
        let word = match state.status(run) {
            RunStatus::Queued => "queued",
            RunStatus::Completed => "succeeded",
            RunStatus::Failed => "failed",
            RunStatus::Cancelled => "cancelled",
            RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_) => "running",
        };
        counts[word] = (counts[word].as_u64().unwrap_or_default() + 1).into();
        runs.push(json!({ "workflowRunId": run_id.to_string() }));
    }
    let mut view = View::of(json!({
        "metadata": meta(id, event.at),
        "key": *event.key,
        "tenantId": driver.tenant.to_string(),
        "scope": event.scope,
        "seenAt": rfc3339(event.at),
        "workflowRunSummary": counts,
        "triggeredRuns": runs,
    }));
    view.payload("payload", Payload::Json(event.input.clone()));
    view.payload("additionalMetadata", Payload::Json(event.metadata.clone()));
    view
}
