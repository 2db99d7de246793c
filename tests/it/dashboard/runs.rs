//! The list of runs.

use super::fixture::{Page, Shop, Summary, browse, email, images, order};

const ROWS: &str = "#view tbody tr";

fn stock() -> Summary {
    Summary { text: "all".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn runs_are_filtered_by_name_status_metadata_time_and_id() {
    let shop = Shop::start().await;
    shop.run("send-email", &email("ada@example.com"), &[("team", "blue")]).await;
    let failed = shop.run("send-email", &email("bounce@example.com"), &[("team", "red")]).await;
    shop.run("fulfill-order", &order(1, 500), &[("team", "blue")]).await;
    browse(&shop.target, |page| {
        page.until_count(ROWS, 3);
        assert!(page.text("#view").contains("550 mailbox unavailable"), "the error of a failed run");

        page.fill("[data-search]", "MAIL");
        page.until_count(ROWS, 2);
        assert_eq!(page.value("location.hash"), "#/runs?name=MAIL");
        page.click(".chip.FAILED");
        page.until_count(ROWS, 1);
        assert_eq!(page.text(".chip[aria-current] b"), "1");
        page.until_text(ROWS, "send-email");
        page.fill("[data-search]", "no-such");
        page.until_text(".nothing", "No workflow has “no-such” in its name.");

        page.open("#/runs", "Runs");
        page.until_count(ROWS, 3);
        assert_eq!(page.value("document.querySelector('[data-search]').value"), "", "the field follows the address");
        page.fill("[name=meta]", "team:blue");
        page.until_count(ROWS, 2);
        page.fill("[name=meta]", "team:none");
        page.until_text(".nothing", "No run matches.");
        page.open("#/runs", "Runs");
        page.until_count(ROWS, 3);
        page.click("a.tag[title='Only runs with team: red']");
        page.until_count(ROWS, 1);
        assert_eq!(page.value("location.hash"), "#/runs?meta=team%3Ared");

        page.open("#/runs?time=1h", "Runs");
        page.until_count(ROWS, 3);
        assert_eq!(page.value("document.querySelector('[name=time]').value"), "1h");
        page.fill("[name=time]", "");
        page.until("location.hash === '#/runs'");

        page.fill("[data-search]", &failed);
        page.until_text("#title", "send-email");
        assert_eq!(page.value("location.hash"), format!("#/runs/{failed}"));
        page.open("#/runs/nonsense", "Run nonsense");
        page.until_text("#view", "Run nonsense was not found.");
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn list_is_live_and_keeps_focus_text_and_selection() {
    let shop = Shop::start().await;
    let first = shop.run("send-email", &email("ada@example.com"), &[]).await;
    browse(&shop.target, |page| {
        page.until_count(ROWS, 1);
        page.click(&format!("[aria-label='Select run {first}']"));
        page.until_text(".bulk", "1 selected");
        page.value("window.row = document.querySelector('#view tbody tr'); const field = document.querySelector('[name=meta]'); \
                    field.focus(); field.value = 'tea'; field.setSelectionRange(1, 2)");
        page.wait(shop.run("fulfill-order", &order(1, 500), &[]));
        page.until_count(ROWS, 2);
        page.until_text(ROWS, "completed");
        assert_eq!(page.value("document.activeElement.name + document.activeElement.value"), "metatea");
        assert_eq!(page.value("document.activeElement.selectionStart"), 1);
        assert_eq!(page.value("window.row.isConnected && window.row.querySelector('input').checked"), true);
        assert_eq!(page.value("document.querySelector('#view tbody tr') !== window.row"), true, "the new run is first");
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn pages_lead_through_all_runs() {
    let shop = Shop::start().await;
    for number in 0..53 {
        shop.trigger("send-email", &email(&format!("{number}@example.com")), &[]).await;
    }
    browse(&shop.target, |page| {
        page.until_count(ROWS, 50);
        page.until_text(".pager", "page 1 of 2");
        page.click(".pager a[rel=next]");
        page.until_count(ROWS, 3);
        assert_eq!(page.value("location.hash"), "#/runs?page=2");
        assert_eq!(page.value("!!document.querySelector('.pager a[rel=next]')"), false);
        page.click(".pager a[rel=prev]");
        page.until_count(ROWS, 50);
        // A filter starts at the first page.
        page.open("#/runs?page=2", "Runs");
        page.until_count(ROWS, 3);
        page.click(".chip.COMPLETED");
        page.until("location.hash === '#/runs?status=COMPLETED'");
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn selected_runs_are_cancelled_and_replayed_after_a_confirmation() {
    let shop = Shop::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(shop.trigger("sync-stock", &stock(), &[]).await);
    }
    browse(&shop.target, |page| {
        let select = |page: &mut Page, id: &str| page.click(&format!("[aria-label='Select run {id}']"));
        page.until_count(&format!("{ROWS} .RUNNING"), 3);
        select(page, &ids[0]);
        select(page, &ids[1]);
        page.until_text(".bulk", "2 selected");
        page.press_button("Cancel");
        page.until_text("dialog", "Cancel 2 runs?");
        page.press_button("Back");
        page.until_count("dialog", 0);
        page.press_button("Cancel");
        page.press_button("Cancel 2 runs");
        page.until_text("#notices", "Of 2 runs, those that had not finished are cancelled.");
        page.until_count(&format!("{ROWS} .CANCELLED"), 2);
        page.until_count(&format!("{ROWS} .RUNNING"), 1);
        page.until_count(".bulk", 0);

        page.click("[aria-label='Select all runs of this page']");
        page.until_text(".bulk", "3 selected");
        select(page, &ids[2]);
        page.until_text(".bulk", "2 selected");
        page.press_button("Replay");
        page.press_button("Replay 2 runs");
        page.until_text("#notices", "Replayed 2 of 2 runs.");
        page.until_count(&format!("{ROWS} .RUNNING"), 3);
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn children_crons_and_events_are_marked() {
    let shop = Shop::start().await;
    let parent = shop.run("resize-images", &images(&["a.png"]), &[]).await;
    let event = shop.client.push_event("customer:new", &email("ada@example.com")).await.unwrap();
    let crons = format!("/api/v1/tenants/{}/workflows/crons", shop.target.tenant);
    let (_, list) = shop.target.rest.get(&crons).await;
    let cron = list["rows"][0]["metadata"]["id"].as_str().unwrap().to_owned();
    shop.target.rest.post(&format!("{crons}/{cron}"), serde_json::json!({})).await;
    browse(&shop.target, |page| {
        page.until_count(ROWS, 4);
        let text = page.text("#view tbody");
        for mark in [&format!("child of {}", &parent[..8]), "event customer:new", "cron 0 3 * * *"] {
            assert!(text.contains(mark), "no {mark:?} in {text}");
        }
        page.click(&format!("a.tag[href='#/runs/{parent}']"));
        page.until_text("#title", "resize-images");
        assert_eq!(page.value("location.hash"), format!("#/runs/{parent}"));
        page.open(&format!("#/runs?event={}", event.id), "Runs");
        page.until_count(ROWS, 1);
        page.until_text(ROWS, "greet-customer");
        page.click(".filters a.tag");
        page.until_count(ROWS, 4);
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn keys_search_move_open_and_close() {
    let shop = Shop::start().await;
    let first = shop.run("send-email", &email("ada@example.com"), &[]).await;
    let second = shop.run("send-email", &email("grace@example.com"), &[]).await;
    browse(&shop.target, |page| {
        page.until_count(ROWS, 2);
        page.key("/");
        page.until("document.activeElement === document.querySelector('[data-search]')");
        // In a field, keys are text.
        page.key("j");
        page.until("document.querySelector('[data-search]').value === 'j'");
        page.fill("[data-search]", "");
        page.until("location.hash === '#/runs'");
        page.until_count(ROWS, 2);
        page.key("Escape");
        page.until("document.activeElement === document.body");
        let focused = |id: &str| format!("document.activeElement.hash === '#/runs/{id}'");
        page.key("j");
        page.until(&focused(&second));
        page.key("j");
        page.until(&focused(&first));
        page.key("k");
        page.until(&focused(&second));
        page.key("Enter");
        page.until(&format!("location.hash === '#/runs/{second}'"));
        // The page handles a change of the address later than the address shows it.
        page.until_text("#title", "send-email");
        page.key("Escape");
        page.until("location.hash === '#/runs'");
        // The list keeps its filters.
        page.open("#/runs?status=COMPLETED&time=1h", "Runs");
        page.until("document.querySelector('[name=time]')?.value === '1h'");
        page.until_count(ROWS, 2);
        page.key("j");
        page.key("Enter");
        page.until_text("#title", "send-email");
        page.key("Escape");
        page.until("location.hash === '#/runs?status=COMPLETED&time=1h'");
        page.until_count(ROWS, 2);
        page.key("?");
        page.until_text("dialog", "next row");
        page.key("Escape");
        page.until_count("dialog", 0);
    });
    shop.stop().await;
}
