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

use super::{CALL_KEY, Item, TRIGGER_KEY, bulk::BulkItem};
use crate::hatchet::{
    client::{Client, ClientError, ErrorKind, RunHandle, RunSummary},
    wire::{RunId, TriggerId},
};

/// The engine's clock may be behind ours by this much.
const CLOCKS: Duration = Duration::from_secs(600);

impl Client {
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
        let listing = self.search(key, &value, since, |rows| runs(&items, rows).len() == items.len()).await;
        let (found, missing) = match listing {
            Ok(listing) => (runs(&items, &listing.rows), listing.incomplete.unwrap_or_default()),
            Err(error) => (HashMap::new(), format!("the engine's list of runs cannot be read: {error}")),
        };
        let outcome = |item: Item| match found.get(&item.mark.trigger) {
            Some(run) => (item.index, Ok(RunHandle::found(self.clone(), *run))),
            None => (item.index, Err(unconfirmed(error.clone(), item.mark.trigger, &missing))),
        };
        items.into_iter().map(outcome).collect()
    }
}

/// The run of each item that has one in the list. Children inherit the metadata, and are told apart by their parent.
fn runs(items: &[Item], rows: &[RunSummary]) -> HashMap<TriggerId, RunId> {
    let by_trigger: HashMap<TriggerId, &Item> = items.iter().map(|item| (item.mark.trigger, item)).collect();
    let of_item = |row: &RunSummary| {
        let trigger = row.additional_metadata.get(TRIGGER_KEY)?.as_str()?.parse().ok()?;
        let is_own = by_trigger.get(&trigger)?.request.parent_task_run_external_id == row.parent_task_external_id;
        Some((trigger, row.id().filter(|_| is_own)?))
    };
    rows.iter().filter_map(of_item).collect()
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
