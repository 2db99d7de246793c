//! Pictures of all views for review, and those of the guide, which `make pictures` takes.
//!
//! With `HATCHET_TEST_PICTURES`, the pictures are written to that folder.

use super::fixture::{Page, Shop, Summary, browse, email, images, order};

/// Fills the engine with runs of every status.
async fn open_shop() -> (Shop, [String; 4]) {
    let shop = Shop::start().await;
    let day = [("team", "north"), ("customer", "ada")];
    for number in 0..4 {
        shop.run("send-email", &email(&format!("customer-{number}@example.com")), &day).await;
        shop.run("fulfill-order", &order(100 + number, 4_900), &[("team", "south")]).await;
    }
    let retried = shop.run("send-email", &email("slow@example.com"), &day).await;
    let parent =
        shop.run("resize-images", &images(&["lamp.png", "chair.png", "notes.txt"]), &[("team", "north")]).await;
    let failed = shop.run("fulfill-order", &order(108, 0), &[("team", "south")]).await;
    shop.run("send-email", &email("bounce@example.com"), &day).await;
    shop.client.push_event("customer:new", &email("grace@example.com")).metadata("source", "web").await.unwrap();
    shop.client.push_event("stock:low", &Summary { text: "3 lamps".to_owned() }).scope("north").await.unwrap();
    let running = shop.trigger("sync-stock", &Summary { text: "all".to_owned() }, &[("team", "south")]).await;
    let cancelled = shop.trigger("sync-stock", &Summary { text: "none".to_owned() }, &[("team", "south")]).await;
    shop.target.cancel(&[&cancelled]).await;
    shop.target.done(&cancelled).await;
    (shop, [retried, parent, failed, running])
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn every_view_fits_wide_screens_and_phones_in_both_themes() {
    let (shop, [retried, parent, failed, running]) = open_shop().await;
    browse(&shop.target, |page: &mut Page| {
        page.until_text("#view tbody", "cancelled");
        page.pictures("runs");
        page.click("[aria-label='Select all runs of this page']");
        page.until_text(".bulk", "selected");
        page.press_button("Cancel");
        page.until_count("dialog", 1);
        page.pictures("confirm");
        page.press_button("Back");
        page.press_button("Clear");
        for (name, id, title) in [
            ("retried", &retried, "send-email"),
            ("parent", &parent, "resize-images"),
            ("workflow", &failed, "fulfill-order"),
            ("running", &running, "sync-stock"),
        ] {
            page.open(&format!("#/runs/{id}"), title);
            page.until_text("[aria-label=History]", "queued");
            page.pictures(&format!("run-{name}"));
        }
        for (view, title, text) in [
            ("workflows", "Workflows", "fulfill-order"),
            ("workflows/fulfill-order", "fulfill-order", "charge-card"),
            ("workers", "Workers", "shop"),
            ("schedules", "Schedules", "nightly-report"),
            ("events", "Events", "customer:new"),
        ] {
            page.open(&format!("#/{view}"), title);
            page.until_text("#view", text);
            page.pictures(&view.replace('/', "-"));
        }
        page.open("#/runs", "Runs");
        page.key("?");
        page.until_count("dialog", 1);
        page.pictures("keys");
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn guide_has_pictures_of_runs_and_of_one_run() {
    let (shop, [_, _, failed, _]) = open_shop().await;
    browse(&shop.target, |page: &mut Page| {
        page.until_text("#view tbody", "cancelled");
        page.guide_picture("runs", 620);
        page.open(&format!("#/runs/{failed}"), "fulfill-order");
        page.until_text("[aria-label=History]", "queued");
        page.guide_picture("run", 1120);
    });
    shop.stop().await;
}
