//! The dialog that pushes an event.

use serde_json::{Value, json};

use super::fixture::browse;
use crate::support::{Embedded, RawWorker, Target};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn event_is_pushed_and_starts_its_run() {
    let target = Target::embedded(Embedded::start().await);
    let mut definition = target.definition("on-event");
    definition.event_triggers = vec!["stock:low".to_owned()];
    let workflow = target.put(&definition).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    browse(&target, |page| {
        page.open("#/events", "Events");
        page.press_button("Push an event");
        page.until_count("dialog", 1);
        page.click("dialog [type=submit]");
        page.until_text("dialog [role=alert]", "the event needs a key");
        page.fill("#event-key", "stock:low");
        page.fill("#event-payload", "{");
        page.click("dialog [type=submit]");
        page.until_text("dialog [role=alert]", "the payload is not valid JSON");
        page.fill("#event-payload", r#"{"item": "<b>lamp</b>"}"#);
        page.fill("#event-metadata", r#"{"source": "page"}"#);
        page.until_text("dialog .command code", "runner events push stock:low");
        page.pictures("push-event");
        page.click("dialog [type=submit]");
        page.until_count("dialog", 0);
        let action = page.wait(worker.next_start());
        let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
        assert_eq!(payload["input"], json!({"item": "<b>lamp</b>"}));
        page.wait(worker.complete(&action, "{}"));
        page.until_text("#view tbody", "1 completed");
        assert!(page.text("#view tbody").contains("source: page"));
    });
    worker.close().await;
}
