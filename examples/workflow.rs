//! Runs a workflow of several tasks: parents with typed outputs, a branch that is skipped, and a task that runs after a
//! failure. Runs offline, with the engine in the same process.
//!
//! Prints:
//!
//! ```text
//! order of 20: charged 20 in the warehouse "north"
//! order of 200: charged 200 in the warehouse "north", with a gift
//! after the failure: charge: TaskError: the order has no items
//! order of 0: failed: the order has no items
//! ```

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{ClientConfig, Sources},
        task::parent_output,
    },
    prelude::*,
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    total: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Reserved {
    warehouse: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Charged {
    total: u32,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Receipt {
    text: String,
}

/// The workflow's name and types, and the task whose output is the result. The worker and its callers share it.
const FULFILL: Stub<Order, Receipt> = Stub::new("fulfill").output_of("receipt");

fn fulfill() -> Workflow<Order, Receipt> {
    FULFILL.workflow(|flow| {
        let reserved = flow.task("reserve", |_, _| async move { Ok(Reserved { warehouse: "north".to_owned() }) });
        let charged = flow.task("charge", charge);
        let gift = flow
            .parents(&charged)
            .task("gift", |_, charged, _| async move { Ok(Charged { total: charged.total / 100 }) })
            .skip_if(parent_output(&charged, "output.total < 100"));
        flow.on_failure(|_, failures, _| async move {
            for failure in failures {
                println!("after the failure: {failure}");
            }
            Ok(())
        });
        flow.parents((&reserved, &charged, &gift.optional())).task(
            "receipt",
            |_, (reserved, charged, gift), _| async move {
                let gift = if gift.is_some() { ", with a gift" } else { "" };
                let text = format!("charged {} in the warehouse {:?}{gift}", charged.total, reserved.warehouse);
                Ok(Receipt { text })
            },
        )
    })
}

async fn charge(order: Order, _ctx: Context) -> Result<Charged, TaskError> {
    if order.total == 0 {
        return Err(TaskError::fatal("the order has no items"));
    }
    Ok(Charged { total: order.total })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::start(EngineOptions::default()).await?;
    let client = Client::new(ClientConfig::from_handshake(engine.handshake(), &Sources::default())?)?;
    let mut worker = Worker::new(&client).register(fulfill()).start()?;
    worker.listening().await?;

    for total in [20, 200, 0] {
        match client.run(&FULFILL, &Order { total }).await {
            Ok(receipt) => println!("order of {total}: {}", receipt.text),
            Err(RunError::Failed(failure)) => println!("order of {total}: failed: {}", failure.message()),
            Err(other) => return Err(other.into()),
        }
    }

    worker.stop().await?;
    engine.stop().await;
    Ok(())
}
