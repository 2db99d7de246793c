//! Limits the concurrent runs of each customer, and the runs in a time window. Runs offline, with the engine in the
//! same process.
//!
//! Prints:
//!
//! ```text
//! 6 runs completed, at most 1 at a time for each customer
//! 2 of 3 calls of the API completed, the third waits for the next hour
//! ```

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{ClientConfig, Sources},
        task::{Concurrency, RateLimit, Window},
    },
    prelude::*,
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    customer: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Done {}

const CHARGE: Stub<Order, Done> = Stub::new("charge");
const CALL_API: Stub<Order, Done> = Stub::new("call-api");

/// The running charges of each customer, and the most that ran at a time.
type Running = Arc<Mutex<(BTreeMap<String, u32>, u32)>>;

fn charge(running: Running) -> Task<Order, Done> {
    CHARGE
        .task(move |order, _ctx| {
            let running = running.clone();
            async move {
                change(&running, &order.customer, |count| count + 1);
                tokio::time::sleep(Duration::from_millis(20)).await;
                change(&running, &order.customer, |count| count - 1);
                Ok(Done {})
            }
        })
        // A run over the limit waits. `on_limit` selects another strategy.
        .concurrency(Concurrency::per("input.customer").max_runs(1))
}

fn change(running: &Running, customer: &str, change: impl FnOnce(u32) -> u32) {
    let mut running = running.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let count = running.0.entry(customer.to_owned()).or_default();
    *count = change(*count);
    let count = *count;
    running.1 = running.1.max(count);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::start(EngineOptions::default()).await?;
    let client = Client::new(ClientConfig::from_handshake(engine.handshake(), &Sources::default())?)?;
    let running = Running::default();
    let call_api = CALL_API.task(|_order, _ctx| async move { Ok(Done {}) }).rate_limit(RateLimit::per(
        "'api-of-' + input.customer",
        2,
        Window::Hour,
    ));
    let mut worker = Worker::new(&client).register(charge(running.clone())).register(call_api).start()?;
    worker.listening().await?;

    let order = |customer: &str| Order { customer: customer.to_owned() };
    let outputs = client.run_many(&CHARGE, ["ada", "bob", "ada", "bob", "ada", "bob"].map(order)).await;
    let completed = outputs.iter().filter(|output| output.is_ok()).count();
    let most = running.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1;
    println!("{completed} runs completed, at most {most} at a time for each customer");

    let mut calls = Vec::new();
    for call in client.run_many_no_wait(&CALL_API, ["ada", "ada", "ada"].map(order)).await {
        calls.push(call?);
    }
    for call in &calls[..2] {
        call.result().await?;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut done = 0;
    for call in &calls {
        done += u32::from(call.details().await?.done);
    }
    println!("{done} of {} calls of the API completed, the third waits for the next hour", calls.len());

    worker.stop().await?;
    engine.stop().await;
    Ok(())
}
