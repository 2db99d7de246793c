//! The view of one run.

use hatchet_quickstart::hatchet::wire::{proto::PutLogRequest, timestamp_now};

use super::fixture::{Shop, Summary, browse, email, images, order};
use crate::support::{Embedded, Target, within_timeout};

fn summary(text: &str) -> Summary {
    Summary { text: text.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn run_shows_values_metadata_attempts_and_history() {
    let shop = Shop::start().await;
    let id = shop.run("send-email", &email("slow@example.com"), &[("team", "blue")]).await;
    browse(&shop.target, |page| {
        page.open(&format!("#/runs/{id}"), "send-email");
        page.until_text(".heading .status", "completed");
        assert_eq!(page.value("document.title"), "send-email – Hatchet engine");
        assert!(page.text("[aria-label=Input] pre").contains("\"to\": \"slow@example.com\""));
        assert!(!page.text("[aria-label=Input] pre").contains("triggered_by"), "the input without its envelope");
        assert!(page.text("[aria-label=Output] pre").contains("\"done\": true"));

        // The client's own key is folded away.
        assert!(page.text("[aria-label=Metadata]").contains("blue"));
        assert!(!page.text("[aria-label=Metadata]").contains("rust_sdk_trigger"));
        page.click("[aria-label=Metadata] summary");
        page.until_text("[aria-label=Metadata]", "rust_sdk_trigger");

        page.until_count(".timeline .lane", 2);
        let lanes = page.value(
            "[...document.querySelectorAll('.lane svg')].map((lane) => lane.getAttribute('aria-label')).join('|')",
        );
        let lanes = lanes.as_str().unwrap().to_owned();
        let (first, second) = lanes.split_once('|').unwrap();
        assert!(first.starts_with("attempt 1: failed, queued ") && first.contains("running "), "{first}");
        assert!(second.starts_with("attempt 2: completed, queued "), "{second}");
        assert!(
            page.text(".failures").contains("attempt 1: ") && page.text(".failures").contains("421 try again later")
        );

        let history = page.text("[aria-label=History]");
        let order = ["queued", "assigned", "started", "failed", "retrying", "finished"].map(|kind| history.find(kind));
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{history}");
        // Within the first second, the distance is "now".
        page.until_text(".facts", "ago");
        assert!(page.text(".facts").contains("20"), "a date and its distance");
        // A reload stays at the run, and its details do not close while it is refreshed.
        page.value("window.shown = document.querySelector('[aria-label=Metadata] details')");
        page.wait(shop.target.replay(&[&id]));
        page.until_count(".timeline .lane", 3);
        assert_eq!(page.value("window.shown.isConnected && window.shown.open"), true);
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn run_is_cancelled_and_replayed() {
    let shop = Shop::start().await;
    let id = shop.trigger("sync-stock", &summary("all"), &[]).await;
    browse(&shop.target, |page| {
        page.open(&format!("#/runs/{id}"), "sync-stock");
        page.until_text(".heading .status", "running");
        page.press_button("Cancel");
        page.until_text("#notices", "Cancelled.");
        page.until_text(".heading .status", "cancelled");
        page.press_button("Replay");
        page.until_text(".heading .status", "running");
        page.press_button("Cancel");
        page.until_text(".heading .status", "cancelled");
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn id_and_command_are_copied() {
    let shop = Shop::start().await;
    let id = shop.run("send-email", &email("o'hara@example.com"), &[("team", "blue sky")]).await;
    browse(&shop.target, |page| {
        page.open(&format!("#/runs/{id}"), "send-email");
        page.value("window.copied = []; navigator.clipboard.writeText = async (text) => { window.copied.push(text); }");
        page.press_button("Copy id");
        page.press_button("Commands");
        page.until_text("dialog", &format!("runner runs replay {id} --embedded"));
        page.click("[aria-label='Copy: Run it again']");
        page.until("window.copied.length === 2");
        assert_eq!(page.value("window.copied[0]"), id.as_str());
        let command = r#"runner run send-email --input-json '{"subject":"Your order has shipped","to":"o'\''hara@example.com"}' --metadata 'team=blue sky' --embedded"#;
        let copied = page.value("window.copied[1]").as_str().unwrap().to_owned();
        let swapped = r#"runner run send-email --input-json '{"to":"o'\''hara@example.com","subject":"Your order has shipped"}' --metadata 'team=blue sky' --embedded"#;
        assert!(copied == command || copied == swapped, "{copied}");
        page.key("Escape");
        page.until_count("dialog", 0);
        // Without access to the clipboard, the text is shown and selected.
        page.value("navigator.clipboard.writeText = async () => { throw new Error('denied'); }");
        page.press_button("Copy id");
        page.until("document.activeElement.tagName === 'TEXTAREA' && getSelection().toString().length === 36 || document.activeElement.selectionEnd === 36");
        page.key("Escape");
        page.until_count("dialog", 0);
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn parents_and_children_form_a_tree() {
    let shop = Shop::start().await;
    let parent = shop.run("resize-images", &images(&["a.png", "b.png", "notes.txt"]), &[]).await;
    browse(&shop.target, |page| {
        page.open(&format!("#/runs/{parent}"), "resize-images");
        page.until_count(".tree ul .node", 3);
        assert_eq!(page.value("document.querySelectorAll('.tree ul .COMPLETED').length"), 2);
        assert_eq!(page.value("document.querySelectorAll('.tree ul .FAILED').length"), 1);
        assert!(page.text("[aria-label=Error] pre").contains("notes.txt is not an image"));
        page.click(".tree ul .node a");
        page.until_text("#title", "resize-image");
        page.until(&format!("location.hash !== '#/runs/{parent}' && document.querySelector('.tree > li > .node a')?.hash === '#/runs/{parent}'"));
        page.click(".tree > li > .node a");
        page.until(&format!("location.hash === '#/runs/{parent}'"));
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn tasks_of_a_workflow_are_shown_with_their_own_values() {
    let shop = Shop::start().await;
    let id = shop.run("fulfill-order", &order(7, 0), &[]).await;
    browse(&shop.target, |page| {
        page.open(&format!("#/runs/{id}"), "fulfill-order");
        page.until_count("[aria-label=Tasks] tbody tr", 5);
        assert!(page.text("[aria-label=Input] pre").contains("\"order\": 7"));
        assert!(page.text("[aria-label=Error] pre").contains("card refused"));
        assert!(page.text("[aria-label=Log]").contains("reserved 2 items of order 7"));
        page.value("[...document.querySelectorAll('[aria-label=Tasks] tbody a')].find((link) => link.innerText === 'reserve-stock').click()");
        page.until_text("[aria-label='Task reserve-stock']", "completed");
        page.until_text("[aria-label='Task output'] pre", "\"done\": true");
        // The log and the history are those of the task.
        assert!(!page.text("[aria-label=Log]").contains("refused the card"));
        assert!(!page.text("[aria-label=History]").contains("charge-card"));
        page.press_button("Close");
        page.until_text("[aria-label=Log]", "refused the card");
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn log_is_live_and_searched_by_text_and_level() {
    let shop = Shop::start().await;
    let id = shop.trigger("summarize", &summary("one two three"), &[]).await;
    shop.permits.add_permits(1);
    let order = shop.run("fulfill-order", &order(1, 0), &[]).await;
    browse(&shop.target, |page| {
        page.open(&format!("#/runs/{id}"), "summarize");
        page.until_text("[aria-label=Log]", "wrote \"one\"");
        page.fill("[aria-label='Search in the log']", "TWO");
        page.until_text("[aria-label=Log]", "No line matches.");
        shop.permits.add_permits(2);
        page.until_text(".logs", "wrote \"two\"");
        page.until_text("[aria-label=Log]", "1 of 3 lines");
        assert_eq!(page.value("document.activeElement.value"), "TWO", "the field keeps focus and text");

        page.open(&format!("#/runs/{order}"), "fulfill-order");
        page.until_text(".logs", "refused the card");
        assert_eq!(page.value("document.querySelector('[aria-label=\"Search in the log\"]').value"), "");
        page.fill("[aria-label=Level]", "ERROR");
        page.until_count(".logs li", 1);
        page.until_text(".logs", "refused the card");
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn cron_run_shows_its_own_input() {
    let shop = Shop::start().await;
    let crons = format!("/api/v1/tenants/{}/workflows/crons", shop.target.tenant);
    let (_, list) = shop.target.rest.get(&crons).await;
    let cron = list["rows"][0]["metadata"]["id"].as_str().unwrap();
    let (_, run) = shop.target.rest.post(&format!("{crons}/{cron}"), serde_json::json!({})).await;
    let id = run["externalId"].as_str().unwrap();
    within_timeout("the run ends", shop.target.done(id)).await;
    browse(&shop.target, |page| {
        page.open(&format!("#/runs/{id}"), "nightly-report");
        page.until_text(".heading", "cron 0 3 * * *");
        let input = page.text("[aria-label=Input] pre");
        assert!(input.contains("sales of yesterday") && !input.contains("triggered_by"), "{input}");
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn stream_is_live() {
    let shop = Shop::start().await;
    let text: String = (0..300).map(|number| format!("word{number} ")).collect();
    let id = shop.trigger("summarize", &summary(&text), &[]).await;
    browse(&shop.target, |page| {
        page.open(&format!("#/runs/{id}"), "summarize");
        page.until_text(".heading .status", "running");
        shop.send_words_until_shown(page);
        page.until_text("[aria-label=Stream]", "live");
        // A hidden page closes the stream, and opens it again when it is shown.
        for hidden in [true, false] {
            page.value(&format!(
                "Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }}); \
                 document.dispatchEvent(new Event('visibilitychange'))"
            ));
        }
        page.until_text("pre.stream", "— chunks may be missing —");
        page.until_text("[aria-label=Stream]", "live");
        // The page shows "live" before the engine has opened the stream.
        shop.send_words_until_shown_after_gap(page);
        shop.permits.add_permits(300);
        page.until_text("pre.stream", "word299");
        page.until_text("[aria-label=Stream]", "ended");
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn log_says_that_older_lines_are_deleted() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("chatty").await;
    let run = target.trigger(&workflow, serde_json::json!({})).await;
    let mut events = target.events();
    let mut put = async |number: u32| {
        let line = PutLogRequest {
            task_run_external_id: run.clone(),
            created_at: Some(timestamp_now()),
            message: format!("line {number}"),
            ..Default::default()
        };
        events.put_log(line).await.unwrap();
    };
    for number in 0..999 {
        put(number).await;
    }
    browse(&target, |page| {
        page.open(&format!("#/runs/{run}"), &workflow.name);
        page.until_count(".logs li", 999);
        assert!(!page.text("[aria-label=Log]").contains("only the newest"));
        page.wait(put(999));
        page.until_text("[aria-label=Log]", "only the newest 1,000 lines of each task");
        page.until_count(".logs li", 1000);
    });
}
