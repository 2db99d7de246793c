//! What a body can do and see, and what becomes of one that fails.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use hatchet_quickstart::hatchet::{
    client::{TRIGGER_KEY, TriggerOptions},
    task::{Context, Task, TaskError},
    wire::RunStatus,
};
use serde_json::{Value, json};

use super::{Stand, stand::outcome};

type Json = serde_json::Map<String, Value>;

async fn echo(input: Json, _ctx: Context) -> Result<Json, TaskError> {
    Ok(input)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_fails_its_run_and_nothing_else() {
    let stand = Stand::start([
        Task::new_async("async-panic", |_: Json, _| async { panic!("async went wrong") as Result<Json, TaskError> }),
        Task::new_async("early-panic", |_: Json, _| -> std::future::Ready<Result<Json, TaskError>> {
            panic!("before the first await")
        }),
        Task::new_blocking("blocking-panic", |_: Json, _| -> Result<Json, TaskError> { panic!("blocking went wrong") }),
        Task::new_cpu("cpu-panic", |_: Json, _| -> Result<Json, TaskError> { panic!("cpu went wrong {}", 7) }),
        Task::new_async("echo", echo),
    ])
    .await;
    for (name, said) in [
        ("async-panic", "async went wrong"),
        ("early-panic", "before the first await"),
        ("blocking-panic", "blocking went wrong"),
        ("cpu-panic", "cpu went wrong 7"),
    ] {
        let ended = stand.run(name, json!({})).await;
        assert_eq!(ended.status, RunStatus::Failed, "{ended:?}");
        assert!(ended.error.as_ref().unwrap().contains(said), "{ended:?}");
        let echoed = stand.run("echo", json!({ "still": "here" })).await;
        assert_eq!(echoed.output::<Value>().unwrap(), json!({ "still": "here" }));
    }
    assert_eq!((stand.free_slots("test").await, stand.free_slots("test-cpu").await), (10, 2));
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Point {
    x: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_that_does_not_fit_is_final() {
    let attempts = Arc::new(AtomicU32::new(0));
    let seen = attempts.clone();
    let task = Task::new_async("point", move |point: Point, _| {
        seen.fetch_add(1, Ordering::SeqCst);
        async move { Ok(point) }
    });
    let stand = Stand::start([task.retries(3)]).await;
    for input in [json!({}), json!({ "x": "seven" }), json!({ "x": 1.5 })] {
        let ended = stand.run("point", input.clone()).await;
        assert_eq!(ended.status, RunStatus::Failed, "{input}");
        let error = ended.error.unwrap();
        assert!(error.contains('x') && error.contains("attempt 1"), "the field is named, and not retried: {error}");
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 0, "the body was never called");
    assert_eq!(stand.run("point", json!({ "x": 1, "y": 2 })).await.output::<Value>().unwrap(), json!({ "x": 1 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_is_no_object_fails_the_run() {
    let attempts = Arc::new(AtomicU32::new(0));
    let seen = attempts.clone();
    let number = Task::new_async("number", move |_: Json, _| {
        seen.fetch_add(1, Ordering::SeqCst);
        async { Ok(7_u32) }
    });
    let nul = Task::new_blocking("nul", |_: Json, _| Ok(json!({ "text": "a\u{0}b" })));
    let large = Task::new_async("large", |_: Json, _| async { Ok(json!({ "text": "x".repeat(5 * 1024 * 1024) })) });
    let stand = Stand::start([number.retries(2), nul, large]).await;
    for (name, said) in [("number", "object"), ("nul", "NUL"), ("large", "OutputTooLarge")] {
        let ended = stand.run(name, json!({})).await;
        assert_eq!(ended.status, RunStatus::Failed, "{ended:?}");
        assert!(ended.error.as_ref().unwrap().contains(said), "{ended:?}");
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 1, "another try would give the same, so there is none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_sees_its_metadata_and_ids() {
    let stand = Stand::start([Task::new_blocking("look", |_: Json, ctx: Context| {
        Ok(json!({
            "run": ctx.run_id(),
            "workflow": ctx.info().workflow_run_id,
            "task": ctx.info().task_name,
            "attempt": ctx.attempt_number(),
            "metadata": ctx.additional_metadata(),
        }))
    })])
    .await;
    let mut options = TriggerOptions::default();
    options.additional_metadata.insert("team".to_owned(), "blue".into());
    options.additional_metadata.insert("level".to_owned(), 3.into());
    let run = stand.client.trigger("look", &json!({}), &options).await.unwrap();
    let mut seen: Value = outcome(&run).await.output().unwrap();
    let own = seen["metadata"].as_object_mut().unwrap().remove(TRIGGER_KEY);
    assert!(own.is_some(), "what the run would be found by: {seen}");
    let id = run.id().to_string();
    assert_eq!((&seen["run"], &seen["workflow"], &seen["task"]), (&json!(id), &json!(id), &json!("look")));
    assert_eq!((&seen["attempt"], &seen["metadata"]), (&json!(1), &json!({ "team": "blue", "level": 3 })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_stands_before_the_workflow_only() {
    let settings = [("HATCHET_CLIENT_NAMESPACE", "Team")];
    let stand = Stand::with(super::options(), &settings, [Task::new_async("echo", echo).alias("echo-too")]).await;
    for name in ["echo", "echo-too", "team_echo"] {
        let ended = stand.run(name, json!({ "n": 1 })).await;
        assert_eq!(ended.output::<Value>().unwrap(), json!({ "n": 1 }), "{name}");
    }
    let workers = stand.client.rest().unwrap().workers().await.unwrap();
    assert_eq!(workers[0].name, "team_test");
    let mut actions = workers[0].actions.clone();
    actions.sort();
    assert_eq!(actions, ["team_echo-too:echo-too", "team_echo:echo"]);
}
