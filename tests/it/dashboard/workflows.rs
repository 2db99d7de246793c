//! The workflows: the list, and one workflow with its tasks, schedules and runs.

use hatchet_quickstart::hatchet::wire::proto::v1::{Concurrency, CreateTaskOpts, CreateWorkflowVersionRequest};
use serde_json::json;

use super::fixture::browse;
use crate::support::{Embedded, RawWorker, Target};

/// A workflow of four tasks: two in the middle follow the first, the last follows both.
fn diamond(target: &Target) -> CreateWorkflowVersionRequest {
    let mut definition = target.definition("diamond");
    let task = |name: &str, parents: &[&str]| CreateTaskOpts {
        readable_id: name.to_owned(),
        action: format!("diamond:{name}"),
        parents: parents.iter().map(|parent| (*parent).to_owned()).collect(),
        ..definition.tasks[0].clone()
    };
    let mut tasks =
        vec![task("start", &[]), task("left", &["start"]), task("right", &["start"]), task("end", &["left", "right"])];
    tasks[1].retries = 3;
    tasks[1].timeout = "45s".to_owned();
    definition.tasks = tasks;
    definition.description = "Splits and joins.".to_owned();
    definition.event_triggers = vec!["stock:low".to_owned()];
    definition.cron_triggers = vec!["30 9 * * 1-5".to_owned()];
    definition.concurrency =
        Some(Concurrency { expression: "input.customer".to_owned(), max_runs: Some(2), ..Default::default() });
    definition.input_json_schema = Some(
        json!({
            "type": "object", "required": ["customer"],
            "properties": { "customer": { "type": "string", "description": "Who pays." }, "n": { "type": "integer", "default": 1 } },
        })
        .to_string()
        .into_bytes(),
    );
    definition
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn list_shows_tasks_inputs_triggers_and_last_runs() {
    let target = Target::embedded(Embedded::start().await);
    target.put(&diamond(&target)).await;
    let workflow = target.workflow("single").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    for fails in [false, true] {
        target.trigger(&workflow, json!({})).await;
        let action = worker.next_start().await;
        if fails {
            worker.fail(&action, "no").await;
        } else {
            worker.complete(&action, "{}").await;
        }
    }
    browse(&target, |page| {
        page.open("#/workflows", "Workflows");
        page.until_count("#view tbody tr", 2);
        let row = page.text("#view tbody tr:nth-child(1)");
        for part in
            ["diamond", "Splits and joins.", "4", "customer, n?", "cron 30 9 * * 1-5", "event stock:low", "none"]
        {
            assert!(row.contains(part), "no {part} in {row}");
        }
        page.until_count("#view tbody tr:nth-child(2) .dot", 2);
        assert_eq!(
            page.value("[...document.querySelectorAll('.dot')].map((one) => one.className).join()"),
            "dot COMPLETED,dot FAILED"
        );
        assert!(page.text("#view tbody tr:nth-child(2)").contains("failed"), "the status of the newest run as text");
        page.pictures("workflow-list");
        page.fill("[data-search]", "SING");
        page.until_count("#view tbody tr", 1);
        page.fill("[data-search]", "none");
        page.until_text(".nothing", "No workflow matches.");
        page.fill("[data-search]", "");
        page.until_count("#view tbody tr", 2);
        page.click("#view tbody a.name");
        page.until_text("#title", "diamond");
    });
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn workflow_shows_graph_input_limits_and_triggers() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.put(&diamond(&target)).await;
    browse(&target, |page| {
        page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
        page.until_count(".graph .task", 4);
        page.until_count(".graph .edge", 4);
        // Layers from left to right: the two middle tasks share a column.
        let columns = page
            .value("[...document.querySelectorAll('.graph .task rect')].map((one) => Number(one.getAttribute('x')))");
        let x = |index: usize| columns[index].as_f64().unwrap();
        assert!(x(0) < x(1) && x(1) == x(2) && x(2) < x(3), "{columns}");
        let text = page.text("#view");
        for part in [
            "2 per input.customer",
            "timeout 45s",
            "3 retries",
            "Who pays.",
            "default 1",
            "stock:low",
            "30 9 * * 1-5",
            "at 09:30 on Monday to Friday, UTC",
            "declared by the worker",
            "No scheduled runs.",
            "No runs.",
        ] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        page.pictures("workflow-diamond");
        page.click("[aria-label=Input] summary");
        page.until_text("[aria-label=Schema] pre", "\"customer\"");
        page.open("#/workflows/unknown", "unknown");
        page.until_text("#view", "The workflow unknown was not found.");
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn workflow_is_paused_and_resumed() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("paused").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    browse(&target, |page| {
        page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
        page.press_button("Pause");
        page.until_count("dialog", 1);
        page.fill("#pause-ttl", "soon");
        page.click("dialog [type=submit]");
        page.until_text("dialog [role=alert]", "pausedWorkflowQueueTTL");
        page.fill("#pause-ttl", "1h");
        page.pictures("pause");
        page.click("dialog [type=submit]");
        page.until_text(".heading .status", "paused");
        page.click(".heading button.primary");
        page.until_text("dialog", "This workflow is paused: its runs wait until it is resumed.");
        page.click("dialog [type=submit]");
        page.until("location.hash.startsWith('#/runs/')");
        page.until_text("#view .status", "queued");
        page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
        page.press_button("Resume");
        page.until_text(".heading .status", "active");
        let action = page.wait(worker.next_start());
        page.wait(worker.complete(&action, "{}"));
        page.until_text("[aria-label='Last runs'] tbody", "completed");
        page.tab.forget_errors();
    });
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn workflow_is_deleted_after_confirmation() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("deleted").await;
    let stays = target.workflow("stays").await;
    browse(&target, |page| {
        page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
        page.press_button("Delete");
        page.until_text("dialog", "Its runs stay in the list of runs.");
        page.press_button("Back");
        page.until_count("dialog", 0);
        assert_eq!(page.wait(target.rest.get(&format!("/api/v1/workflows/{}", workflow.workflow_id))).0, 200);
        page.press_button("Delete");
        page.until_count("dialog", 1);
        page.click("dialog .danger");
        page.until_text("#title", "Workflows");
        page.until_count("#view tbody tr", 1);
        page.until_text("#view tbody", &stays.name);
        // A refresh can find the workflow before the deletion and request its parts after it.
        let is_expected = |error: &&serde_json::Value| {
            let entry = &error["params"]["entry"];
            let contains = |field: &str, part: &str| entry[field].as_str().is_some_and(|text| text.contains(part));
            contains("url", &workflow.workflow_id) && contains("text", "404")
        };
        let errors = page.tab.errors();
        assert!(errors.iter().all(is_expected), "{errors:?}");
        page.tab.forget_errors();
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn unions_and_long_defaults_are_shown() {
    let target = Target::embedded(Embedded::start().await);
    let kind = |name: &str| json!({ "type": "object", "properties": { name: { "type": "string" } } });
    let mut union = target.definition("union");
    union.input_json_schema = Some(json!({ "anyOf": [kind("a"), kind("b")] }).to_string().into_bytes());
    target.put(&union).await;
    let mut long = target.definition("long");
    let default = json!({ "type": "string", "default": "x".repeat(1000) });
    let schema = json!({ "type": "object", "properties": { "destination": default } });
    long.input_json_schema = Some(schema.to_string().into_bytes());
    target.put(&long).await;
    browse(&target, |page| {
        page.open("#/workflows", "Workflows");
        page.until_text("#view tbody", "one of several kinds");
        page.open(&format!("#/workflows/{}", union.name), &union.name);
        page.until_text("[aria-label=Input]", "one of several kinds");
        page.open(&format!("#/workflows/{}", long.name), &long.name);
        page.until_text("[aria-label=Input]", "xxx…");
        page.pictures("long-default");
        // The name of the field stays on one line.
        let lines = "document.querySelector('[aria-label=Input] td .name').getClientRects().length";
        assert_eq!(page.value(lines), 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn long_names_keep_their_end() {
    let target = Target::embedded(Embedded::start().await);
    browse(&target, |page| {
        for (name, max, shown) in [
            ("load-customers-of-north", 19, "load-cust…-of-north"),
            ("load-customers", 19, "load-customers"),
            ("abcdefghij", 6, "ab…ij"),
        ] {
            let call = format!("import('/format.js').then((module) => module.shorten({name:?}, {max}))");
            assert_eq!(page.value(&call), shown);
        }
    });
}
