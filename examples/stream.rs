//! Streams a run's chunks as they come. The subscription is opened before the run exists, by a metadata pair, so that
//! nothing is missed; how the run ended comes from its outcome, which cannot be missed either.
//!
//! Prints:
//!
//! ```text
//! chunk 0: "Hello, "
//! chunk 1: "Ada"
//! chunk 2: "!"
//! COMPLETED {"message":"Hello, Ada!"}
//! ```

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, RunEventKind, Sources, StreamSelector, TriggerOptions},
        worker::{Worker, WorkerOptions},
    },
    tasks::externally_triggered,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let engine = Engine::start(EngineOptions::default()).await?;
    let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default())?;
    let mut worker =
        Worker::new(config.clone(), WorkerOptions::default()).task(externally_triggered::task()).start()?;
    worker.listening().await?;

    let client = Client::new(config)?;
    let (key, value) = ("request".to_owned(), "42".to_owned());
    let mut events = client.events(StreamSelector::Metadata { key: key.clone(), value: value.clone() }).await?;

    let input = externally_triggered::Input { name: "Ada".to_owned() };
    let options = TriggerOptions {
        additional_metadata: [(key, value.into())].into_iter().collect(),
        ..TriggerOptions::default()
    };
    let run = client.trigger(externally_triggered::NAME, &input, &options).await?;
    while let Some(event) = events.next().await {
        match event?.kind {
            RunEventKind::Chunk { text, index: Some(index) } => println!("chunk {index}: {text:?}"),
            // The engine closes the stream when the run has completed, and leaves it open when the run has failed.
            RunEventKind::RunEnded => break,
            _ => {}
        }
    }
    let outcome = run.outcome().await?;
    println!("{} {}", outcome.status, outcome.output.unwrap_or_default());

    worker.stop().await?;
    engine.stop().await;
    Ok(())
}
