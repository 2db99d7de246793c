//! Selection of runs by their properties.

use uuid::Uuid;

use super::{Origin, Run, Runs};
use crate::{
    engine::state::{metadata::PairFilter, time::Timestamp},
    hatchet::wire::{RunId, RunStatus},
};

/// Selects runs by their properties. An empty or absent field matches all runs.
#[derive(Debug, Default)]
pub(crate) struct RunFilter {
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    /// Statuses as REST reports them, even in filters of gRPC calls.
    pub(crate) statuses: Vec<RunStatus>,
    pub(crate) workflows: Vec<Uuid>,
    /// Pairs of the metadata: a run must have any of them, with `all_pairs` all of them.
    pub(crate) metadata: PairFilter,
    pub(crate) all_pairs: bool,
    pub(crate) parent: Option<RunId>,
    pub(crate) event: Option<Uuid>,
}

impl Runs {
    /// The matching runs, newest first.
    pub(crate) fn select<'a>(&'a self, filter: &'a RunFilter) -> impl Iterator<Item = RunId> + 'a {
        self.by_age().rev().filter(|(_, run)| self.matches(run, filter)).map(|(id, _)| id)
    }

    fn matches(&self, run: &Run, filter: &RunFilter) -> bool {
        filter.since.is_none_or(|since| run.created >= since)
            && filter.until.is_none_or(|until| run.created <= until)
            && (filter.workflows.is_empty() || filter.workflows.contains(&run.version.workflow_id))
            && filter.parent.is_none_or(|id| run.parent.as_ref().is_some_and(|parent| parent.task == id))
            && filter.event.is_none_or(|id| matches!(run.origin, Origin::Event { id: event, .. } if event == id))
            && (filter.statuses.is_empty() || filter.statuses.contains(&self.rest_status(run)))
            && match filter.all_pairs {
                true => filter.metadata.matches_all(&run.metadata),
                false => filter.metadata.matches_any(&run.metadata),
            }
    }
}
