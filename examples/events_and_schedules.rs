//! Runs that start by an event, after a delay and by a cron, on an engine whose time the example moves forward.
//!
//! Prints:
//!
//! ```text
//! event: order of 3 items by web
//! schedule: order of 7 items by schedule, at its new time
//! cron: order of 1 items by cron, every hour
//! deleted: nothing is left
//! ```

use std::time::Duration;

use hatchet_quickstart::{
    hatchet::{
        client::{CronFilter, ScheduleFilter},
        testing::TestEngine,
    },
    prelude::*,
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    items: u32,
    source: String,
}

const ORDER: Stub<Order, Order> = Stub::new("order");
const HOUR: Duration = Duration::from_secs(3_600);

fn order(items: u32, source: &str) -> Order {
    Order { items, source: source.to_owned() }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // With a real engine: `Client::from_env()?`, and a worker of its own.
    let mut engine = TestEngine::start().await;
    engine.work([ORDER.task(|order: Order, _| async { Ok(order) }).on_event("order:created")]).await;
    let client = engine.client().clone();

    client.push_event("order:created", &order(3, "web")).metadata("team", "a").priority(Priority::High).await?;
    engine.settle().await;
    let latest = |engine: &TestEngine| engine.triggered(&ORDER).pop().map(|order| (order.items, order.source));
    if let Some((items, source)) = latest(&engine) {
        println!("event: order of {items} items by {source}");
    }

    // `.after(delay)` counts from the time of this process; the engine's time is moved below.
    let later = client.schedule(&ORDER, &order(7, "schedule")).at(engine.now() + HOUR).await?;
    later.reschedule(engine.now() + 2 * HOUR).await?;
    engine.advance(HOUR).await;
    let before = engine.triggered(&ORDER).len();
    engine.advance(HOUR).await;
    if let (1, Some((items, source))) = (before, latest(&engine)) {
        println!("schedule: order of {items} items by {source}, at its new time");
    }

    let hourly = client.cron(&ORDER, "hourly", "@hourly", &order(1, "cron")).await?;
    let before = engine.triggered(&ORDER).len();
    engine.advance(2 * HOUR).await;
    // Three times if a full hour has just begun.
    if let (2..=3, Some((items, source))) = (engine.triggered(&ORDER).len() - before, latest(&engine)) {
        println!("cron: order of {items} items by {source}, every hour");
    }

    hourly.delete().await?;
    let rest = client.rest().ok_or("no REST API")?;
    if rest.crons(&CronFilter::default()).await?.is_empty()
        && rest.schedules(&ScheduleFilter::default()).await?.is_empty()
    {
        println!("deleted: nothing is left");
    }
    engine.stop().await;
    Ok(())
}
