//! Payloads, metadata, errors and log lines that contain HTML.

use serde_json::json;

use hatchet_quickstart::hatchet::wire::{
    proto::{PushEventRequest, PutLogRequest},
    timestamp_now,
};

use super::fixture::browse;
use crate::support::{Embedded, RawWorker, Target, Workflow};

/// Runs a script if a page inserts it as HTML instead of text.
const HTML: &str = r#"<img src="x" onerror="window.owned=1"><script>window.owned=1</script>"#;

async fn execute_run(target: &Target, worker: &mut RawWorker, workflow: &Workflow, fails: bool) -> String {
    let mut request = workflow.request(json!({ "name": HTML }));
    request.additional_metadata = Some(json!({ "note": HTML }).to_string());
    let run = target.try_trigger(request).await.unwrap();
    let action = worker.next_start().await;
    for (level, message) in [("INFO", "a line"), ("ERROR", HTML)] {
        let line = PutLogRequest {
            task_run_external_id: run.clone(),
            created_at: Some(timestamp_now()),
            message: message.to_owned(),
            level: Some(level.to_owned()),
            ..Default::default()
        };
        target.events().put_log(line).await.unwrap();
    }
    if fails {
        worker.fail(&action, &format!("ValueError: {HTML}\n  at line 1")).await;
    } else {
        worker.complete(&action, &json!({ "greeting": HTML }).to_string()).await;
    }
    run
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn payloads_are_text_and_requests_stay_at_the_engine() {
    let target = Target::embedded(Embedded::start().await);
    // Names cannot contain HTML.
    let workflow = target.workflow("greets").await;
    let mut worker = RawWorker::start(&target, &workflow, 3).await;
    let failed = execute_run(&target, &mut worker, &workflow, true).await;
    let completed = execute_run(&target, &mut worker, &workflow, false).await;
    let event =
        PushEventRequest { key: "a:b".to_owned(), payload: json!({ "name": HTML }).to_string(), ..Default::default() };
    target.events().push(event).await.unwrap();
    browse(&target, |page| {
        page.until_count("#view tbody tr", 2);
        for (id, own) in [(&completed, "greeting"), (&failed, "ValueError")] {
            page.open(&format!("#/runs/{id}"), &workflow.name);
            // Both runs have the same title.
            page.until_text("#view", own);
            page.click("[aria-label=Metadata] summary, [aria-label=Metadata]");
            let text = page.text("#view");
            for part in [own, "onerror=", "a line", "queued", "assigned"] {
                assert!(text.contains(part), "no {part} in {text}");
            }
        }
        page.open("#/events", "Events");
        page.until_text("#view tbody", "onerror=");
        let inserted = "[window.owned === undefined, document.querySelectorAll('main img, main script').length].join()";
        assert_eq!(page.value(inserted), "true,0");

        let (base, token) = (target.rest.base().to_owned(), target.token.clone());
        let requests = page.tab.requests();
        assert!(requests.len() > 20, "{requests:?}");
        let own = |url: &&str| url.starts_with(&base) || url.starts_with("data:") || *url == "about:blank";
        assert!(requests.iter().all(own), "{requests:?}");
        assert!(!requests.iter().any(|url| url.contains(&token)), "the token in an address");
    });
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn unexpected_metadata_and_schemas_leave_the_views_intact() {
    let target = Target::embedded(Embedded::start().await);
    let mut definition = target.definition("odd");
    let schema = json!({
        "allOf": [{ "$ref": "#" }, { "$ref": "#" }], "required": true,
        "properties": { "a": { "$ref": "#/$defs/%" }, "b": { "anyOf": "none" } },
    });
    definition.input_json_schema = Some(schema.to_string().into_bytes());
    let workflow = target.put(&definition).await;
    let mut request = workflow.request(json!({}));
    let metadata = json!({ "hatchet__parent_workflow_run_id": 5, "a=b": "c", "n": 1 });
    request.additional_metadata = Some(metadata.to_string());
    let run = target.try_trigger(request).await.unwrap();
    browse(&target, |page| {
        page.until_text("#view tbody", &workflow.name);
        page.open(&format!("#/runs/{run}"), &workflow.name);
        page.press_button("Commands");
        page.until_text("dialog [aria-label='Run it again']", "A command cannot express this metadata.");
        page.key("Escape");
        page.until_count("dialog", 0);
        page.open("#/workflows", "Workflows");
        page.until_text("#view tbody", "a?, b?");
        page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
        page.until_text("[aria-label='Input']", "a");
        page.until_text("#link", "live");
        assert_eq!(page.value("document.getElementById('gone').hidden"), true);
    });
}
