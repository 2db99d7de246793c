//! What a caller sees of failures: `?` is retried, a fatal error is not, a panic fails its run alone, and "the run
//! failed" is another type than "the call failed".
//!
//! Prints:
//!
//! ```text
//! flaky: Ok("done at attempt 3")
//! fatal: run failed: TaskError: attempt 1 was the only one
//! panic: run failed: Panic: not again
//! unknown: call failed: NotFound
//! ```

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, RunFailed, Sources, TriggerOptions},
        task::{Context, Task, TaskError},
        worker::{Worker, WorkerOptions},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Nothing {}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Said {
    text: String,
}

async fn flaky(_input: Nothing, ctx: Context) -> Result<Said, TaskError> {
    if ctx.attempt_number() < 3 {
        // Any error will do; `?` makes a failure of it that may be retried.
        "not a number".parse::<u8>()?;
    }
    Ok(Said { text: format!("done at attempt {}", ctx.attempt_number()) })
}

fn fatal(_input: Nothing, ctx: Context) -> Result<Said, TaskError> {
    Err(TaskError::fatal_msg(format!("attempt {} was the only one", ctx.attempt_number())))
}

fn panics(_input: Nothing, _ctx: Context) -> Result<Said, TaskError> {
    panic!("not again")
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // The panic below is meant; its usual message on stderr would only disturb.
    std::panic::set_hook(Box::new(|_| {}));
    let engine = Engine::start(EngineOptions::default()).await?;
    let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default())?;
    let mut worker = Worker::new(config.clone(), WorkerOptions::default())
        .task(Task::new_async("flaky", flaky).retries(3))
        .task(Task::new_blocking("fatal", fatal).retries(3))
        .task(Task::new_cpu("panic", panics))
        .start()?;
    worker.listening().await?;

    let client = Client::new(config)?;
    for name in ["flaky", "fatal", "panic", "unknown"] {
        let run = match client.trigger(name, &Nothing {}, &TriggerOptions::default()).await {
            Ok(run) => run,
            Err(error) => {
                println!("{name}: call failed: {:?}", error.kind());
                continue;
            }
        };
        match run.outcome().await?.output::<Said>() {
            Ok(said) => println!("{name}: Ok({:?})", said.text),
            Err(RunFailed::Failed { error, .. }) => {
                println!("{name}: run failed: {}", error.lines().next().unwrap_or_default());
            }
            Err(other) => println!("{name}: {other}"),
        }
    }

    worker.stop().await?;
    engine.stop().await;
    Ok(())
}
