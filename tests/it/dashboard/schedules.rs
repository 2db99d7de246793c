//! Crons and scheduled runs.

use serde_json::{Value, json};

use super::fixture::browse;
use crate::support::{Embedded, RawWorker, Target};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn cron_is_created_disabled_run_and_deleted() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("report").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    browse(&target, |page| {
        page.open("#/schedules", "Schedules");
        page.until_text("#view", "No crons.");
        page.press_button("New cron");
        page.until_count("dialog", 1);
        page.click("dialog [type=submit]");
        page.until_text("dialog [role=alert]", "the cron needs a name");
        page.fill("#cron-name", "nightly");
        page.fill("#cron-expression", "30 9 * * 8");
        page.until_text("#cron-times", "`8` is not a valid weekday: the values are 0 to 6");
        page.fill("#cron-expression", "30 9 * * 1-5");
        page.until_text("#cron-times", "at 09:30 on Monday to Friday, UTC");
        page.until_count("#cron-times li", 3);
        page.fill("dialog .schema-form textarea", r#"{"days": 1}"#);
        page.pictures("new-cron");
        page.click("dialog [type=submit]");
        page.until_count("dialog", 0);
        page.until_text("[aria-label=Crons] tbody", "nightly");
        let row = page.value("document.querySelector('[aria-label=Crons] tbody tr').textContent");
        let row = row.as_str().unwrap();
        for part in
            [workflow.name.as_str(), "30 9 * * 1-5", "at 09:30 on Monday to Friday, UTC", "in ", r#"{"days":1}"#]
        {
            assert!(row.contains(part), "no {part} in {row}");
        }

        page.press_button("Disable");
        page.until_text("[aria-label=Crons] tbody .status", "disabled");
        page.press_button("Enable");
        page.until_count("[aria-label=Crons] tbody .status", 0);

        page.press_button("Run now");
        page.until("location.hash.startsWith('#/runs/')");
        let hash = page.value("location.hash");
        // The cron itself starts a run at 09:30.
        let action = loop {
            let action = page.wait(worker.next_start());
            page.wait(worker.complete(&action, "{}"));
            if hash == format!("#/runs/{}", action.workflow_run_id) {
                break action;
            }
        };
        let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
        assert_eq!(payload["input"], json!({"days": 1}));

        page.open("#/schedules", "Schedules");
        page.press_button("Delete");
        page.until_text("dialog", "Delete the cron nightly?");
        page.press_button("Back");
        page.until_count("dialog", 0);
        page.until_count("[aria-label=Crons] tbody tr", 1);
        page.press_button("Delete");
        page.until_count("dialog", 1);
        page.click("dialog .danger");
        page.until_text("#view", "No crons.");
        page.tab.forget_errors();
    });
    worker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn scheduled_run_is_created_moved_and_deleted() {
    let target = Target::embedded(Embedded::start().await);
    target.workflow("another").await;
    let workflow = target.workflow("later").await;
    browse(&target, |page| {
        page.open("#/schedules", "Schedules");
        page.press_button("Schedule a run");
        page.until_count("dialog", 1);
        page.fill("#trigger-workflow", &workflow.name);
        page.fill("#trigger-at", "2099-01-31T12:00:00");
        page.until("document.querySelector('dialog [type=submit]').disabled === false");
        page.click("dialog [type=submit]");
        page.until_text("[aria-label='Scheduled runs'] tbody", "2099");
        assert!(page.text("[aria-label='Scheduled runs'] tbody").contains(&workflow.name));
        page.press_button("Change time");
        page.until_count("#schedule-at", 1);
        assert_eq!(page.value("document.querySelector('#schedule-at').value.slice(0, 16)"), "2099-01-31T12:00");
        page.fill("#schedule-at", "2098-02-01T08:30:00");
        page.click("dialog [type=submit]");
        page.until_text("[aria-label='Scheduled runs'] tbody", "2098");
        page.pictures("schedule-list");
        page.press_button("Delete");
        page.until_count("dialog", 1);
        page.click("dialog .danger");
        page.until_text("#view", "No scheduled runs.");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn times_of_crons_and_expressions_are_listed() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("timed").await;
    let tenant = format!("/api/v1/tenants/{}", target.tenant);
    let body = json!({ "cronName": "yearly", "cronExpression": "0 0 1 1 *", "input": {}, "additionalMetadata": {} });
    let cron = target.rest.post(&format!("{tenant}/workflows/{}/crons", workflow.name), body).await.1;
    let id = cron["metadata"]["id"].as_str().unwrap();
    let times = format!("{tenant}/embedded-cron-times");
    let shown = target.rest.get(&format!("{times}?cron={id}&cron={}", uuid::Uuid::new_v4())).await.1;
    assert_eq!(shown["next"].as_object().unwrap().len(), 1, "{shown}");
    let next = shown["next"][id].as_str().unwrap().to_owned();
    assert!(next.ends_with("-01-01T00:00:00Z"), "{shown}");
    let shown = target.rest.get(&format!("{times}?expression=0+0+1+1+*")).await.1;
    assert_eq!((shown["times"].as_array().unwrap().len(), &shown["times"][0]), (3, &json!(next)), "{shown}");
    target.rest.patch(&format!("{tenant}/workflows/crons/{id}"), json!({ "enabled": false })).await;
    assert_eq!(target.rest.get(&format!("{times}?cron={id}")).await.1["next"], json!({}));
    for (query, part) in [("expression=0+0+1+1+9", "`9` is not a valid weekday"), ("cron=x", "cron"), ("id=1", "id")] {
        let (status, error) = target.rest.get(&format!("{times}?{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn expressions_are_explained() {
    let target = Target::embedded(Embedded::start().await);
    browse(&target, |page| {
        for (expression, words) in [
            ("* * * * *", "every minute, UTC"),
            ("*/5 * * * *", "every 5 minutes, UTC"),
            ("15,45 * * * *", "at minute 15 and 45, UTC"),
            ("0 * * * *", "every hour, UTC"),
            ("0 */2 * * *", "at minute 0 of every 2 hours, UTC"),
            ("*/10 * * * * *", "every 10 seconds, UTC"),
            ("30 0 0 1 6 *", "at 00:00:30 on day 1 of the month in June, UTC"),
            ("0-30/10 8-18 * * *", "every 10 minutes from 0 to 30 of hour 8 to 18, UTC"),
            ("CRON_TZ=Europe/Berlin 0 9,17 * * mon", "at 09:00 and 17:00 on Monday, Europe/Berlin"),
            ("0 12 13 * FRI", "at 12:00 on day 13 of the month or on Friday, UTC"),
            ("@daily", "every day at 00:00, UTC"),
            ("@every 90s", "every 90s"),
            ("nonsense", "nonsense"),
        ] {
            let call = format!("import('/parts/cron_text.js').then((module) => module.explainCron({expression:?}))");
            assert_eq!(page.value(&call), words, "{expression}");
        }
    });
}
