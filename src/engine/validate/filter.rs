//! Validates filters by status, time, workflow and metadata.

use super::{error::Invalid, field::parse_external_id};
use crate::{
    engine::state::{RunFilter, Timestamp},
    hatchet::wire::{RunId, RunStatus, excerpt, proto::v1::TasksFilter},
};

/// The runs that a call cancels or replays.
pub(crate) enum RunSelection {
    /// The runs and tasks with these ids.
    Ids(Vec<RunId>),
    Filter(RunFilter),
}

/// Validates the selection of a call: either ids or a filter.
pub(crate) fn validate_selection(ids: &[String], filter: Option<TasksFilter>) -> Result<RunSelection, Invalid> {
    let Some(filter) = filter else {
        return Ok(RunSelection::Ids(ids.iter().map(|id| parse_external_id(id)).collect::<Result<_, _>>()?));
    };
    if !ids.is_empty() {
        return Err(Invalid::new("cannot provide both external ids and filter"));
    }
    let workflow = |text: &String| text.parse().map_err(|_| Invalid::new("invalid workflow id"));
    Ok(RunSelection::Filter(RunFilter {
        since: filter.since.as_ref().map(Timestamp::from_wire),
        until: filter.until.as_ref().map(Timestamp::from_wire),
        statuses: filter.statuses.iter().map(|name| parse_status(name)).collect::<Result<_, _>>()?,
        workflows: filter.workflow_ids.iter().map(workflow).collect::<Result<_, _>>()?,
        metadata: filter.additional_metadata.iter().map(|pair| parse_metadata_pair(pair)).collect::<Result<_, _>>()?,
        ..RunFilter::default()
    }))
}

/// Parses a pair of a metadata filter, `key:value`.
pub(crate) fn parse_metadata_pair(text: &str) -> Result<(String, String), Invalid> {
    let (key, value) = text
        .split_once(':')
        .ok_or_else(|| Invalid::new(format!("invalid additional metadata filter: {}", excerpt(text))))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Parses a pair of a metadata filter of schedules and crons, where a real engine refuses a second colon.
pub(crate) fn parse_template_metadata_pair(text: &str) -> Result<(String, String), Invalid> {
    parse_metadata_pair(text)
        .ok()
        .filter(|(_, value)| !value.contains(':'))
        .ok_or_else(|| Invalid::new("Additional metadata filters must be in the format key:value."))
}

/// Parses the name of a status.
pub(crate) fn parse_status(name: &str) -> Result<RunStatus, Invalid> {
    RunStatus::from_name(name).ok_or_else(|| {
        Invalid::new(format!(
            "invalid status {}: use QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED or EVICTED",
            excerpt(name)
        ))
    })
}
