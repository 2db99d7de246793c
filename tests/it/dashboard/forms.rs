//! The form of an input schema, and the dialog that triggers a run with it.

use hatchet_quickstart::prelude::*;
use serde_json::{Value, json};

use super::fixture::{Page, browse};
use crate::support::{Embedded, RawWorker, Target, Workflow};

/// The schema that the Python SDK registers for a pydantic model with fields of every kind.
const PYDANTIC: &str = include_str!("pydantic_schema.json");

/// An engine with a workflow of this schema, and its worker.
async fn start(schema: Value) -> (Target, Workflow, RawWorker) {
    let target = Target::embedded(Embedded::start().await);
    let mut definition = target.definition("order");
    definition.input_json_schema = Some(schema.to_string().into_bytes());
    let workflow = target.put(&definition).await;
    let worker = RawWorker::start(&target, &workflow, 3).await;
    (target, workflow, worker)
}

fn open_form(page: &mut Page, workflow: &Workflow) {
    page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
    page.click(".heading button.primary");
    page.until_count("dialog .schema-form", 1);
}

fn fill(page: &mut Page, field: &str, text: &str) {
    page.fill(&format!("dialog {field} :is(input, select, textarea)"), text);
}

/// The text of the error of a field; `null` if there is no such field.
fn error(page: &mut Page, field: &str) -> Value {
    page.value(&format!("[...document.querySelectorAll('dialog {field} > .error')].at(-1)?.textContent"))
}

/// Sends the form, and returns the input that the worker receives.
fn send(page: &mut Page, worker: &mut RawWorker) -> Value {
    page.click("dialog [type=submit]");
    page.until("location.hash.startsWith('#/runs/') && document.querySelectorAll('dialog').length === 0");
    let action = page.wait(worker.next_start());
    page.wait(worker.complete(&action, "{}"));
    serde_json::from_str::<Value>(&action.action_payload).unwrap()["input"].take()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn form_of_pydantic_schema_sends_its_values() {
    let (target, workflow, mut worker) = start(serde_json::from_str(PYDANTIC).unwrap()).await;
    browse(&target, |page| {
        open_form(page, &workflow);
        let text = page.text("dialog .schema-form");
        for part in ["customer *", "Name of the customer", "integer, 1 to 10", "Where to send it.", "Five digits"] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        assert_eq!(
            page.value("document.querySelector('dialog [data-name=customer] input').placeholder"),
            "for example Ada"
        );
        page.pictures("form");
        fill(page, "[data-name=customer]", "Ada");
        fill(page, "[data-name=amount]", "3");
        page.click("dialog [data-name=express] input");
        fill(page, "[data-name=color]", "1");
        fill(page, "[data-name=due]", "2026-02-03");
        page.click("dialog [data-name=tags] .group > button");
        fill(page, "[data-name=tags] li:nth-child(1)", "fragile");
        page.click("dialog [data-name=tags] .group > button");
        fill(page, "[data-name=tags] li:nth-child(2)", "removed");
        page.click("dialog [data-name=tags] li:nth-child(2) > button");
        fill(page, "[data-name=address] [data-name=street]", "Main Street 1");
        fill(page, "[data-name=address] [data-name=zip]", "12345");
        page.fill("dialog [data-name=payment] .variant > select", "1");
        fill(page, "[data-name=payment] [data-name=days]", "14");
        page.click("dialog [data-name=size] input[type=checkbox]");
        fill(page, "[data-name=size] [data-name='1']", "7");
        fill(page, "[data-name=size] [data-name='2']", "8");
        let input = send(page, &mut worker);
        let expected = json!({
            "customer": "Ada", "amount": 3, "discount": 0.5, "express": true, "color": "green", "version": 2,
            "due": "2026-02-03", "tags": ["fragile"], "address": { "street": "Main Street 1", "zip": "12345" },
            "payment": { "kind": "invoice", "days": 14 }, "reference": "none", "size": [7, 8], "extra": {}, "related": [],
        });
        assert_eq!(input, expected, "fields that may be left out and are empty are left out");
    });
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn errors_are_beside_their_fields_and_nothing_is_sent() {
    let (target, workflow, worker) = start(serde_json::from_str(PYDANTIC).unwrap()).await;
    browse(&target, |page| {
        open_form(page, &workflow);
        fill(page, "[data-name=amount]", "eleven");
        fill(page, "[data-name=discount]", "0.5x");
        fill(page, "[data-name=address] [data-name=zip]", "123");
        fill(page, "[data-name=extra]", "{\"a\": \"b\"}");
        page.click("dialog [type=submit]");
        page.until_text("dialog [role=alert]", "Not sent: ");
        assert_eq!(error(page, "[data-name=customer]"), "must not be empty");
        assert_eq!(error(page, "[data-name=amount]"), "must be an integer");
        assert_eq!(error(page, "[data-name=discount]"), "must be a number");
        assert_eq!(error(page, "[data-name=address] [data-name=zip]"), "must match ^\\d{5}$");
        assert_eq!(error(page, "[data-name=extra]"), "a must be an integer");
        assert_eq!(error(page, "[data-name=color]"), "", "a valid field has no error");
        let focused = "document.activeElement.closest('[data-name]').dataset.name + document.activeElement.getAttribute('aria-invalid')";
        assert_eq!(page.value(focused), "customertrue", "the first invalid field has the focus");
        page.pictures("form-errors");
        fill(page, "[data-name=amount]", "11");
        page.click("dialog [type=submit]");
        assert_eq!(error(page, "[data-name=amount]"), "must be at most 10");
        fill(page, "[data-name=amount]", "18446744073709551615");
        page.click("dialog [type=submit]");
        page.until("document.querySelector('dialog [data-name=amount] > .error').textContent.includes('more digits than a browser can send')");
        page.press_button("Cancel");
        page.until_count("dialog", 0);
        let runs = format!(
            "/api/v1/stable/tenants/{}/workflow-runs?since=1970-01-01T00:00:00Z&only_tasks=false",
            target.tenant
        );
        assert_eq!(page.wait(target.rest.get(&runs)).1["rows"], json!([]));
    });
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn form_and_json_show_the_same_input() {
    let (target, workflow, mut worker) = start(serde_json::from_str(PYDANTIC).unwrap()).await;
    browse(&target, |page| {
        open_form(page, &workflow);
        fill(page, "[data-name=customer]", "Ada");
        page.press_button("Edit as JSON");
        let text = page.value("document.querySelector('dialog textarea.json').value");
        let mut input: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert_eq!((&input["customer"], &input["amount"]), (&json!("Ada"), &json!(1)));
        for (invalid, part) in [
            ("{", "is not valid JSON"),
            ("[]", "must be an object"),
            ("{\"amount\": 1e999}", "the number 1e999, which is out of range"),
            ("{\"customer\": 1}", "customer must be a string"),
        ] {
            page.fill("dialog textarea.json", invalid);
            page.click("dialog [type=submit]");
            page.until_text("dialog .schema-form .error", part);
        }
        // The form cannot show a field that the schema does not have.
        input["address"] = json!({ "street": "Main Street 1", "zip": "12345" });
        input["payment"] = json!({ "kind": "card", "number": "1" });
        input["other"] = json!([1]);
        page.fill("dialog textarea.json", &input.to_string());
        page.press_button("Edit as form");
        page.until_text("dialog .schema-form .error", "The form cannot show every part of this input.");
        input.as_object_mut().unwrap().remove("other");
        page.fill("dialog textarea.json", &input.to_string());
        page.press_button("Edit as form");
        page.until("document.querySelector('dialog [data-name=zip] input')?.value === '12345'");
        assert_eq!(page.value("document.querySelector('dialog [data-name=number] input').value"), "1");
        assert_eq!(send(page, &mut worker), input);
    });
    worker.close().await;
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Job {
    /// Name of the job.
    name: String,
    retries: u8,
    ratio: Option<f64>,
    level: Level,
    target: Destination,
    points: Vec<Point>,
    origin: Option<Point>,
    dry_run: bool,
    #[serde(default)]
    pages: Option<Vec<u32>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Level {
    /// No hurry.
    Low,
    High,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Destination {
    Nowhere,
    File { path: String },
    Point(Point),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Point {
    x: i32,
    y: i32,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn form_of_rust_type_sends_its_values() {
    let (target, workflow, mut worker) = start(schemars::schema_for!(Job).to_value()).await;
    browse(&target, |page| {
        open_form(page, &workflow);
        assert!(page.text("dialog [data-name=name] .hint").contains("Name of the job."));
        fill(page, "[data-name=name]", "nightly");
        fill(page, "[data-name=retries]", "300");
        page.click("dialog [type=submit]");
        assert_eq!(error(page, "[data-name=retries]"), "must be at most 255");
        assert_eq!(error(page, "[data-name=level]"), "is required");
        fill(page, "[data-name=retries]", "3");
        let level = page.value("[...document.querySelectorAll('dialog [data-name=level] option')].find((one) => one.text.startsWith('Low')).value");
        fill(page, "[data-name=level]", level.as_str().unwrap());
        let file = page.value("[...document.querySelectorAll('dialog [data-name=target] .variant > select option')].find((one) => one.text === 'File').value");
        page.fill("dialog [data-name=target] .variant > select", file.as_str().unwrap());
        fill(page, "[data-name=path]", "/data/out.csv");
        page.click("dialog [data-name=points] .group > button");
        fill(page, "[data-name=points] [data-name=x]", "1");
        fill(page, "[data-name=points] [data-name=y]", "-2");
        let job: Job = serde_json::from_value(send(page, &mut worker)).unwrap();
        let expected = Job {
            name: "nightly".to_owned(),
            retries: 3,
            ratio: None,
            level: Level::Low,
            target: Destination::File { path: "/data/out.csv".to_owned() },
            points: vec![Point { x: 1, y: -2 }],
            origin: None,
            dry_run: false,
            pages: None,
        };
        assert_eq!(job, expected);
    });
    worker.close().await;
}
