//! Invalid messages, and messages of a future engine: the worker continues.

use hatchet_quickstart::hatchet::{
    task::{Stub, Task},
    wire::{RunId, proto::ActionType},
    worker::Worker,
};
use serde_json::Value;

use super::{listening_worker, options};
use crate::fake::{Fake, Finished, cancel_action, start_action};
use hatchet_quickstart::hatchet::client::Client;

type Json = serde_json::Map<String, Value>;

async fn echo_still_runs(fake: &Fake) {
    let run = fake.assign("echo", r#"{"n":1}"#).await;
    assert_eq!(fake.finished(run).await, Finished::Completed(r#"{"n":1}"#.to_owned()));
}

async fn expect_fatal(fake: &Fake, run: RunId) -> String {
    match fake.finished(run).await {
        Finished::Failed { error, may_retry: false } => error,
        other => panic!("expected a final failure, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_messages_do_not_stop_the_worker() {
    let fake = Fake::start().await;
    let task = Stub::new("echo").task(|input: Json, _| async { Ok(input) });
    let _worker = listening_worker(&fake, options(), [task]).await;

    // Unknown action types, and a type that this worker has no task for.
    for action_type in [ActionType::StartGetGroupKey as i32, 77, -1] {
        let action = start_action(RunId::random(), "echo:echo", r#"{"input":{}}"#, 0);
        fake.send(hatchet_quickstart::hatchet::wire::proto::AssignedAction { action_type, ..action }).await;
        echo_still_runs(&fake).await;
    }
    // An assignment with an invalid run id, which cannot be reported.
    let mut nameless = start_action(RunId::random(), "echo:echo", r#"{"input":{}}"#, 0);
    nameless.task_run_external_id = "not an id".to_owned();
    fake.send(nameless).await;
    echo_still_runs(&fake).await;
    // A cancellation of an unknown run.
    fake.send(cancel_action(RunId::random(), "echo:echo")).await;
    echo_still_runs(&fake).await;

    // An action without a task.
    let run = RunId::random();
    fake.send(start_action(run, "other:other", r#"{"input":{}}"#, 0)).await;
    let error = expect_fatal(&fake, run).await;
    assert!(error.contains("other:other") && error.contains("echo:echo"), "{error}");
    // Payloads that are not JSON, or whose input is not an object.
    for payload in ["", "{", r#"{"input":[1]}"#, r#"{"input":"text"}"#] {
        let run = RunId::random();
        fake.send(start_action(run, "echo:echo", payload, 0)).await;
        let error = expect_fatal(&fake, run).await;
        assert!(error.contains("BadInput"), "{payload}: {error}");
        echo_still_runs(&fake).await;
    }
    // Metadata that is not JSON is ignored.
    let mut action = start_action(RunId::random(), "echo:echo", r#"{"input":{}}"#, 0);
    action.additional_metadata = Some("{".to_owned());
    let run = action.task_run_external_id.parse().unwrap();
    fake.send(action).await;
    assert_eq!(fake.finished(run).await, Finished::Completed("{}".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempt_assigned_twice_runs_once() {
    let fake = Fake::start().await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let waits = gate.clone();
    let task = Stub::new("echo").task(move |input: Json, _| {
        let gate = waits.clone();
        async move {
            let _permit = gate.acquire().await?;
            Ok(input)
        }
    });
    let _worker = listening_worker(&fake, options(), [task]).await;
    let action = start_action(RunId::random(), "echo:echo", r#"{"input":{}}"#, 0);
    let run = action.task_run_external_id.parse().unwrap();
    fake.send(action.clone()).await;
    fake.send(action).await;
    let other = fake.assign("echo", "{}").await;
    gate.add_permits(10);
    fake.finished(run).await;
    fake.finished(other).await;
    assert_eq!(fake.script(|script| script.finished(run).len()), 1);
}

#[test]
fn invalid_worker_is_refused_before_any_call() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fake = Fake::start().await;
        let echo = |name: &str| Stub::from_name(name).task(|input: Json, _| async { Ok(input) });
        let refused = |tasks: Vec<Task<Json, Json>>| {
            Worker::new(&Client::new(fake.config()).unwrap())
                .options(options())
                .register_all(tasks)
                .start()
                .unwrap_err()
                .to_string()
        };
        assert!(refused(vec![]).contains("no task"));
        assert!(refused(vec![echo("a"), echo("A")]).contains("another task has this name"));
        assert!(refused(vec![echo("a").alias("a")]).contains("another task has this name"));
        for name in ["", "a b", "a:b", "ä"] {
            assert!(refused(vec![echo(name)]).contains("invalid name"), "{name}");
        }
        assert!(fake.script(|script| script.registered.is_empty() && script.workflows.is_empty()));
    });
}
