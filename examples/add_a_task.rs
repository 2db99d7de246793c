//! Defines a task, runs it in a worker, and calls it with typed input and output. Runs offline: the engine, the worker
//! and the caller share one process.
//!
//! In the quickstart itself, a task is a file in `src/tasks`, with a `mod` line and a line in the list of
//! `src/tasks/mod.rs`.
//!
//! Prints:
//!
//! ```text
//! run: Output { words: 4, longest: "brown" }
//! run_many: ["one"] ["three"] [TaskError: the text has no words]
//! ```

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::client::{ClientConfig, Sources},
    prelude::*,
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Input {
    text: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Output {
    words: usize,
    longest: String,
}

/// The task's name and types, which the worker and its callers share.
const WORD_COUNT: Stub<Input, Output> = Stub::new("word-count");

async fn word_count(input: Input, ctx: Context) -> Result<Output, TaskError> {
    ctx.log(format!("attempt {}", ctx.attempt_number()));
    let words: Vec<&str> = input.text.split_whitespace().collect();
    let longest = words.iter().copied().max_by_key(|word| word.len());
    // Fatal, since a retry would fail in the same way.
    let longest = longest.ok_or_else(|| TaskError::fatal("the text has no words"))?;
    Ok(Output { words: words.len(), longest: longest.to_owned() })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With a Hatchet engine or `make run-worker`, `Client::from_env()?` replaces these three lines.
    let engine = Engine::start(EngineOptions::default()).await?;
    let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default())?;
    let client = Client::new(config)?;

    let mut worker = Worker::new(&client).register(WORD_COUNT.task(word_count).retries(2)).start()?;
    worker.listening().await?;

    let input = |text: &str| Input { text: text.to_owned() };
    let output = client.run(&WORD_COUNT, &input("the quick brown fox")).await?;
    println!("run: {output:?}");

    print!("run_many:");
    for result in client.run_many(&WORD_COUNT, ["one", "two three", ""].map(input)).await {
        match result {
            Ok(output) => print!(" [{:?}]", output.longest),
            Err(RunError::Failed(failure)) => print!(" [{failure}]"),
            Err(other) => return Err(other.into()),
        }
    }
    println!();

    worker.stop().await?;
    engine.stop().await;
    Ok(())
}
