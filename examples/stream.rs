//! Streams the chunks of a run while it runs. The subscription is opened before the run is started, so no chunk is
//! missed. The output comes from the run's result.
//!
//! Prints:
//!
//! ```text
//! chunk 0: "Hello, "
//! chunk 1: "Ada"
//! chunk 2: "!"
//! output: Hello, Ada!
//! ```

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::client::{ClientConfig, RunEventKind, Sources},
    prelude::*,
};
use tasks::externally_triggered::{self, Input};

#[path = "../src/tasks/mod.rs"]
mod tasks;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::start(EngineOptions::default()).await?;
    let client = Client::new(ClientConfig::from_handshake(engine.handshake(), &Sources::default())?)?;
    let mut worker = Worker::new(&client).register(externally_triggered::task()).start()?;
    worker.listening().await?;

    let input = Input { name: "Ada".to_owned() };
    let (run, mut events) = client.run_no_wait(&externally_triggered::STUB, &input).with_events().await?;
    while let Some(event) = events.next().await {
        match event?.kind {
            RunEventKind::Chunk { text, index: Some(index) } => println!("chunk {index}: {text:?}"),
            // The engine closes the stream after a completed run only, so the loop ends here after a failed run.
            RunEventKind::RunFinished => break,
            _ => {}
        }
    }
    println!("output: {}", run.result().await?.message);

    worker.stop().await?;
    engine.stop().await;
    Ok(())
}
