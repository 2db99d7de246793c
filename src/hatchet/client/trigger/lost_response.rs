//! Recovers triggers whose response was lost.
//!
//! A connection can break between the engine's acceptance of a trigger and its response. Only the engine's list of
//! runs, which the REST API has, can prove then that a run was started: each run has the id of its trigger in its
//! metadata.
//!
//! The list never proves that a run was not started, because its lag has no upper bound. So the error of a run that is
//! not found is [`ErrorKind::Unconfirmed`].

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use super::request::{CALL_KEY, TriggerRequest, TriggerResult};
use crate::hatchet::{
    client::{Client, RunRef, RunSummary, TRIGGER_KEY},
    transport::{ClientError, ErrorKind},
    wire::{RunId, TriggerId},
};

/// Maximum time by which the engine's clock may be behind the local clock.
const CLOCK_SKEW: Duration = Duration::from_secs(600);

impl Client {
    /// Searches for the runs of triggers that were sent after `since` and failed with `error`, but may have started.
    pub(super) async fn recover(
        &self,
        requests: Vec<TriggerRequest>,
        since: SystemTime,
        error: &ClientError,
    ) -> Vec<(usize, TriggerResult)> {
        tracing::warn!("searching for {} run(s) that may have started: {error}", requests.len());
        let mut groups: HashMap<(&str, TriggerId), Vec<TriggerRequest>> = HashMap::new();
        for request in requests {
            let pair = request.ids.call.map_or((TRIGGER_KEY, request.ids.trigger), |call| (CALL_KEY, call));
            groups.entry(pair).or_default().push(request);
        }
        let groups =
            groups.into_iter().map(|(pair, requests)| self.recover_group(pair, requests, since - CLOCK_SKEW, error));
        futures_util::future::join_all(groups).await.into_iter().flatten().collect()
    }

    /// Searches for runs that share a metadata pair.
    async fn recover_group(
        &self,
        (key, value): (&str, TriggerId),
        requests: Vec<TriggerRequest>,
        since: SystemTime,
        error: &ClientError,
    ) -> Vec<(usize, TriggerResult)> {
        let value = value.to_string();
        let is_complete = |rows: &[RunSummary]| started_runs(&requests, rows).len() == requests.len();
        let (found, incomplete) = match self.search(key, &value, since, is_complete).await {
            Ok(listing) => (started_runs(&requests, &listing.rows), listing.incomplete.unwrap_or_default()),
            Err(error) => (HashMap::new(), format!("reading the engine's list of runs failed: {error}")),
        };
        let outcome = |request: TriggerRequest| match found.get(&request.ids.trigger) {
            Some(run) => (request.index, Ok(RunRef::recovered(self.clone(), *run))),
            None => (request.index, Err(unconfirmed(error.clone(), request.ids.trigger, &incomplete))),
        };
        requests.into_iter().map(outcome).collect()
    }
}

/// Maps triggers to their runs in the list. Children inherit the metadata, and are distinguished by their parent.
fn started_runs(requests: &[TriggerRequest], rows: &[RunSummary]) -> HashMap<TriggerId, RunId> {
    let by_trigger: HashMap<TriggerId, &TriggerRequest> =
        requests.iter().map(|request| (request.ids.trigger, request)).collect();
    let started = |row: &RunSummary| {
        let trigger = row.additional_metadata.get(TRIGGER_KEY)?.as_str()?.parse().ok()?;
        let is_own = by_trigger.get(&trigger)?.message.parent_task_run_external_id == row.parent_task_external_id;
        Some((trigger, row.id().filter(|_| is_own)?))
    };
    rows.iter().filter_map(started).collect()
}

fn unconfirmed(error: ClientError, trigger: TriggerId, reason: &str) -> ClientError {
    let message = format!("not known whether it started: {error}; {reason}");
    error.into_kind(ErrorKind::Unconfirmed(trigger), message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::request::SearchIds, *};
    use crate::hatchet::wire::proto::v1::TriggerWorkflowRequest;

    fn request(index: usize, parent: Option<&str>) -> TriggerRequest {
        let message =
            TriggerWorkflowRequest { parent_task_run_external_id: parent.map(str::to_owned), ..Default::default() };
        TriggerRequest { index, ids: SearchIds { trigger: TriggerId::random(), call: None }, message }
    }

    fn row(trigger: &str, parent: Option<&str>) -> (RunId, RunSummary) {
        let id = RunId::random();
        let row = json!({
            "workflowRunExternalId": id.to_string(), "status": "QUEUED", "parentTaskExternalId": parent,
            "additionalMetadata": { TRIGGER_KEY: trigger },
        });
        (id, serde_json::from_value(row).unwrap())
    }

    #[test]
    fn child_with_inherited_metadata_is_not_its_parent() {
        let requests = [request(0, None), request(1, Some("p")), request(2, None)];
        let [first, second, missing] = [0, 1, 2].map(|index| requests[index].ids.trigger);
        let [(own, own_row), (_, child), (given, given_row), (_, other)] = [
            row(&first.to_string(), None),
            row(&first.to_string(), Some("c")),
            row(&second.to_string(), Some("p")),
            row("of another client", None),
        ];
        for rows in
            [[own_row.clone(), child.clone(), given_row.clone(), other.clone()], [child, given_row, other, own_row]]
        {
            assert_eq!(started_runs(&requests, &rows), HashMap::from([(first, own), (second, given)]));
            assert!(!started_runs(&requests, &rows).contains_key(&missing));
        }
    }
}
