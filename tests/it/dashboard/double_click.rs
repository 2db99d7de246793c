//! A button that sends a request sends one, however often it is clicked before the response.

use super::fixture::{Page, Shop, Summary, browse};
use crate::support::{Embedded, RawWorker, Target};

/// Holds requests that change something until `release` is called, and counts them.
const HOLD: &str = "{
    window.changes = []; window.release = null;
    const released = new Promise((resolve) => { window.release = resolve; });
    const real = window.realFetch ??= fetch;
    window.fetch = async (path, request) => {
        if (request.method && request.method !== 'GET') { changes.push(request.method + ' ' + path); await released; }
        return real(path, request);
    };
    }";

/// Clicks twice, checks that one request is sent, and lets it go on.
fn click_twice(page: &mut Page, button: &str) {
    page.until(&format!("({button})?.disabled === false"));
    page.value(HOLD);
    page.value(&format!("{{ const button = {button}; button.click(); button.click(); }}"));
    page.until("changes.length > 0");
    // A redraw of the view does not enable the button.
    page.value(&format!("({button})?.click()"));
    assert_eq!(page.value("changes.length"), 1, "{button}: {}", page.value("changes"));
    page.value("release()");
}

fn submit(page: &mut Page) {
    click_twice(page, "document.querySelector('dialog [type=submit]')");
    page.until_count("dialog", 0);
}

fn named(text: &str) -> String {
    format!("[...document.querySelectorAll('button')].find((one) => one.innerText === {text:?})")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn actions_of_a_run_are_sent_once() {
    let shop = Shop::start().await;
    let id = shop.trigger("sync-stock", &Summary { text: "all".to_owned() }, &[]).await;
    browse(&shop.target, |page| {
        page.open(&format!("#/runs/{id}"), "sync-stock");
        page.until_text(".heading .status", "running");
        click_twice(page, &named("Cancel"));
        page.until_text(".heading .status", "cancelled");
        click_twice(page, &named("Replay"));
        page.until_text(".heading .status", "running");
        page.press_button("Run with changed input");
        page.until_count("dialog .schema-form", 1);
        submit(page);
        page.until(&format!("location.hash.startsWith('#/runs/') && !location.hash.includes('{id}')"));
        page.open("#/runs", "Runs");
        page.until_count("#view tbody tr", 2);
        page.click("[aria-label='Select all runs of this page']");
        page.press_button("Cancel");
        page.until_count("dialog", 1);
        click_twice(page, "document.querySelector('dialog .danger') ?? document.querySelector('.bulk .danger')");
        page.until_text("#notices", "Of 2 runs, ");
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn dialogs_and_rows_send_once() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("report").await;
    let worker = RawWorker::start(&target, &workflow, 1).await;
    browse(&target, |page| {
        page.open("#/events", "Events");
        page.press_button("Push an event");
        page.fill("#event-key", "order:created");
        submit(page);
        page.until_count("#view tbody tr", 1);

        page.open("#/schedules", "Schedules");
        page.press_button("New cron");
        page.until_count("dialog .schema-form", 1);
        page.fill("#cron-name", "nightly");
        page.fill("#cron-expression", "0 0 1 1 *");
        submit(page);
        page.until_count("[aria-label=Crons] tbody tr", 1);
        click_twice(page, &named("Disable"));
        page.until_text("[aria-label=Crons] .status", "disabled");

        page.press_button("Schedule a run");
        page.until_count("dialog .schema-form", 1);
        page.fill("#trigger-at", "2099-01-31T12:00:00");
        submit(page);
        page.until_count("[aria-label='Scheduled runs'] tbody tr", 1);
        page.press_button("Change time");
        page.fill("#schedule-at", "2098-01-31T12:00:00");
        submit(page);
        page.until_text("[aria-label='Scheduled runs']", "2098");

        page.open("#/workers", "Workers");
        click_twice(page, &named("Pause"));
        page.until_text(".worker .status", "paused");

        page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
        page.press_button("Pause");
        page.until_count("dialog", 1);
        submit(page);
        page.until_text(".heading .status", "paused");
        click_twice(page, &named("Resume"));
        page.until_text(".heading .status", "active");
        let crons = format!("/api/v1/tenants/{}/workflows/crons", target.tenant);
        assert_eq!(page.wait(target.rest.get(&crons)).1["rows"].as_array().map(Vec::len), Some(1));
    });
    worker.close().await;
}

/// An error of the engine enables the button again and returns the focus to it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn button_is_enabled_after_an_error() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("report").await;
    browse(&target, |page| {
        page.open(&format!("#/workflows/{}", workflow.name), &workflow.name);
        page.press_button("Pause");
        page.fill("#pause-ttl", "nonsense");
        page.value("document.querySelector('dialog [type=submit]').focus()");
        page.click("dialog [type=submit]");
        page.until("document.querySelector('dialog [role=alert]').innerText !== ''");
        page.until("document.activeElement === document.querySelector('dialog [type=submit]')");
        page.fill("#pause-ttl", "1h");
        page.click("dialog [type=submit]");
        page.until_text(".heading .status", "paused");
        page.tab.forget_errors();
    });
}

/// The request is sent for the workflow that was chosen at the click, and no other one is sent before its response.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn workflow_cannot_be_changed_while_its_form_is_sent() {
    let target = Target::embedded(Embedded::start().await);
    let (first, second) = (target.workflow("a-first").await, target.workflow("b-second").await);
    let button = "document.querySelector('dialog [type=submit]')";
    let cases = [
        (
            ("#/runs", "Runs", "Trigger a run", "#trigger-workflow"),
            vec![("#trigger-at", "2099-01-31T12:00:00")],
            format!("{} is scheduled for", first.name),
        ),
        (
            ("#/schedules", "Schedules", "New cron", "#cron-workflow"),
            vec![("#cron-name", "nightly"), ("#cron-expression", "0 0 1 1 *")],
            format!("The cron nightly of {} is created.", first.name),
        ),
    ];
    browse(&target, |page| {
        for ((hash, title, open, select), fields, notice) in cases {
            page.open(hash, title);
            page.press_button(open);
            page.until_count(&format!("{select} option"), 2);
            for (field, text) in fields {
                page.fill(field, text);
            }
            page.value(HOLD);
            page.click("dialog [type=submit]");
            page.until("changes.length > 0");
            let is_disabled = format!("document.querySelector({select:?}).disabled");
            assert_eq!(page.value(&is_disabled), true, "{select}");
            // An event of a script reaches a disabled element, too. It enables the button once the form is loaded.
            page.fill(select, &second.name);
            page.until(&format!("!{button}.disabled"));
            page.click("dialog [type=submit]");
            assert_eq!(page.value("changes.length"), 1, "{}", page.value("changes"));
            page.value("release()");
            page.until_text("#notices", &notice);
            page.until_count("dialog", 0);
        }
        // An error ends the request.
        page.press_button("New cron");
        page.until_count("#cron-workflow option", 2);
        page.fill("#cron-name", "never");
        page.fill("#cron-expression", "nonsense");
        page.click("dialog [type=submit]");
        page.until("document.querySelector('dialog .error[role=alert]').innerText !== ''");
        page.until(&format!("!document.querySelector('#cron-workflow').disabled && !{button}.disabled"));
        page.tab.forget_errors();
    });
}
