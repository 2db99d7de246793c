//! Filters by metadata: the runs that lists and cancellations select by several pairs.

use hatchet_quickstart::hatchet::wire::{
    RunId,
    proto::v1::{CancelTasksRequest, RunStatus, TasksFilter, TriggerWorkflowRequest},
    timestamp_now,
};
use serde_json::{Value, json};

use super::deviations::Deviation;
use crate::support::{Target, Workflow, eventually};

/// Queued runs of one workflow by their metadata pairs, with keys that no other test uses.
struct Runs {
    workflow: Workflow,
    a: String,
    b: String,
    only_a: String,
    only_b: String,
    both: String,
    /// The run whose values are the numbers 1 and 2.
    numbers: String,
}

impl Runs {
    async fn trigger(target: &Target) -> Self {
        let workflow = target.workflow("pairs").await;
        let (a, b) = (target.name("a"), target.name("b"));
        let trigger = async |metadata: Value| {
            let additional_metadata = Some(metadata.to_string());
            let request = TriggerWorkflowRequest { additional_metadata, ..workflow.request(json!({})) };
            target.try_trigger(request).await.unwrap()
        };
        let only_a = trigger(json!({ &a: "1" })).await;
        let only_b = trigger(json!({ &b: "2" })).await;
        let both = trigger(json!({ &a: "1", &b: "2" })).await;
        let numbers = trigger(json!({ &a: 1, &b: 2 })).await;
        let runs = Self { a, b, only_a, only_b, both, numbers, workflow };
        let path = runs.list(target, &format!("workflow_ids={}", runs.workflow.workflow_id));
        let all = |list: &Value| list["rows"].as_array().is_some_and(|rows| rows.len() == 4);
        target.rest.get_until(&path, "all runs are listed", all).await;
        runs
    }

    fn list(&self, target: &Target, query: &str) -> String {
        format!(
            "/api/v1/stable/tenants/{}/workflow-runs?since=1970-01-01T00:00:00Z&only_tasks=false&{query}",
            target.tenant
        )
    }

    /// The ids in the list of this query, without the run with numbers, on which real engines differ.
    async fn listed(&self, target: &Target, query: &str) -> Vec<String> {
        let (status, list) = target.rest.get(&self.list(target, query)).await;
        assert_eq!(status, 200, "{list}");
        let rows = list["rows"].as_array().cloned().unwrap_or_default();
        self.sorted(rows.iter().map(|row| row["metadata"]["id"].as_str().unwrap().to_owned()))
    }

    fn sorted(&self, ids: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut ids: Vec<String> = ids.into_iter().filter(|id| *id != self.numbers).collect();
        ids.sort();
        ids
    }

    /// `a:1` and `b:2` as query parameters.
    fn pairs(&self) -> String {
        format!("additional_metadata={}:1&additional_metadata={}:2", self.a, self.b)
    }

    async fn cancel(self, target: &Target) {
        target.cancel(&[&self.only_a, &self.only_b, &self.both, &self.numbers]).await;
    }
}

#[tokio::test]
async fn list_by_several_pairs_matches_any_pair() {
    let target = Target::start().await;
    let runs = Runs::trigger(&target).await;
    let any = runs.sorted([runs.only_a.clone(), runs.only_b.clone(), runs.both.clone()]);
    assert_eq!(runs.listed(&target, &runs.pairs()).await, any);
    let or = format!("{}&additional_metadata_operator=OR", runs.pairs());
    assert_eq!(runs.listed(&target, &or).await, any);

    let ids = runs.list(&target, &runs.pairs()).replace("workflow-runs?", "workflow-runs/external-ids?");
    let (status, ids) = target.rest.get(&ids).await;
    assert_eq!(status, 200, "{ids}");
    let ids = ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned());
    assert_eq!(runs.sorted(ids), any);
    runs.cancel(&target).await;
}

#[tokio::test]
async fn list_with_and_operator_matches_all_pairs() {
    let target = Target::start().await;
    let runs = Runs::trigger(&target).await;
    let and = format!("{}&additional_metadata_operator=AND", runs.pairs());
    assert_eq!(runs.listed(&target, &and).await, [runs.both.as_str()]);
    // The AND operator compares strings only, so the run with numbers is not selected.
    let (_, list) = target.rest.get(&runs.list(&target, &and)).await;
    assert_eq!(list["rows"].as_array().unwrap().len(), 1, "{list}");
    runs.cancel(&target).await;
}

#[tokio::test]
async fn malformed_filter_is_refused() {
    let target = Target::start().await;
    let runs = Runs::trigger(&target).await;
    let query = format!("limit=1&workflow_ids={}", runs.workflow.workflow_id);
    let no_colon = runs.list(&target, &format!("{query}&additional_metadata={}", runs.a));
    let ids = runs.list(&target, &format!("{}&additional_metadata_operator=AND", runs.pairs()));
    let ids = ids.replace("workflow-runs?", "workflow-runs/external-ids?");
    let expected = if target.deviates(Deviation::InvalidFilterIsRefused) { 400 } else { 200 };
    for path in [no_colon, ids] {
        assert_eq!(target.rest.get(&path).await.0, expected, "{path}");
    }
    runs.cancel(&target).await;
}

#[tokio::test]
async fn last_value_of_repeated_key_wins() {
    let target = Target::start().await;
    let runs = Runs::trigger(&target).await;
    let with_a = runs.sorted([runs.only_a.clone(), runs.both.clone()]);
    let values =
        |first: &str, last: &str| format!("additional_metadata={0}:{first}&additional_metadata={0}:{last}", runs.a);
    assert!(runs.listed(&target, &values("1", "2")).await.is_empty());
    assert_eq!(runs.listed(&target, &values("2", "1")).await, with_a);
    runs.cancel(&target).await;
}

#[tokio::test]
async fn cancel_by_several_pairs_matches_any_pair() {
    let target = Target::start().await;
    let runs = Runs::trigger(&target).await;
    let mut since = timestamp_now();
    since.seconds -= 3600;
    let filter = TasksFilter {
        since: Some(since),
        statuses: vec!["QUEUED".to_owned()],
        additional_metadata: vec![format!("{}:1", runs.a), format!("{}:none", runs.b)],
        ..Default::default()
    };
    let request = CancelTasksRequest { external_ids: Vec::new(), filter: Some(filter) };
    let named = target.admin().cancel_tasks(request).await.unwrap().into_inner().cancelled_tasks;
    assert_eq!(runs.sorted(named), runs.sorted([runs.only_a.clone(), runs.both.clone()]));
    assert_eq!(target.details(&runs.only_b).await.unwrap().status(), RunStatus::Queued);
    runs.cancel(&target).await;
}

#[tokio::test]
async fn client_cancels_only_runs_with_all_pairs() {
    let target = Target::start().await;
    let client = target.client();
    let runs = Runs::trigger(&target).await;
    let both: RunId = runs.both.parse().unwrap();
    let open = client.open_runs(&[(&runs.a, "1"), (&runs.b, "2")], &[]).await.unwrap();
    assert_eq!(open, [both]);
    assert_eq!(client.cancel_many(&open).await.unwrap(), [both]);
    assert_eq!(target.done(&runs.both).await.status(), RunStatus::Cancelled);
    for run in [&runs.only_a, &runs.only_b, &runs.numbers] {
        assert_eq!(target.details(run).await.unwrap().status(), RunStatus::Queued);
    }
    // The run has finished by now, even if a list does not show it yet.
    assert!(client.cancel_many(&open).await.unwrap().is_empty());
    runs.cancel(&target).await;
}

#[tokio::test]
async fn client_finds_runs_by_keys_with_colon() {
    let target = Target::start().await;
    let client = target.client();
    let workflow = target.workflow("colon").await;
    let (key, plain) = (target.name("a:b"), target.name("plain"));
    let with = |metadata: Value| TriggerWorkflowRequest {
        additional_metadata: Some(metadata.to_string()),
        ..workflow.request(json!({}))
    };
    let hit = target.try_trigger(with(json!({ &key: "c:d", &plain: "e:f" }))).await.unwrap();
    let miss = target.try_trigger(with(json!({ target.name("a"): "b:c:d", &plain: "e:f" }))).await.unwrap();
    eventually("both runs are listed", async || {
        (client.open_runs(&[(&plain, "e:f")], &[]).await.unwrap().len() == 2).then_some(())
    })
    .await;
    let id: RunId = hit.parse().unwrap();
    assert_eq!(client.open_runs(&[(&key, "c:d")], &[]).await.unwrap(), [id]);
    assert_eq!(client.open_runs(&[(&plain, "e:f"), (&key, "c:d")], &[]).await.unwrap(), [id]);
    target.cancel(&[&hit, &miss]).await;
}
