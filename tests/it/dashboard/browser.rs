//! The dashboard in a headless browser. All payloads contain HTML.

use serde_json::json;

use hatchet_quickstart::hatchet::wire::{proto::PutLogRequest, timestamp_now};

use crate::support::{Embedded, RawWorker, Tab, Target, Workflow, browser};

/// Runs a script if a page inserts it as HTML instead of text.
const HTML: &str = r#"<img src="x" onerror="window.owned=1"><script>window.owned=1</script>"#;

async fn execute_run(target: &Target, worker: &mut RawWorker, workflow: &Workflow, fails: bool) -> String {
    let mut request = workflow.request(json!({ "name": HTML }));
    request.additional_metadata = Some(json!({ "note": HTML }).to_string());
    let run = target.try_trigger(request).await.unwrap();
    let action = worker.next_start().await;
    for (level, message) in [("INFO", "a line"), ("ERROR", HTML)] {
        let line = PutLogRequest {
            task_run_external_id: run.clone(),
            created_at: Some(timestamp_now()),
            message: message.to_owned(),
            level: Some(level.to_owned()),
            ..Default::default()
        };
        target.events().put_log(line).await.unwrap();
    }
    if fails {
        worker.fail(&action, &format!("ValueError: {HTML}\n  at line 1")).await;
    } else {
        worker.complete(&action, &json!({ "greeting": HTML }).to_string()).await;
    }
    run
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn dashboard_shows_live_runs_as_text() {
    let Some(program) = browser() else { return };
    let engine = Embedded::start().await;
    let handshake = engine.handshake();
    let target = Target::embedded(engine);
    // Names cannot contain HTML.
    let workflow = target.workflow("greets").await;
    let mut worker = RawWorker::start(&target, &workflow, 3).await;
    let failed = execute_run(&target, &mut worker, &workflow, true).await;
    let folder = tempfile::tempdir().unwrap();
    // The browser's calls block; the worker's heartbeats must continue.
    tokio::task::block_in_place(|| {
        let mut tab = Tab::open(&program, folder.path());
        tab.call("Page.navigate", json!({ "url": format!("{}/", handshake.api_url) }));
        tab.until("!document.getElementById('login')?.hidden && document.readyState === 'complete'");
        assert_eq!(tab.value("document.getElementById('content').hidden"), true);
        assert!(!tab.value("document.body.innerHTML").to_string().contains("greets"), "no data without a token");
        tab.picture(&folder.path().join("enter.png"), 1200, false);

        // A wrong token, then the valid token.
        for token in ["nonsense", &format!("{}x", handshake.token), &handshake.token] {
            tab.value(&format!(
                "document.getElementById('token').value = {token:?}; document.querySelector('#login button').click()"
            ));
            if *token != handshake.token {
                tab.until("document.getElementById('login-error').textContent !== ''");
                assert_eq!(tab.value("document.getElementById('content').hidden"), true);
                tab.value("document.getElementById('login-error').textContent = ''");
            }
        }
        tab.until("document.querySelectorAll('#runs tbody tr').length === 1");
        let refusals = tab.errors().len();
        assert_eq!(refusals, 1, "the browser logs the refused token: {:?}", tab.errors());

        // New runs appear without a reload.
        let runtime = tokio::runtime::Handle::current();
        let completed = runtime.block_on(execute_run(&target, &mut worker, &workflow, false));
        tab.until("document.querySelectorAll('#runs tbody tr').length === 2");
        tab.until("document.querySelectorAll('#workers tbody tr').length === 1");

        for (id, status) in [(&completed, "completed"), (&failed, "failed")] {
            tab.value(&format!("location.hash = '{id}'"));
            tab.until(&format!(
                "document.querySelector('#run .id')?.textContent === '{id}' && \
                 document.querySelector('#run .status').textContent === '{status}'"
            ));
            let text = tab.value("document.getElementById('run').innerText").to_string();
            let text = text.replace("\\\"", "\"").replace("\\\\\"", "\"").replace('\\', "");
            for part in ["onerror=\"window.owned=1\"", "a line", "queued", "assigned", "Timeline", "Logs", "Metadata"] {
                assert!(text.contains(part), "no {part} in {text}");
            }
            let end = if status == "failed" { "ValueError" } else { "greeting" };
            assert!(
                text.contains(end) && text.contains(if status == "failed" { "failed" } else { "finished" }),
                "{text}"
            );
            for (name, width, dark) in [("light", 1200, false), ("dark", 1200, true), ("phone", 390, false)] {
                tab.picture(&folder.path().join(format!("{status}-{name}.png")), width, dark);
                let over = "document.documentElement.scrollWidth > document.documentElement.clientWidth";
                assert_eq!(tab.value(over), false, "{name}: wider than the screen");
            }
        }

        // The address of an unknown run is reported next to the list.
        tab.value("location.hash = 'no-run'");
        tab.until("document.getElementById('run').innerText.includes('Run no-run was not found')");
        tab.until("document.getElementById('link').textContent.startsWith('live')");
        assert_eq!(tab.value("document.querySelectorAll('#runs tbody tr').length"), 2);

        // The filter.
        tab.value(
            "const by = document.getElementById('status'); by.value = 'FAILED'; by.dispatchEvent(new Event('change'))",
        );
        tab.until("document.querySelectorAll('#runs tbody tr').length === 1");
        assert_eq!(tab.value("document.querySelector('#runs .status').textContent"), "failed");

        // No payload became HTML, all requests went to the engine, and no address contained the token.
        assert_eq!(
            tab.value("window.owned === undefined && document.querySelectorAll('main img, main script').length"),
            0
        );
        assert_eq!(tab.errors().len(), refusals, "{:?}", tab.errors());
        let requests = tab.requests();
        assert!(requests.len() > 10, "{requests:?}");
        let own = |url: &&str| url.starts_with(&handshake.api_url) || url.starts_with("data:") || *url == "about:blank";
        assert!(requests.iter().all(own), "{requests:?}");
        assert!(!requests.iter().any(|url| url.contains(&handshake.token)), "the token in an address");

        // Logging out removes the token from the browser.
        tab.value("document.getElementById('logout').click()");
        assert!(!tab.value("document.body.innerHTML").to_string().contains("greets"));
        assert_eq!(tab.value("sessionStorage.length + localStorage.length + document.cookie.length"), 0);
        if let Ok(keep) = std::env::var("HATCHET_TEST_PICTURES") {
            for file in std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()) {
                if file.extension().is_some_and(|ext| ext == "png") {
                    std::fs::copy(&file, std::path::Path::new(&keep).join(file.file_name().unwrap())).unwrap();
                }
            }
        }
        println!("the dashboard: live, payloads as text, no console error, no request to other origins");
    });
    worker.close().await;
}
