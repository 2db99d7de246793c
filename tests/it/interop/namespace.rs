//! Events between this library and the Python SDK, both with the same namespace.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use hatchet_quickstart::{
    hatchet::{
        client::{EventFilter, RunFilter, Sources},
        task::event,
        wire::RunStatus,
    },
    prelude::*,
};
use serde_json::{Map, Value};

use super::{Fixture, TIMEOUT, installed, scripts};

type Json = Map<String, Value>;

fn in_namespace(mut command: Command) -> Command {
    command.env("HATCHET_CLIENT_NAMESPACE", "Team");
    command
}

/// Pushes two events until a run of a workflow that waits for the second has completed.
async fn push_until_completed(client: &Client, workflow: &str, push: impl AsyncFn(&str)) {
    let begin = Instant::now();
    let rest = client.rest().unwrap();
    let completed =
        RunFilter::since(std::time::SystemTime::now() - Duration::from_secs(60)).status(RunStatus::Completed);
    loop {
        push("start").await;
        push("go").await;
        let runs = rest.runs(&completed).all().await.unwrap();
        if runs.iter().any(|run| run.workflow_name == workflow) {
            return;
        }
        assert!(begin.elapsed() < TIMEOUT, "no run of {workflow} has completed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official SDKs: `make interop`"]
async fn events_in_a_namespace_agree_with_the_python_sdk() {
    let fixture = Fixture::new().await;
    let client = fixture.client(&Sources::from_pairs([("HATCHET_CLIENT_NAMESPACE", "Team")]));
    let mut worker = fixture.python("namespace.py");
    worker.arg("worker");
    let _python = fixture.worker(in_namespace(worker));
    push_until_completed(&client, "team_python-flow", async |name| {
        client.push_event(&format!("python:{name}"), &Json::new()).await.unwrap();
    })
    .await;

    let stub = Stub::<Json, Json>::new("rust-flow").output_of("second");
    let flow = stub.workflow(|flow| {
        let first = flow.task("first", |input: Json, _| async { Ok(input) });
        flow.parents(&first).task("second", |_, first, _| async move { Ok(first) }).wait_for(event("rust:go"))
    });
    let mut worker = Worker::new(&client).register(flow.on_event("rust:start")).start().unwrap();
    worker.listening().await.unwrap();
    push_until_completed(&client, "team_rust-flow", async |name| {
        let mut push = fixture.command(Path::new(&installed("venv/bin/python")));
        push.arg(scripts().join("python/namespace.py")).args(["push", &format!("rust:{name}")]);
        fixture.run(in_namespace(push)).await;
    })
    .await;
    worker.stop().await.unwrap();
    let rest = client.rest().unwrap();
    for key in ["team_python:start", "team_rust:start"] {
        assert!(!rest.events(&EventFilter::default().key(key)).await.unwrap().is_empty(), "{key}");
    }
    fixture.engine.stop().await;
}
