//! The workers.

use std::collections::HashMap;

use hatchet_quickstart::hatchet::wire::proto::{
    RuntimeInfo, Sdks, UpsertWorkerLabelsRequest, WorkerLabels, WorkerRegisterRequest,
};
use serde_json::json;

use super::fixture::browse;
use crate::support::{Embedded, RawWorker, Target};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn workers_show_slots_labels_and_runtime() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("served").await;
    let worker = RawWorker::start(&target, &workflow, 4).await;
    let mut other = RawWorker::register(&target, "other", &[], &[("default", 1), ("gpu", 2)]).await;
    other.listen();
    let labels = HashMap::from([(
        "region".to_owned(),
        WorkerLabels { str_value: Some("north".to_owned()), ..Default::default() },
    )]);
    let request = UpsertWorkerLabelsRequest { worker_id: worker.id.clone(), labels };
    target.dispatcher().upsert_worker_labels(request).await.unwrap();
    let registration = WorkerRegisterRequest {
        worker_name: target.name("python"),
        actions: vec![workflow.action.clone()],
        slot_config: HashMap::from([("default".to_owned(), 100)]),
        runtime_info: Some(RuntimeInfo {
            sdk_version: Some("1.43.1".to_owned()),
            language: Some(Sdks::Python.into()),
            language_version: Some("3.12.3".to_owned()),
            os: Some("linux".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    };
    target.dispatcher().register(registration).await.unwrap();
    target.trigger(&workflow, json!({})).await;
    browse(&target, |page| {
        page.open("#/workers", "Workers");
        let card = format!("[data-key='{}']", worker.id);
        page.until_text(&card, "1 of 4 default slots used");
        assert_eq!(page.value(&format!("document.querySelector(\"{card} progress\").value")), 1);
        let text = page.text(&card);
        for part in ["active", "region: north", &workflow.name, "1 action", &workflow.action] {
            assert!(text.contains(part), "no {part} in {text}");
        }
        assert!(page.text(&format!("[data-key='{}']", other.id)).contains("0 of 2 gpu slots used"));
        // A registered worker that does not listen gets no runs.
        page.until_text("[data-key=gone] summary", "1 disconnected");
        page.value("document.querySelector('[data-key=gone]').open = true");
        page.until_text("[data-key=gone]", "Python 3.12.3, SDK 1.43.1");
        page.pictures("worker-cards");
        page.click(&format!("{card} .id"));
        page.until(&format!("document.body.innerText.includes('Worker id copied.') || document.querySelector('dialog textarea')?.value === '{}'", worker.id));
    });
    worker.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a browser: `make test-browser`"]
async fn stopped_worker_is_folded_away_and_paused_worker_is_not() {
    let target = Target::embedded(Embedded::start().await);
    let workflow = target.workflow("served").await;
    let (first, second) =
        (RawWorker::start(&target, &workflow, 1).await, RawWorker::start(&target, &workflow, 1).await);
    let (stays, goes) = (first.id.clone(), second.id.clone());
    browse(&target, |page| {
        page.open("#/workers", "Workers");
        page.until_count(".workers .worker", 2);
        page.click(&format!("[data-key='{stays}'] button:not(.id)"));
        page.until_text(&format!("[data-key='{stays}'] .status"), "paused");
        page.wait(second.close());
        page.until_count(&format!("[data-key=gone] [data-key='{goes}']"), 1);
        assert_eq!(page.value("document.querySelector('[data-key=gone]').open"), false);
        page.until_count(&format!("[data-key=present] [data-key='{stays}']"), 1);
        page.click(&format!("[data-key='{stays}'] button:not(.id)"));
        page.until_text(&format!("[data-key='{stays}'] .status"), "active");
    });
    first.close().await;
}
