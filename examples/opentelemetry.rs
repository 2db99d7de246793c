//! OpenTelemetry spans of calls and attempts, in one trace from the caller to a child run. The program sets its tracer
//! provider, here with an exporter that keeps the spans in memory. Needs the cargo feature `opentelemetry`.
//!
//! Prints:
//!
//! ```text
//! shop.checkout
//!   hatchet.run_workflow hatchet.workflow_name=order
//!     hatchet.start_step_run hatchet.step_name=order hatchet.retry_count=0 error: TaskError: the card was declined
//!     hatchet.start_step_run hatchet.step_name=order hatchet.retry_count=1
//!       shop.charge
//!       hatchet.run_workflow hatchet.workflow_name=receipt
//!         hatchet.start_step_run hatchet.step_name=receipt hatchet.retry_count=0
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::client::{ClientConfig, Sources},
    prelude::*,
};
use opentelemetry::{
    global,
    trace::{FutureExt as _, SpanId, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    item: String,
}

const ORDER: Stub<Order, Order> = Stub::new("order");
const RECEIPT: Stub<Order, Order> = Stub::new("receipt");

async fn order(order: Order, ctx: Context) -> Result<Order, TaskError> {
    if ctx.retry_count() == 0 {
        return Err(TaskError::new("the card was declined"));
    }
    global::tracer("shop").in_span("shop.charge", |_span| {});
    Ok(ctx.run(&RECEIPT, &order).await?)
}

/// An exporter that keeps the spans. In a service it would be `opentelemetry_otlp::SpanExporter`.
#[derive(Debug, Clone, Default)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Spans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(batch);
        Ok(())
    }
}

impl Spans {
    /// Prints the spans with this parent, each above its children.
    fn print(&self, parent: SpanId, depth: usize) {
        let spans = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut children: Vec<&SpanData> = spans.iter().filter(|span| span.parent_span_id == parent).collect();
        children.sort_by_key(|span| span.start_time);
        for span in children {
            print!("{:indent$}{}", "", span.name, indent = 2 * depth);
            for key in ["hatchet.step_name", "hatchet.retry_count", "hatchet.workflow_name"] {
                let is_of_attempt = span.name == "hatchet.start_step_run";
                let attribute = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
                if let Some(attribute) = attribute.filter(|_| !(is_of_attempt && key == "hatchet.workflow_name")) {
                    print!(" {key}={}", attribute.value);
                }
            }
            if let Status::Error { description } = &span.status {
                print!(" error: {description}");
            }
            println!();
            self.print(span.span_context.span_id(), depth + 1);
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spans = Spans::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    global::set_tracer_provider(provider.clone());

    let engine = Engine::start(EngineOptions::default()).await?;
    let client = Client::new(ClientConfig::from_handshake(engine.handshake(), &Sources::default())?)?;
    let receipt = RECEIPT.task(|order: Order, _| async { Ok(order) });
    let mut worker = Worker::new(&client).register(ORDER.task(order).retries(1)).register(receipt).start()?;
    worker.listening().await?;

    let span = global::tracer("shop").start("shop.checkout");
    let checkout = opentelemetry::Context::current_with_span(span);
    client.run(&ORDER, &Order { item: "pen".to_owned() }).into_future().with_context(checkout.clone()).await?;
    checkout.span().end();

    worker.stop().await?;
    engine.stop().await;
    provider.shutdown()?; // exports the spans that a batch exporter holds back
    spans.print(SpanId::INVALID, 0);
    Ok(())
}
