//! Finds runs by their metadata, such as those whose trigger was not answered.
//!
//! A link can break between the engine's acceptance of a trigger and its answer. Then only the engine's list of runs,
//! which REST has, tells whether the runs started: each has the id of its trigger in its metadata.
//!
//! The list never proves that a run did not start, since it lags behind by an amount that no engine bounds. So the
//! result of a search in vain is [`ErrorKind::Unconfirmed`].

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep};

use super::{CALL_KEY, Item, RunHandle, TRIGGER_KEY, bulk::BulkItem};
use crate::hatchet::{
    client::{Client, RestClient, RunSummary},
    transport::{Backoff, ClientError, ErrorKind},
    wire::{RunId, TriggerId, format_duration},
};

/// How long an engine that answers has to list another run. A real one was seen to need 0.05 to 2 s.
const LISTED_WITHIN: Duration = Duration::from_secs(12);
/// How long an engine may be away: a restart, or that of its database, takes a minute or less.
const AWAY: Duration = Duration::from_secs(60);
/// The engine's clock may be behind ours by this much.
const CLOCKS: Duration = Duration::from_secs(600);

/// The end of a search.
struct Search {
    rows: Vec<RunSummary>,
    /// Why the search ended, where rows are missing.
    missing: Option<String>,
}

impl Client {
    /// The runs since a time that have a metadata pair, without the children that inherited it from one of them.
    ///
    /// An engine lists a new run late, so where there is none this looks again for 12 s, or up to 72 s while the engine
    /// is away, before the result is empty. Errors: those of the last look, where REST did not answer.
    pub async fn find_runs(&self, key: &str, value: &str, since: SystemTime) -> Result<Vec<RunHandle>, ClientError> {
        let search = self.search(key, value, since, |rows| !rows.is_empty()).await?;
        let is_root = |row: &RunSummary| row.parent_task_external_id.is_none();
        let any_root = search.rows.iter().any(is_root);
        let ids = search.rows.iter().filter(|row| is_root(row) || !any_root);
        Ok(ids.filter_map(id).map(|run| RunHandle::given(self.clone(), run)).collect())
    }

    /// What became of runs whose trigger, begun at `since`, failed without an answer.
    pub(super) async fn recover(
        &self,
        items: Vec<Item>,
        since: SystemTime,
        error: &ClientError,
    ) -> Vec<(usize, BulkItem)> {
        tracing::warn!("{error}: the runs may have started, so they are looked for");
        let mut groups: HashMap<(&str, TriggerId), Vec<Item>> = HashMap::new();
        for item in items {
            let pair = item.mark.call.map_or((TRIGGER_KEY, item.mark.trigger), |call| (CALL_KEY, call));
            groups.entry(pair).or_default().push(item);
        }
        let groups = groups.into_iter().map(|(pair, items)| self.recover_group(pair, items, since - CLOCKS, error));
        futures_util::future::join_all(groups).await.into_iter().flatten().collect()
    }

    /// The same for runs that have this pair in common.
    async fn recover_group(
        &self,
        (key, value): (&str, TriggerId),
        items: Vec<Item>,
        since: SystemTime,
        error: &ClientError,
    ) -> Vec<(usize, BulkItem)> {
        let value = value.to_string();
        let search = self.search(key, &value, since, |rows| runs(&items, rows).len() == items.len()).await;
        let (found, missing) = match search {
            Ok(search) => (runs(&items, &search.rows), search.missing.unwrap_or_default()),
            Err(error) => (HashMap::new(), format!("the engine's list of runs cannot be read: {error}")),
        };
        let outcome = |item: Item| match found.get(&item.mark.trigger) {
            Some(run) => (item.index, Ok(RunHandle::found(self.clone(), *run))),
            None => (item.index, Err(unconfirmed(error.clone(), item.mark.trigger, &missing))),
        };
        items.into_iter().map(outcome).collect()
    }

    /// Reads the list of runs with a metadata pair until it is complete, or does not change for [`LISTED_WITHIN`].
    /// Fails where REST does not answer for [`AWAY`], or refuses to.
    async fn search(
        &self,
        key: &str,
        value: &str,
        since: SystemTime,
        is_complete: impl Fn(&[RunSummary]) -> bool,
    ) -> Result<Search, ClientError> {
        let Some(rest) = self.rest() else {
            let message = "runs are found by REST, whose address is not known: set HATCHET_CLIENT_SERVER_URL";
            return Err(ClientError::new(ErrorKind::Config, message));
        };
        let begun = Instant::now();
        let mut waits = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        // The most rows that were seen, and until when there may be more.
        let mut last: Option<(usize, Instant)> = None;
        loop {
            let asked = self.config();
            match listed(rest, key, value, since).await {
                Ok(rows) if is_complete(&rows) => return Ok(Search { rows, missing: None }),
                Ok(rows) => {
                    let now = Instant::now();
                    let until = match last {
                        Some((most, until)) if rows.len() <= most => until,
                        Some(_) | None => now + LISTED_WITHIN,
                    };
                    last = Some((rows.len(), until));
                    if now >= until || begun.elapsed() >= AWAY + LISTED_WITHIN {
                        let (patience, count) = (format_duration(LISTED_WITHIN), rows.len());
                        let missing = format!(
                            "the engine's list has {count} run(s) with the metadata {key}={value}, unchanged for {patience}"
                        );
                        return Ok(Search { rows, missing: Some(missing) });
                    }
                }
                Err(error) => {
                    // An engine that was away may need its time once more.
                    last = None;
                    // Another search may have followed it already.
                    self.connection().follow_engine();
                    let now = self.config();
                    let moved = now.host_port != asked.host_port || now.token.expose() != asked.token.expose();
                    if !(moved || error.is_temporary()) || begun.elapsed() >= AWAY {
                        return Err(error);
                    }
                }
            }
            sleep(waits.next_delay()).await;
        }
    }
}

/// All pages of the list of runs with a metadata pair.
async fn listed(rest: &RestClient, key: &str, value: &str, since: SystemTime) -> Result<Vec<RunSummary>, ClientError> {
    let mut pages = rest.runs(since, &[(key, value)], &[]);
    let mut all = Vec::new();
    while let Some(rows) = pages.next().await? {
        all.extend(rows);
    }
    Ok(all)
}

/// The run of each item that has one in the list. Children inherit the metadata, and are told apart by their parent.
fn runs(items: &[Item], rows: &[RunSummary]) -> HashMap<TriggerId, RunId> {
    let by_trigger: HashMap<TriggerId, &Item> = items.iter().map(|item| (item.mark.trigger, item)).collect();
    let of_item = |row: &RunSummary| {
        let trigger = row.additional_metadata.get(TRIGGER_KEY)?.as_str()?.parse().ok()?;
        let is_own = by_trigger.get(&trigger)?.request.parent_task_run_external_id == row.parent_task_external_id;
        Some((trigger, id(row).filter(|_| is_own)?))
    };
    rows.iter().filter_map(of_item).collect()
}

fn id(row: &RunSummary) -> Option<RunId> {
    row.workflow_run_external_id.parse().ok()
}

fn unconfirmed(error: ClientError, trigger: TriggerId, why: &str) -> ClientError {
    let message = format!("not known whether it started: {error}; {why}");
    error.into_kind(ErrorKind::Unconfirmed(trigger), message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::hatchet::{client::trigger::Mark, wire::proto::v1::TriggerWorkflowRequest};

    fn item(index: usize, parent: Option<&str>) -> Item {
        let request =
            TriggerWorkflowRequest { parent_task_run_external_id: parent.map(str::to_owned), ..Default::default() };
        Item { index, mark: Mark { trigger: TriggerId::random(), call: None }, request }
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
        let items = [item(0, None), item(1, Some("p")), item(2, None)];
        let [first, second, missing] = [0, 1, 2].map(|at| items[at].mark.trigger);
        let [(own, own_row), (_, child), (given, given_row), (_, other)] = [
            row(&first.to_string(), None),
            row(&first.to_string(), Some("c")),
            row(&second.to_string(), Some("p")),
            row("of another client", None),
        ];
        for rows in
            [[own_row.clone(), child.clone(), given_row.clone(), other.clone()], [child, given_row, other, own_row]]
        {
            assert_eq!(runs(&items, &rows), HashMap::from([(first, own), (second, given)]));
            assert!(!runs(&items, &rows).contains_key(&missing));
        }
    }
}
