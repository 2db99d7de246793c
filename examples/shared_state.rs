//! Shares state between the runs of tasks: a body captures its dependencies, and the compiler checks them. Here two
//! tasks share a stock, which the program reads at its end.
//!
//! Prints:
//!
//! ```text
//! reserved 3 pens, 7 left
//! reserved 3 pens, 4 left
//! reserved 3 pens, 1 left
//! run failed: OutOfStock: 3 pens wanted, 1 left
//! left after the worker has stopped: 1
//! ```

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::client::{ClientConfig, Sources},
    prelude::*,
};

/// A dependency of the tasks, cheap to clone. In a service it would be a connection pool or an HTTP client.
#[derive(Clone, Default)]
struct Stock(Arc<Mutex<HashMap<String, u32>>>);

#[derive(Debug, thiserror::Error)]
#[error("{wanted} {item} wanted, {left} left")]
struct OutOfStock {
    item: String,
    wanted: u32,
    left: u32,
}

impl Stock {
    fn add(&self, item: &str, count: u32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(item.to_owned()).or_default() += count;
    }

    fn take(&self, item: &str, wanted: u32) -> Result<u32, OutOfStock> {
        let mut stock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = stock.entry(item.to_owned()).or_default();
        *left = left.checked_sub(wanted).ok_or_else(|| OutOfStock { item: item.to_owned(), wanted, left: *left })?;
        Ok(*left)
    }
}

#[derive(Clone, Serialize, Deserialize, JsonSchema)]
struct Order {
    item: String,
    count: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Left {
    left: u32,
}

const RESERVE: Stub<Order, Left> = Stub::new("reserve");
const RESTOCK: Stub<Order, Left> = Stub::new("restock");

fn reserve(stock: Stock) -> Task<Order, Left> {
    RESERVE.task(move |order: Order, _ctx: Context| {
        // Each attempt has its own clone.
        let stock = stock.clone();
        async move { Ok(Left { left: stock.take(&order.item, order.count)? }) }
    })
}

fn restock(stock: Stock) -> Task<Order, Left> {
    RESTOCK.blocking_task(move |order: Order, _ctx: Context| {
        stock.add(&order.item, order.count);
        Ok(Left { left: stock.take(&order.item, 0)? })
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::start(EngineOptions::default()).await?;
    let client = Client::new(ClientConfig::from_handshake(engine.handshake(), &Sources::default())?)?;
    let stock = Stock::default();
    let mut worker =
        Worker::new(&client).register(reserve(stock.clone())).register(restock(stock.clone())).slots(4).start()?;
    worker.listening().await?;

    client.run(&RESTOCK, &Order { item: "pens".to_owned(), count: 10 }).await?;
    let order = Order { item: "pens".to_owned(), count: 3 };
    for _ in 0..4 {
        match client.run(&RESERVE, &order).await {
            Ok(left) => println!("reserved 3 pens, {} left", left.left),
            Err(RunError::Failed(failure)) => println!("run failed: {failure}"),
            Err(error) => return Err(error.into()),
        }
    }

    worker.stop().await?;
    println!("left after the worker has stopped: {}", stock.take("pens", 0)?);
    engine.stop().await;
    Ok(())
}
