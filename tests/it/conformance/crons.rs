//! Cron expressions that are accepted and refused. No cron fires during a test: all are for a month half a year ahead.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tonic::Code;

use super::deviations::Deviation;
use crate::support::{RawWorker, Target, assert_refused};

/// The month half a year from now, which replaces `M` in the expressions below.
fn far_month() -> String {
    let later = prost_types::Timestamp::from(SystemTime::now() + Duration::from_secs(183 * 86_400)).to_string();
    later[5..7].trim_start_matches('0').to_owned()
}

pub(super) fn expression(pattern: &str) -> String {
    pattern.replace('M', &far_month())
}

#[tokio::test]
async fn valid_cron_expression_is_accepted() {
    let target = Target::start().await;
    let mut definition = target.definition("valid-crons");
    let valid = [
        "0 0 1 M *",
        "30 0 0 1 M *",
        "1/5 0 1 M *",
        "1,2,3/2 0 1 M *",
        "+1 0 1 M *",
        "*/+2 0 1 M *",
        "5-10/3,20 4 1 M *",
        "0-59/99 0 1 M *",
        "*-5 0 1 M *",
        ",5, 0 1 M *",
        "? ? 1 M ?",
        "0 0 1 M */2",
        "0 0 1 M sun-Tue,SAT",
        " 0\t0  1 M * ",
        "TZ=Europe/Berlin 0 0 1 M *",
        "CRON_TZ=America/New_York 0 0 1 M *",
        "TZ= 0 0 1 M *",
    ];
    for pattern in valid {
        definition.cron_triggers = vec![expression(pattern)];
        target.try_put(&definition).await.unwrap_or_else(|status| panic!("`{pattern}`: {status:?}"));
    }
    definition.cron_triggers.clear();
    target.put(&definition).await;
}

#[tokio::test]
async fn invalid_cron_expression_is_refused() {
    let target = Target::start().await;
    let mut definition = target.definition("invalid-crons");
    let invalid = [
        "0 0 1 M 7",
        "0 0 L M *",
        "0 0 LW M *",
        "0 0 15W M *",
        "0 0 1 M 5L",
        "0 0 1 M 1#2",
        "0 0 1 M SUNDAY",
        "@Daily",
        "@daily",
        "@every 1000h",
        "TZ=UTC @yearly",
        "TZ=Nowhere/X 0 0 1 M *",
        "TZ=europe/berlin 0 0 1 M *",
        "tz=UTC 0 0 1 M *",
        " TZ=UTC 0 0 1 M *",
        "0 0 0 M *",
        "0 0 32 M *",
        "60 0 1 M *",
        "0 24 1 M *",
        "0 0 1 13 *",
        "5-1 0 1 M *",
        "*/0 0 1 M *",
        "-1 0 1 M *",
        "1-2-3 0 1 M *",
        "1/2/3 0 1 M *",
        "1.5 0 1 M *",
        "0 0 1 M",
        "0 0 0 0 1 M *",
        "",
    ];
    for pattern in invalid {
        definition.cron_triggers = vec![expression(pattern)];
        let status = target.try_put(&definition).await.expect_err(pattern);
        assert_eq!(status.code(), Code::InvalidArgument, "`{pattern}`: {status:?}");
        assert!(status.message().contains("CronTriggers[0]"), "`{pattern}`: {status:?}");
    }
}

#[tokio::test]
async fn cron_that_never_fires_is_refused() {
    let target = Target::start().await;
    let mut definition = target.definition("never-due-crons");
    for never in ["0 0 30 2 *", "0 0 31 2,4 *", ", 0 1 M *"] {
        definition.cron_triggers = vec![expression(never)];
        let result = target.try_put(&definition).await;
        if target.deviates(Deviation::InvalidCronIsRefused) {
            assert_refused(result, Code::InvalidArgument, "never fires");
        } else {
            result.unwrap();
        }
    }
    definition.cron_triggers.clear();
    target.put(&definition).await;
}

#[tokio::test]
async fn cron_declared_twice_is_created_once() {
    let target = Target::start().await;
    let mut definition = target.definition("twice");
    definition.cron_triggers = vec![expression("0 0 1 M *"); 2];
    if !target.deviates(Deviation::DuplicateCronIsMerged) {
        return assert_refused(target.try_put(&definition).await, Code::Internal, "");
    }
    let workflow = target.put(&definition).await;
    let crons = format!("/api/v1/tenants/{}/workflows/crons?workflowId={}", target.tenant, workflow.workflow_id);
    assert_eq!(target.rest.get(&crons).await.1["rows"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn cron_over_rest_accepts_a_descriptor() {
    let target = Target::start().await;
    let workflow = target.workflow("over-rest").await;
    let crons = format!("/api/v1/tenants/{}/workflows", target.tenant);
    let mut created = Vec::new();
    let mut create = async |text: &str| {
        let request = json!({"cronName": "c", "cronExpression": text, "input": {}, "additionalMetadata": {}});
        let (status, body) = target.rest.post(&format!("{crons}/{}/crons", workflow.name), request).await;
        created.extend(body["metadata"]["id"].as_str().map(str::to_owned).filter(|_| status == 200));
        (status, body)
    };
    for text in ["@every 1000h", "@every 2562047h", &expression("TZ=Asia/Tokyo 0 0 1 M *")] {
        let (status, body) = create(text).await;
        assert_eq!((status, &body["cron"]), (200, &json!(text)), "{body}");
    }
    let refused = ["@Yearly", "@every soon", "nonsense", "0 0 30 2 *", "0 0 1 M 7"];
    if target.deviates(Deviation::InvalidCronIsRefused) {
        for text in refused {
            let (status, body) = create(&expression(text)).await;
            let message = body.to_string();
            assert!(status == 400 && message.contains("cron") | message.contains("never fires"), "{text}: {body}");
        }
    }
    for id in created {
        assert_eq!(target.rest.delete(&format!("{crons}/crons/{id}")).await.0, 204);
    }
}

#[tokio::test]
async fn triggered_cron_run_has_the_input_of_its_cron() {
    let target = Target::start().await;
    let workflow = target.workflow("cron-input").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let crons = format!("/api/v1/tenants/{}/workflows", target.tenant);
    let request = json!({
        "cronName": "c", "cronExpression": expression("0 0 1 M *"), "input": {"c": 1}, "additionalMetadata": {"m": "1"},
    });
    let (status, cron) = target.rest.post(&format!("{crons}/{}/crons", workflow.name), request).await;
    assert_eq!(status, 200, "{cron}");
    let one = format!("{crons}/crons/{}", cron["metadata"]["id"].as_str().unwrap());
    let (status, triggered) = target.rest.post(&one, json!({})).await;
    assert_eq!(status, 200, "{triggered}");
    let action = worker.next_start().await;
    let run = &action.workflow_run_id;
    assert_eq!(triggered["externalId"], json!(run));
    let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
    assert_eq!((&payload["input"], &payload["triggered_by"]), (&json!({"c": 1}), &json!("manual")));
    worker.complete(&action, r#"{"done":true}"#).await;
    target.done(run).await;

    let details = format!("/api/v1/stable/workflow-runs/{run}");
    let is_finished = |view: &Value| view["run"]["status"] == "COMPLETED" && view["tasks"][0]["status"] == "COMPLETED";
    let details = target.rest.get_until(&details, "the run has finished", is_finished).await;
    let list = format!(
        "/api/v1/stable/tenants/{}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&include_payloads=true\
         &workflow_ids={}",
        target.tenant, workflow.workflow_id
    );
    let list = target.rest.get_until(&list, "the run is listed", |list| list["rows"][0]["status"] == "COMPLETED").await;
    let (status, task) = target.rest.get(&format!("/api/v1/stable/tasks/{}", action.task_run_external_id)).await;
    assert_eq!(status, 200, "{task}");
    // The list and the details show what the worker received, and the task its input alone.
    let envelope = json!({
        "input": {"c": 1}, "parents": {}, "triggered_by": "manual", "triggers": { "filter_payload": null },
        "user_data": null, "overrides": null,
    });
    for (place, shown) in [("list", &list["rows"][0]), ("run", &details["run"]), ("details", &details["tasks"][0])] {
        assert_eq!(shown["input"], envelope, "{place}");
    }
    assert_eq!(task["input"], json!({"c": 1}));
    for shown in [&list["rows"][0], &details["run"], &task] {
        let metadata = &shown["additionalMetadata"];
        assert_eq!((&metadata["m"], &metadata["hatchet__cron_name"]), (&json!("1"), &json!("c")), "{metadata}");
        assert!(metadata["hatchet__cron_expression"].is_string(), "{metadata}");
    }
    assert_eq!(target.rest.delete(&one).await.0, 204);
    worker.close().await;
}
