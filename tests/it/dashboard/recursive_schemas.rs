//! Forms of input schemas that refer to themselves.

use serde_json::{Value, json};

use super::fixture::{Page, browse};
use crate::support::{Embedded, Target, Workflow};

/// An engine with a workflow of each of these schemas.
async fn start(schemas: &[Value]) -> (Target, Vec<Workflow>) {
    let target = Target::embedded(Embedded::start().await);
    let mut workflows = Vec::new();
    for (number, schema) in schemas.iter().enumerate() {
        let mut definition = target.definition(&format!("recursive-{number}"));
        definition.input_json_schema = Some(schema.to_string().into_bytes());
        workflows.push(target.put(&definition).await);
    }
    (target, workflows)
}

fn open_form(page: &mut Page, workflow: &Workflow) {
    page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
    page.click(".heading button.primary");
    page.until_count("dialog .schema-form", 1);
}

fn close_form(page: &mut Page) {
    page.key("Escape");
    page.until_count("dialog", 0);
}

/// The number of fields with this name.
fn count(page: &mut Page, name: &str) -> Value {
    page.value(&format!("document.querySelectorAll('dialog [data-name={name}]').length"))
}

/// Sends the form, and returns the input of the run.
fn send(page: &mut Page, target: &Target) -> Value {
    page.click("dialog [type=submit]");
    page.until("location.hash.startsWith('#/runs/') && document.querySelectorAll('dialog').length === 0");
    let id = page.value("location.hash.split('/')[2]").as_str().unwrap().to_owned();
    let mut details = page.wait(target.details(&id)).unwrap();
    serde_json::from_slice::<Value>(&std::mem::take(&mut details.input)).unwrap()
}

/// The schemas have a field `node` of a type that contains itself in one of several ways.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn form_of_schema_that_requires_itself_ends() {
    let object = |properties: Value, definitions: Value| {
        let required: Vec<&String> = properties.as_object().unwrap().keys().collect();
        json!({ "type": "object", "properties": properties, "required": required, "$defs": definitions })
    };
    let node = |next: Value| {
        json!({
            "type": "object", "required": ["name", "next"],
            "properties": { "name": { "type": "string" }, "next": next },
        })
    };
    let reference = json!({ "$ref": "#/$defs/Node" });
    let of = |definition: Value| object(json!({ "node": reference }), json!({ "Node": definition }));
    let whole = object(json!({ "name": { "type": "string" }, "next": { "$ref": "#" } }), json!({}));
    let mutual = object(
        json!({ "node": reference }),
        json!({ "Node": node(json!({ "$ref": "#/$defs/Other" })), "Other": node(reference.clone()) }),
    );
    let union = of(json!({ "anyOf": [node(reference.clone()), { "type": "string" }] }));
    let tuple = of(node(json!({ "type": "array", "prefixItems": [reference, { "type": "integer" }] })));
    let default = of(json!({
        "type": "object", "default": { "next": {} }, "required": ["next"],
        "properties": { "name": { "type": "string" }, "next": reference },
    }));
    let all = of(json!({ "allOf": [node(reference.clone()), reference] }));
    let (target, workflows) = start(&[whole, of(node(reference.clone())), mutual, union, tuple, default, all]).await;
    browse(&target, |page| {
        // A level more is drawn for two types that contain each other.
        for (workflow, names) in workflows.iter().zip([1, 1, 2, 1, 1, 1, 1]) {
            open_form(page, workflow);
            assert_eq!(count(page, "name"), names, "{}", workflow.name);
            let before = count(page, "next").as_u64().unwrap();
            let boxes = "[...document.querySelectorAll('dialog .schema-form label.inline')].filter((label) => label.innerText.includes('set (required)'))";
            assert_eq!(page.value(&format!("{boxes}.length")), 1, "{}", workflow.name);
            page.value(&format!("{boxes}[0].querySelector('input').click()"));
            assert!(count(page, "next").as_u64().unwrap() > before, "{}: the next level is added", workflow.name);
            page.press_button("Edit as JSON");
            page.until_count("dialog .schema-form textarea", 1);
            close_form(page);
        }
        // Its value is sent once the user has ended the recursion.
        open_form(page, &workflows[3]);
        page.fill("dialog [data-name=name] input", "first");
        page.click("dialog [type=submit]");
        page.until_text("dialog [role=alert]", "node.next is required");
        page.click("dialog [data-name=next] label.inline input");
        page.fill("dialog [data-name=next] .variant > select", "1");
        page.fill("dialog [data-name=next] .variant input", "last");
        assert_eq!(send(page, &target)["node"], json!({ "name": "first", "next": "last" }));
        // A run with this input fills the form again.
        page.press_button("Run with changed input");
        page.until_count("dialog .schema-form", 1);
        assert_eq!(page.value("document.querySelector('dialog [data-name=next] .variant input').value"), "last");
        close_form(page);
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn items_of_recursive_schema_are_added_at_each_level() {
    let schema = json!({
        "type": "object", "required": ["name"],
        "properties": { "name": { "type": "string" }, "children": { "type": "array", "items": { "$ref": "#" } } },
    });
    let (target, workflows) = start(&[schema]).await;
    browse(&target, |page| {
        open_form(page, &workflows[0]);
        page.fill("dialog [data-name=name] input", "a");
        for (level, name) in ["b", "c", "d"].into_iter().enumerate() {
            // The button of the deepest list is the first one.
            page.click("dialog [data-name=children] .group > button");
            let input = format!("[...document.querySelectorAll('dialog [data-name=name] input')][{}]", level + 1);
            page.value(&format!("{input}.value = {name:?}"));
        }
        let input = send(page, &target);
        let d = json!({ "name": "d" });
        let c = json!({ "name": "c", "children": [d] });
        assert_eq!(input, json!({ "name": "a", "children": [{ "name": "b", "children": [c] }] }));
        // The form starts with all levels of a value.
        page.press_button("Run with changed input");
        page.until_count("dialog [data-name=name]", 4);
        assert_eq!(send(page, &target), input);
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn alternatives_that_refer_to_themselves_are_one_choice() {
    let field = json!({ "type": "object", "properties": { "value": { "$ref": "#/$defs/A" } }, "required": ["value"] });
    let with = |definitions: Value| {
        let mut schema = field.clone();
        schema["$defs"] = definitions;
        schema
    };
    let direct =
        with(json!({ "A": { "anyOf": [{ "$ref": "#/$defs/A" }, { "type": "string" }, { "type": "integer" }] } }));
    let mutual = with(json!({
        "A": { "anyOf": [{ "$ref": "#/$defs/B" }, { "type": "string" }] },
        "B": { "oneOf": [{ "$ref": "#/$defs/A" }, { "type": "integer" }] },
    }));
    let endless = with(json!({ "A": { "anyOf": [{ "$ref": "#/$defs/A" }] } }));
    let reference = with(json!({ "A": { "$ref": "#/$defs/A" } }));
    let (target, workflows) = start(&[direct, mutual, endless, reference]).await;
    browse(&target, |page| {
        for workflow in &workflows[..2] {
            open_form(page, workflow);
            let kinds = "[...document.querySelectorAll('dialog .variant > select option')].map((one) => one.innerText).sort().join()";
            assert_eq!(page.value(kinds), "integer,string", "{}", workflow.name);
            page.press_button("Edit as JSON");
            page.fill("dialog textarea.json", r#"{"value": true}"#);
            page.click("dialog [type=submit]");
            page.until_text("dialog .schema-form .error", "value must be a");
            page.fill("dialog textarea.json", r#"{"value": 7}"#);
            assert_eq!(send(page, &target), json!({ "value": 7 }));
        }
        // A schema that says nothing else is a field for JSON.
        for workflow in &workflows[2..] {
            open_form(page, workflow);
            page.fill("dialog [data-name=value] textarea", "[1]");
            assert_eq!(send(page, &target), json!({ "value": [1] }));
        }
    });
}

/// A list of alternatives that is used twice has the members beside each use. Lists that contain each other are one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn alternatives_used_twice_are_combined_with_each_use() {
    let text = |name: &str| json!({ "properties": { name: { "type": "string" } }, "required": [name] });
    let used = |name: &str| {
        let mut schema = text(name);
        schema["$ref"] = json!("#/$defs/A");
        schema
    };
    let with = |value: Value, definitions: Value| json!({ "type": "object", "properties": { "value": value }, "required": ["value"], "$defs": definitions });
    let shape = |name: &str| {
        let mut schema = text(name);
        schema["type"] = json!("object");
        schema["title"] = json!(name);
        schema
    };
    let twice = with(json!({ "anyOf": [used("x"), used("y")] }), json!({ "A": { "anyOf": [shape("r"), shape("w")] } }));
    let of = |others: [&str; 2], own: &str| {
        let [first, second] = others.map(|name| json!({ "$ref": format!("#/$defs/{name}") }));
        json!({ "anyOf": [first, second, { "type": own }] })
    };
    let circle = with(
        json!({ "$ref": "#/$defs/A" }),
        json!({ "A": of(["B", "C"], "string"), "B": of(["A", "C"], "integer"), "C": of(["A", "B"], "array") }),
    );
    // Twelve definitions that contain each other have millions of ways from one to another.
    let names: Vec<String> = (0..12).map(|number| format!("D{number}")).collect();
    let references: Vec<Value> = names.iter().map(|name| json!({ "$ref": format!("#/$defs/{name}") })).collect();
    let definition = |name: &String| {
        let own = json!({ "type": "object", "title": name, "properties": { name: { "type": "string" } } });
        json!({ "anyOf": references.iter().cloned().chain([own]).collect::<Vec<_>>() })
    };
    let dense: serde_json::Map<String, Value> = names.iter().map(|name| (name.clone(), definition(name))).collect();
    let dense = with(references[0].clone(), Value::Object(dense));
    let (target, workflows) = start(&[circle, dense, twice]).await;
    browse(&target, |page| {
        let kinds =
            "[...document.querySelectorAll('dialog .variant > select option')].map((one) => one.innerText).sort()";
        for (workflow, expected) in workflows.iter().zip([json!(["array", "integer", "string"]), json!(names)]) {
            open_form(page, workflow);
            let mut expected: Vec<Value> = expected.as_array().cloned().unwrap();
            expected.sort_by_key(Value::to_string);
            assert_eq!(page.value(kinds), Value::Array(expected), "{}", workflow.name);
            close_form(page);
        }
        open_form(page, &workflows[2]);
        assert_eq!(page.value(kinds), json!(["r", "r", "w", "w"]));
        page.fill("dialog [data-name=value] .variant > select", "3");
        page.fill("dialog [data-name=y] input", "a");
        page.fill("dialog [data-name=w] input", "b");
        assert_eq!(send(page, &target), json!({ "value": { "y": "a", "w": "b" } }));
    });
}

/// Alternatives with equal members check each value once for each of them, not once for each way through the levels.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn deep_value_of_recursive_alternatives_is_validated() {
    let operation = |kind: &str| {
        json!({
            "type": "object", "required": ["kind", "left", "right"],
            "properties": { "kind": { "const": kind }, "left": { "$ref": "#/$defs/E" }, "right": { "$ref": "#/$defs/E" } },
        })
    };
    let kinds: Vec<Value> =
        ["add", "sub", "mul", "div"].map(operation).into_iter().chain([json!({ "type": "integer" })]).collect();
    let schema = json!({ "type": "object", "properties": { "e": { "$ref": "#/$defs/E" } }, "$defs": { "E": { "oneOf": kinds } } });
    let (target, workflows) = start(&[schema]).await;
    let depth = 20;
    let deep = |last: Value| (0..depth).fold(last, |left, _| json!({ "kind": "div", "left": left, "right": 1 }));
    browse(&target, |page| {
        open_form(page, &workflows[0]);
        page.press_button("Edit as JSON");
        page.fill("dialog textarea.json", &json!({ "e": deep(json!("x")) }).to_string());
        page.click("dialog [type=submit]");
        page.until_text(
            "dialog .schema-form .error",
            &format!("e.{}left must be an object, or must be an integer", "left.".repeat(depth - 1)),
        );
        let valid = json!({ "e": deep(json!(1)) });
        page.fill("dialog textarea.json", &valid.to_string());
        assert_eq!(send(page, &target), valid);
    });
}
