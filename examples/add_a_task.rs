//! Adds a task: its types, its body, one line for the worker. Runs offline, engine and worker in this process.
//!
//! In the quickstart itself the same is a file in `src/tasks`, its `mod` line, and one line in `src/tasks/mod.rs`.
//!
//! Prints:
//!
//! ```text
//! word-count counts: Output { words: 4, longest: "brown" }
//! ```

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, Sources, TriggerOptions},
        task::{Context, Task, TaskError},
        worker::{Worker, WorkerOptions},
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Input {
    text: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Output {
    words: usize,
    longest: String,
}

async fn word_count(input: Input, ctx: Context) -> Result<Output, TaskError> {
    ctx.log(format!("attempt {}", ctx.attempt_number()));
    let words: Vec<&str> = input.text.split_whitespace().collect();
    let longest = words.iter().copied().max_by_key(|word| word.len());
    // No words today are no words at the next attempt: not worth a retry.
    let longest = longest.ok_or_else(|| TaskError::fatal_msg("the text has no words"))?;
    Ok(Output { words: words.len(), longest: longest.to_owned() })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let task = Task::new_async("word-count", word_count).retries(2);

    let engine = Engine::start(EngineOptions::default()).await?;
    let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default())?;
    let mut worker = Worker::new(config.clone(), WorkerOptions::default()).task(task).start()?;
    worker.listening().await?;

    let client = Client::new(config)?;
    let input = Input { text: "the quick brown fox".to_owned() };
    let run = client.trigger("word-count", &input, &TriggerOptions::default()).await?;
    let output: Output = run.outcome().await?.output()?;
    println!("word-count counts: {output:?}");

    worker.stop().await?;
    engine.stop().await;
    Ok(())
}
