//! A task that starts other tasks as its children. They are made once, however often their parent is retried, and they
//! inherit its metadata.
//!
//! Prints:
//!
//! ```text
//! attempt 1: 3 parts counted
//! attempt 2: 3 parts counted
//! total: 10 items for team a, counted 3 times
//! ```

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{ClientConfig, Sources},
        task::ChildItem,
    },
    prelude::*,
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    parts: Vec<u32>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Part {
    items: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Total {
    items: u32,
    team: String,
}

const COUNT_ORDER: Stub<Order, Total> = Stub::new("count-order");
const COUNT_PART: Stub<Part, Total> = Stub::new("count-part");

/// Counts the parts of an order in child runs, and adds them up.
async fn count_order(order: Order, ctx: Context) -> Result<Total, TaskError> {
    let parts = order.parts.iter().enumerate().map(|(number, items)| {
        // The key identifies the child in every attempt, regardless of the order of the calls.
        ChildItem::new(&Part { items: *items }).key(format!("part-{number}"))
    });
    let mut total = Total { items: 0, team: String::new() };
    let counted = ctx.run_many(&COUNT_PART, parts).await;
    println!("attempt {}: {} parts counted", ctx.attempt_number(), counted.len());
    for part in counted {
        let part = part?; // a failed child fails this attempt
        total.items += part.items;
        total.team = part.team;
    }
    if ctx.retry_count() == 0 {
        return Err(TaskError::new("the first attempt fails after its children"));
    }
    Ok(total)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::start(EngineOptions::default()).await?;
    let client = Client::new(ClientConfig::from_handshake(engine.handshake(), &Sources::default())?)?;
    let executions = Arc::new(AtomicU32::new(0));
    let counted = executions.clone();
    let count_part = COUNT_PART.task(move |part: Part, ctx: Context| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let team = ctx.additional_metadata()["team"].as_str().unwrap_or_default().to_owned();
            Ok(Total { items: part.items, team })
        }
    });
    let mut worker =
        Worker::new(&client).register(COUNT_ORDER.task(count_order).retries(1)).register(count_part).start()?;
    worker.listening().await?;

    let total = client.run(&COUNT_ORDER, &Order { parts: vec![5, 3, 2] }).metadata("team", "a").await?;
    let times = executions.load(Ordering::Relaxed);
    println!("total: {} items for team {}, counted {times} times", total.items, total.team);

    worker.stop().await?;
    engine.stop().await;
    Ok(())
}
