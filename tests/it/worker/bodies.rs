//! Bodies: their context, their failures, and the effect of a namespace.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use hatchet_quickstart::hatchet::{
    client::TRIGGER_KEY,
    task::{Context, Stub, TaskError},
    wire::RunStatus,
};
use serde_json::{Value, json};

use super::{Fixture, fixture::outcome};
use crate::support::named;

type Json = serde_json::Map<String, Value>;

async fn echo(input: Json, _ctx: Context) -> Result<Json, TaskError> {
    Ok(input)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panic_fails_only_its_run() {
    let fixture = Fixture::start([
        Stub::new("async-panic").task(|_: Json, _| async { panic!("async failed") as Result<Json, TaskError> }),
        Stub::new("early-panic")
            .task(|_: Json, _| -> std::future::Ready<Result<Json, TaskError>> { panic!("before the first await") }),
        Stub::new("blocking-panic")
            .blocking_task(|_: Json, _| -> Result<Json, TaskError> { panic!("blocking failed") }),
        Stub::new("cpu-panic").cpu_task(|_: Json, _| -> Result<Json, TaskError> { panic!("cpu failed {}", 7) }),
        Stub::new("echo").task(echo),
    ])
    .await;
    for (name, text) in [
        ("async-panic", "async failed"),
        ("early-panic", "before the first await"),
        ("blocking-panic", "blocking failed"),
        ("cpu-panic", "cpu failed 7"),
    ] {
        let outcome = fixture.run(name, json!({})).await;
        assert_eq!(outcome.status, RunStatus::Failed, "{outcome:?}");
        assert!(outcome.error.as_ref().unwrap().contains(text), "{outcome:?}");
        let echoed = fixture.run("echo", json!({ "after": "panic" })).await;
        assert_eq!(echoed.output::<Value>().unwrap(), json!({ "after": "panic" }));
    }
    assert_eq!((fixture.free_slots("test").await, fixture.free_slots("test-cpu").await), (10, 2));
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Point {
    x: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_input_fails_without_retry() {
    let attempts = Arc::new(AtomicU32::new(0));
    let seen = attempts.clone();
    let task = Stub::new("point").task(move |point: Point, _| {
        seen.fetch_add(1, Ordering::SeqCst);
        async move { Ok(point) }
    });
    let fixture = Fixture::start([task.retries(3)]).await;
    for input in [json!({}), json!({ "x": "seven" }), json!({ "x": 1.5 })] {
        let outcome = fixture.run("point", input.clone()).await;
        assert_eq!(outcome.status, RunStatus::Failed, "{input}");
        let error = outcome.error.unwrap();
        assert!(error.contains('x') && error.contains("attempt 1"), "the field is named, and not retried: {error}");
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 0, "the body was never called");
    assert_eq!(fixture.run("point", json!({ "x": 1, "y": 2 })).await.output::<Value>().unwrap(), json!({ "x": 1 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_output_fails_without_retry() {
    let attempts = Arc::new(AtomicU32::new(0));
    let seen = attempts.clone();
    let number = Stub::new("number").task(move |_: Json, _| {
        seen.fetch_add(1, Ordering::SeqCst);
        async { Ok(7_u32) }
    });
    let nul = Stub::new("nul").blocking_task(|_: Json, _| Ok(json!({ "text": "a\u{0}b" })));
    let large = Stub::new("large").task(|_: Json, _| async { Ok(json!({ "text": "x".repeat(5 * 1024 * 1024) })) });
    let fixture = Fixture::start([number.retries(2).erase(), nul.erase(), large.erase()]).await;
    for (name, text) in [("number", "object"), ("nul", "NUL"), ("large", "OutputTooLarge")] {
        let outcome = fixture.run(name, json!({})).await;
        assert_eq!(outcome.status, RunStatus::Failed, "{outcome:?}");
        assert!(outcome.error.as_ref().unwrap().contains(text), "{outcome:?}");
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 1, "an invalid output is not retried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn context_has_ids_and_metadata() {
    let fixture = Fixture::start([Stub::new("inspect").blocking_task(|_: Json, ctx: Context| {
        Ok(json!({
            "run": ctx.run_id(),
            "workflow": ctx.info().workflow_run_id,
            "task": ctx.info().task_name,
            "attempt": ctx.attempt_number(),
            "metadata": ctx.additional_metadata(),
        }))
    })])
    .await;
    let call = fixture.client.run_no_wait(&named("inspect"), &json!({}));
    let run = call.metadata("team", "blue").metadata("level", 3).await.unwrap();
    let mut seen: Value = outcome(&run).await.output().unwrap();
    let own = seen["metadata"].as_object_mut().unwrap().remove(TRIGGER_KEY);
    assert!(own.is_some(), "the trigger's own key: {seen}");
    let id = run.id().to_string();
    assert_eq!((&seen["run"], &seen["workflow"], &seen["task"]), (&json!(id), &json!(id), &json!("inspect")));
    assert_eq!((&seen["attempt"], &seen["metadata"]), (&json!(1), &json!({ "team": "blue", "level": 3 })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespace_prefixes_only_the_workflow() {
    let settings = [("HATCHET_CLIENT_NAMESPACE", "Team")];
    let fixture = Fixture::with(super::options(), &settings, [Stub::new("echo").task(echo).alias("echo-too")]).await;
    for name in ["echo", "echo-too", "team_echo"] {
        let outcome = fixture.run(name, json!({ "n": 1 })).await;
        assert_eq!(outcome.output::<Value>().unwrap(), json!({ "n": 1 }), "{name}");
    }
    let workers = fixture.client.rest().unwrap().workers().await.unwrap();
    assert_eq!(workers[0].name, "team_test");
    let mut actions = workers[0].actions.clone();
    actions.sort();
    assert_eq!(actions, ["team_echo-too:echo-too", "team_echo:echo"]);
}
