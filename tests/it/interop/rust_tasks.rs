//! Tasks of this library that programs of the official SDKs call. `rust-caller` calls a task of the SDK's own worker.

use std::{path::Path, time::Duration};

use hatchet_quickstart::{
    hatchet::{
        task::{ChildError, Concurrency, IdempotencyMethod, Limit, event},
        worker::RunningWorker,
    },
    prelude::*,
};
use serde_json::{Map, Value, json};

type Json = Map<String, Value>;

fn stub(name: &'static str) -> Stub<Json, Value> {
    Stub::new(name)
}

/// The task to call, and its input.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Call {
    task: String,
    input: Value,
}

/// Runs a task of another worker as a child, and returns its output, or the name and text of its error.
async fn call(call: Call, ctx: Context) -> Result<Value, TaskError> {
    let child = Stub::<Value, Value>::from_name(call.task);
    let run = ctx.run(&child, &call.input).metadata("by", "rust").priority(Priority::High);
    Ok(match run.await {
        Ok(output) => json!({ "output": output }),
        Err(ChildError::Failed { error, .. }) => json!({ "failed": error }),
        Err(ChildError::Cancelled { .. }) => json!({ "cancelled": true }),
        Err(other) => return Err(other.into()),
    })
}

/// Repeats a chunk until the reader has created the file `word`, since chunks before a subscription are lost.
async fn stream(input: Json, ctx: Context) -> Result<Value, TaskError> {
    ctx.log("first line");
    let received = input.get("word").and_then(Value::as_str).unwrap_or_default();
    while !Path::new(received).exists() {
        ctx.put_stream("repeated;").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for n in 0..5 {
        ctx.put_stream(format!("chunk {n};")).await;
    }
    ctx.log("last line");
    Ok(json!({ "chunks": 5 }))
}

async fn fail_twice(_: Json, ctx: Context) -> Result<Value, TaskError> {
    match ctx.retry_count() {
        attempt @ 0..2 => Err(TaskError::new(format!("attempt {attempt}"))),
        attempt => Ok(json!({ "attempt": attempt })),
    }
}

async fn wait_until_cancelled(_: Json, ctx: Context) -> Result<Value, TaskError> {
    ctx.cancelled().await;
    ctx.check_cancelled()?;
    Ok(Value::Null)
}

/// Starts a worker with the tasks and waits until it receives work.
pub async fn start(client: &Client) -> RunningWorker {
    let echo = stub("rust-echo").task(|input: Json, ctx: Context| async move {
        Ok(json!({ "word": input.get("word"), "metadata": ctx.additional_metadata(), "attempt": ctx.attempt_number() }))
    });
    let fatal = stub("rust-fatal").task(|_, _| async { Err::<Value, _>(TaskError::fatal("fatal in Rust")) }).retries(2);
    let once = stub("rust-once").task(|input: Json, _| async move { Ok(json!(input)) }).idempotency(
        "'rust-once:' + input.word",
        Duration::from_secs(60),
        IdempotencyMethod::Ttl,
    );
    let replaced = stub("rust-replaced")
        .task(wait_until_cancelled)
        .concurrency(Concurrency::per("input.word").on_limit(Limit::CancelInProgress));
    let flow = stub("rust-flow").output_of("second").workflow(|flow| {
        let first = flow.task("first", |input: Json, _| async move { Ok(json!(input)) });
        flow.parents(&first)
            .task("second", |_, first, _| async move { Ok(first) })
            .wait_for(event("rust:go").filter("input.word == 'go'"))
    });
    let mut worker = Worker::new(client)
        .name("rust")
        .register(Stub::new("rust-caller").task(call))
        .register(stub("rust-stream").task(stream))
        .register(stub("rust-flaky").task(fail_twice).retries(3))
        .register(stub("rust-slow").task(wait_until_cancelled))
        .register(echo)
        .register(fatal)
        .register(once)
        .register(replaced)
        .register(flow.on_event("rust:start"))
        .start()
        .unwrap();
    worker.listening().await.unwrap();
    worker
}
