//! The dialog that triggers a run: choice of the workflow, metadata, priority, time, and the command.

use serde_json::{Value, json};

use super::fixture::browse;
use crate::support::{Embedded, RawWorker, Target};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn run_is_triggered_with_metadata_and_priority() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("plain").await;
    target.workflow("another").await;
    let mut worker = RawWorker::start(&target, &workflow, 3).await;
    browse(&target, |page| {
        page.open("#/workflows", "Workflows");
        page.until_count("#view tbody tr", 2);
        page.value("window.opener_ = document.querySelector('#view button'); opener_.focus()");
        page.key("t");
        page.until_count("dialog", 1);
        page.key("Escape");
        page.until_count("dialog", 0);
        page.until("document.activeElement === opener_");

        page.key("t");
        page.until_count("#trigger-workflow option", 2);
        page.fill("#trigger-workflow", &workflow.name);
        page.until_text("dialog .command code", &format!("runner run {}", workflow.name));
        page.fill("dialog .schema-form textarea", r#"{"text": "it's <b>HTML</b>"}"#);
        page.until_text("dialog .command code", "--input-json");
        page.value("document.querySelector('dialog details').open = true");
        page.fill("#trigger-metadata", "[1]");
        page.until_count("dialog .command code", 0);
        page.click("dialog [type=submit]");
        page.until_text("dialog [role=alert]", "the metadata must be a JSON object");
        page.fill("#trigger-metadata", r#"{"team": "north"}"#);
        page.until_text("dialog .command code", "--metadata team=north");
        page.fill("#trigger-priority", "3");
        page.pictures("trigger");
        page.click("dialog [type=submit]");
        page.until("location.hash.startsWith('#/runs/') && document.querySelectorAll('dialog').length === 0");
        let action = page.wait(worker.next_start());
        let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
        assert_eq!((&payload["input"]["text"], action.priority), (&json!("it's <b>HTML</b>"), 3));
        assert!(action.additional_metadata.as_deref().unwrap().contains("north"));
        page.wait(worker.complete(&action, "{}"));
        page.until_text("#view", "completed");
    });
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn key_opens_the_dialog_in_each_view() {
    let target = Target::embedded(Embedded::start().await);
    target.workflow("plain").await;
    browse(&target, |page| {
        for (view, title) in [
            ("runs", "Runs"),
            ("workflows", "Workflows"),
            ("workers", "Workers"),
            ("schedules", "Schedules"),
            ("events", "Events"),
        ] {
            page.open(&format!("#/{view}"), title);
            page.until("!document.getElementById('view').innerText.includes('Loading')");
            page.key("t");
            let input = if view == "events" { "dialog #event-key" } else { "dialog #trigger-workflow" };
            page.until_count(input, 1);
            page.key("Escape");
            page.until_count("dialog", 0);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn error_of_the_engine_is_shown_and_the_input_stays() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("gone").await;
    browse(&target, |page| {
        page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
        page.click(".heading button.primary");
        page.until_count("dialog .schema-form", 1);
        page.fill("dialog .schema-form textarea", r#"{"n": 1}"#);
        let path = format!("/api/v1/workflows/{}", workflow.workflow_id);
        assert_eq!(page.wait(target.rest.delete(&path)).0, 204);
        page.click("dialog [type=submit]");
        page.until_text("dialog [role=alert]", "workflow names not found");
        assert_eq!(page.value("document.querySelector('dialog .schema-form textarea').value"), r#"{"n": 1}"#);
        page.press_button("Cancel");
        page.until_text("#view", "was not found");
        page.tab.forget_errors();
    });
}

/// The REST API accepts as large an input as the gRPC services.
#[tokio::test(flavor = "multi_thread")]
async fn input_up_to_the_message_limit_is_accepted() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("large").await;
    let path = format!("/api/v1/stable/tenants/{}/workflow-runs/trigger", target.tenant);
    for (megabytes, status) in [(3, 200), (5, 413)] {
        let input = json!({ "text": "x".repeat(megabytes * 1024 * 1024) });
        let response = target.rest.post(&path, json!({ "workflowName": workflow.name, "input": input })).await;
        assert_eq!(response.0, status, "{megabytes} MiB: {}", response.1["message"]);
        if status == 413 {
            assert!(response.1["message"].as_str().unwrap().contains("larger than a message"), "{}", response.1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn run_with_a_time_is_scheduled() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("later").await;
    browse(&target, |page| {
        page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
        page.press_button("Schedule a run");
        page.until_count("dialog #trigger-at", 1);
        assert_eq!(page.text("dialog [type=submit]"), "Schedule");
        page.fill("#trigger-at", "2099-01-31T12:00:05");
        page.fill("dialog .schema-form textarea", r#"{"n": 1}"#);
        page.click("dialog [type=submit]");
        page.until_count("dialog", 0);
        page.until_text("[aria-label='Scheduled runs'] tbody", "2099");
        let list = format!("/api/v1/tenants/{}/workflows/scheduled", target.tenant);
        let list = page.wait(target.rest.get(&list)).1;
        assert_eq!((&list["rows"][0]["input"], list["rows"].as_array().unwrap().len()), (&json!({"n": 1}), 1));
        page.press_button("Schedule a run");
        page.until_count("dialog #trigger-at", 1);
        page.fill("#trigger-at", "2001-01-31T12:00:00");
        page.click("dialog [type=submit]");
        page.until_text("#notices .notice:last-child", "starts now, because the time is in the past");
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn workflow_stays_chosen_if_the_next_one_cannot_be_loaded() {
    let target = Target::embedded(Embedded::start().await);
    let (first, second) = (target.workflow("a-first").await, target.workflow("b-second").await);
    browse(&target, |page| {
        page.value(
            "window.fetch_ = fetch; window.fetch = (path, request) => \
             window.isDown && path.endsWith('/versions') ? Promise.reject(new TypeError('down')) : fetch_(path, request)",
        );
        for (hash, title, button, select) in [
            ("#/runs", "Runs", "Trigger a run", "#trigger-workflow"),
            ("#/schedules", "Schedules", "New cron", "#cron-workflow"),
        ] {
            page.value("window.isDown = false");
            page.open(hash, title);
            page.press_button(button);
            page.until_count(&format!("{select} option"), 2);
            page.value("window.isDown = true");
            page.fill(select, &second.name);
            page.until_text("dialog [role=alert]", "The engine does not respond");
            let chosen = format!("document.querySelector({select:?}).value");
            assert_eq!(page.value(&chosen), first.name.as_str(), "{select}");
            page.until("!document.querySelector('dialog [type=submit]').disabled");
            page.value("window.isDown = false");
            page.fill(select, &second.name);
            page.until_text("dialog [role=alert]", "");
            page.until(&format!(
                "{chosen} === {:?} && !document.querySelector('dialog [type=submit]').disabled",
                second.name
            ));
            page.key("Escape");
            page.until_count("dialog", 0);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn input_with_more_digits_than_a_browser_keeps_is_not_sent_again() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("large").await;
    let [large, small] = [9_007_199_254_740_993_u64, 9_007_199_254_740_991];
    let run = target.trigger(&workflow, json!({ "n": large })).await;
    let exact = target.trigger(&workflow, json!({ "n": small, "text": large.to_string() })).await;
    browse(&target, |page| {
        page.open(&format!("#/runs/{run}"), &workflow.name);
        page.until_text("[aria-label=Input]", "not exact");
        page.press_button("Run with changed input");
        page.until_text("#notices", "9007199254740993 has more digits than a browser can send. Use the runner for it");
        page.press_button("Commands");
        page.until_text("dialog [aria-label='Run it again']", "9007199254740993 has more digits");
        assert_eq!(page.value("!!document.querySelector(\"[aria-label='Copy: Run it again']\")"), false);
        page.key("Escape");
        page.until_count("dialog", 0);
        page.open("#/runs", "Runs");
        page.open(&format!("#/runs/{exact}"), &workflow.name);
        page.until_text("[aria-label=Input] pre", "9007199254740991");
        page.press_button("Run with changed input");
        page.until_count("dialog .schema-form", 1);
    });
}
