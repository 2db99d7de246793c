//! Shows failures from the caller's side: `?` is retried, a fatal error is not, a panic fails its own run only, and a
//! failed run and a failed call are different variants of the error.
//!
//! Prints:
//!
//! ```text
//! flaky: Ok("done at attempt 3")
//! fatal: run failed after attempt 1: TaskError: the input is wrong
//! panic: run failed after attempt 1: Panic: a bug
//! shape: output does not fit: missing field `text` at line 1 column 2
//! unknown: call failed: NotFound
//! ```

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::client::{ClientConfig, Sources},
    prelude::*,
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Empty {}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Message {
    text: String,
}

async fn flaky(_input: Empty, ctx: Context) -> Result<Message, TaskError> {
    if ctx.attempt_number() < 3 {
        // `?` converts any error into a failure that may be retried.
        "not a number".parse::<u8>()?;
    }
    Ok(Message { text: format!("done at attempt {}", ctx.attempt_number()) })
}

fn fatal(_input: Empty, _ctx: Context) -> Result<Message, TaskError> {
    Err(TaskError::fatal("the input is wrong"))
}

fn panics(_input: Empty, _ctx: Context) -> Result<Message, TaskError> {
    panic!("a bug")
}

async fn shape(input: Empty, _ctx: Context) -> Result<Empty, TaskError> {
    Ok(input)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Suppresses the message of the intended panic on stderr.
    std::panic::set_hook(Box::new(|_| {}));
    let engine = Engine::start(EngineOptions::default()).await?;
    let client = Client::new(ClientConfig::from_handshake(engine.handshake(), &Sources::default())?)?;
    let mut worker = Worker::new(&client)
        .register(Stub::new("flaky").task(flaky).retries(3))
        .register(Stub::new("fatal").blocking_task(fatal).retries(3))
        .register(Stub::new("panic").cpu_task(panics))
        .register(Stub::new("shape").task(shape))
        .start()?;
    worker.listening().await?;

    for name in ["flaky", "fatal", "panic", "shape", "unknown"] {
        // The name is known at run time only, so the compiler cannot check the types.
        let task = Stub::<Empty, Message>::from_name(name);
        match client.run(&task, &Empty {}).await {
            Ok(message) => println!("{name}: Ok({:?})", message.text),
            Err(RunError::Failed(failure)) => {
                let attempts = failure.attempts().unwrap_or_default();
                println!("{name}: run failed after attempt {attempts}: {failure}");
            }
            Err(RunError::Output { reason, .. }) => println!("{name}: output does not fit: {reason}"),
            Err(RunError::Call(error)) => println!("{name}: call failed: {:?}", error.kind()),
            Err(other) => println!("{name}: {other}"),
        }
    }

    worker.stop().await?;
    engine.stop().await;
    Ok(())
}
