//! Signing in and out, and a lost engine.

use hatchet_quickstart::engine::{Engine, EngineOptions};

use super::fixture::{Page, Shop, browse, email};
use crate::support::{Target, browser};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn link_with_token_signs_in_and_leaves_no_trace() {
    let shop = Shop::start().await;
    let token = shop.target.token.clone();
    browse(&shop.target, |page| {
        assert_eq!(page.value("location.hash"), "#/runs");
        assert_eq!(page.value("sessionStorage.getItem('token')"), token.as_str());
        assert_eq!(page.value("localStorage.length + document.cookie.length"), 0);
        let sent = page.tab.requests().iter().any(|url| url.contains(&token));
        assert!(!sent, "the token in an address");
        // Going back does not return to the link, and a reload stays signed in.
        page.open("#/workers", "Workers");
        page.value("history.back()");
        page.until_text("#title", "Runs");
        assert!(!page.value("location.href").to_string().contains("token"));
        page.load("/");
        page.until("!document.getElementById('main').hidden");
        // A link that is opened in a signed-in tab replaces the token.
        page.value("location.hash = '#token=nonsense'");
        page.until("document.getElementById('login-error')?.innerText.includes('not a client token')");
        assert_eq!(page.value("location.hash"), "#/runs");
        assert_eq!(page.value("sessionStorage.length"), 0);
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn form_signs_in_with_a_valid_token_only() {
    let shop = Shop::start().await;
    let token = shop.target.token.clone();
    shop.run("send-email", &email("ada@example.com"), &[]).await;
    browse(&shop.target, |page| {
        page.press_button("Sign out");
        page.until("document.getElementById('login')?.hidden === false");
        assert_eq!(page.value("sessionStorage.length"), 0);
        assert!(!page.text("body").contains("send-email"), "data without a token");
        assert!(page.text("#login").contains("runner open"));
        page.pictures("sign-in");
        for (wrong, cause) in [("nonsense".to_owned(), "not a client token"), (format!("{token}x"), "does not accept")]
        {
            page.fill("#token", &wrong);
            page.click("#login button");
            page.until_text("#login-error", cause);
            assert_eq!(page.value("document.getElementById('main').hidden"), true);
        }
        page.fill("#token", &token);
        page.click("#login button");
        page.until_text("#view tbody", "send-email");
        // The browser reports the refused token as an error of the network.
        assert_eq!(page.tab.errors().len(), 1, "{:?}", page.tab.errors());
        page.tab.forget_errors();
    });
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn lost_engine_is_marked_until_it_is_back() {
    if browser().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions { folder: Some(folder.path().to_owned()), ..EngineOptions::default() };
    let engine = Engine::start(options.clone()).await.unwrap();
    let target = Target::at(engine.handshake());
    let workflow = target.workflow("kept").await;
    target.trigger(&workflow, serde_json::json!({})).await;
    browse(&target, |page: &mut Page| {
        page.until_text("#link", "live");
        page.until_count("#view tbody tr", 1);
        page.wait(engine.stop());
        page.until("!document.getElementById('gone').hidden");
        assert!(page.text("#gone").contains("The engine does not respond"), "{}", page.text("#gone"));
        assert_eq!(page.text("#link"), "disconnected");
        assert_eq!(page.value("document.querySelectorAll('#view tbody tr').length"), 1, "the last data stays");
        page.press_button("Trigger a run");
        page.until_text("#notices", "The engine does not respond");
        page.pictures("gone");
        let engine = page.wait(Engine::start(options.clone())).unwrap();
        page.until("document.getElementById('gone').hidden");
        page.until_text("#link", "live");
        page.wait(target.trigger(&workflow, serde_json::json!({})));
        page.until_count("#view tbody tr", 2);
        // The browser reports each refused connection.
        page.tab.forget_errors();
        page.wait(engine.stop());
        page.tab.forget_errors();
    });
}
