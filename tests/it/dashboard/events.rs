//! The list of events.

use super::fixture::{Shop, browse, email};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn events_lead_to_their_runs() {
    let shop = Shop::start().await;
    browse(&shop.target, |page| {
        page.open("#/events", "Events");
        page.until_text(".nothing", "No events yet.");
        page.wait(async {
            shop.client.push_event("customer:new", &email("ada@example.com")).metadata("source", "web").await.unwrap();
            let low = shop.client.push_event("stock:low", &email("none@example.com")).scope("north");
            low.metadata("team", "blue sky").await.unwrap();
        });
        page.until_count("#view tbody tr", 2);
        page.until_text("#view tbody", "1 completed");
        assert!(page.text("#view tbody").contains("source: web"));
        // The list and the keys are loaded at the same time, so the key may be missing until the next refresh.
        page.until_count("[name=key] option[value='stock:low']", 1);
        page.fill("[name=key]", "stock:low");
        page.until_count("#view tbody tr", 1);
        assert_eq!(page.value("location.hash"), "#/events?key=stock%3Alow");
        page.until_text("#view tbody", "none");
        page.click("#view tbody summary");
        page.until_text("#view tbody pre", "\"to\": \"none@example.com\"");
        let command = page.value("document.querySelector('#view tbody details button').title");
        let options =
            ["runner events push stock:low --scope north --input-json ", " --metadata 'team=blue sky' --embedded"];
        assert!(options.iter().all(|part| command.as_str().unwrap().contains(part)), "{command}");
        page.fill("[name=key]", "");
        page.until_count("#view tbody tr", 2);
        page.click("#view tbody a.name");
        page.until_text("#title", "greet-customer");
    });
    shop.stop().await;
}
