//! Options of tasks and workflows in the message that registers them, as a scripted engine records it.

use std::time::{Duration, UNIX_EPOCH};

use hatchet_quickstart::hatchet::{
    client::Client,
    task::{
        Concurrency, Context, DesiredLabel, ErasedWorkflow, IdempotencyMethod, LabelComparator, Limit, Priority,
        Sticky, Stub, event, sleep,
    },
    wire::proto::v1::{
        Concurrency as Rule, ConcurrencyLimitStrategy, CreateWorkflowVersionRequest, DesiredWorkerLabels,
        IdempotencyMethod as Method, StickyStrategy, WorkerLabelComparator,
    },
    worker::Worker,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{options, within};
use crate::fake::Fake;

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize, JsonSchema)]
struct Order {
    total: u32,
}

/// Registers a workflow, and returns the message that the engine received.
async fn registered(workflow: impl Into<ErasedWorkflow>) -> CreateWorkflowVersionRequest {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let worker = Worker::new(&client).options(options()).register(workflow).start().unwrap();
    fake.until_listening().await;
    within("the worker stops", worker.stop()).await.unwrap();
    fake.script(|script| script.workflows.remove(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_of_a_task_are_registered() {
    let stub = Stub::new("order");
    let task = stub.task(|order: Order, _: Context| async { Ok(order) });
    let task = task
        .description("Reserves the items of an order.")
        .version("v7")
        .default_priority(Priority::High)
        .sticky(Sticky::Soft)
        .schedule_timeout(90 * MINUTE)
        .concurrency(
            Concurrency::per("input.customer")
                .max_runs_by("input.vip ? 5 : 1")
                .on_limit(Limit::CancelQueuedExceptNewest)
                .shared("orders"),
        )
        .concurrency(Concurrency::per("input.region").max_runs(3).on_limit(Limit::CancelQueuedExceptOldest))
        .desired_label(DesiredLabel::new("memory", 16).comparator(LabelComparator::GreaterThan).weight(5))
        .idempotency("input.id", MINUTE, IdempotencyMethod::Status);
    let request = registered(task).await;

    assert_eq!((request.description.as_str(), request.version.as_str()), ("Reserves the items of an order.", "v7"));
    assert_eq!((request.default_priority, request.sticky), (Some(3), Some(StickyStrategy::Soft.into())));
    let schema: Value = serde_json::from_slice(request.input_json_schema.as_deref().unwrap()).unwrap();
    assert_eq!(schema["properties"]["total"]["type"], "integer", "{schema}");
    let idempotency = request.idempotency.unwrap();
    assert_eq!(
        (idempotency.expression.as_str(), idempotency.ttl_ms, idempotency.method),
        ("input.id", 60_000, Some(Method::Status.into()))
    );
    let [task] = request.tasks.as_slice() else { panic!("{:?}", request.tasks) };
    assert_eq!(task.schedule_timeout.as_deref(), Some("5400s"));
    let by_customer = Rule {
        expression: "input.customer".to_owned(),
        // Engines before v0.106.3 apply this number.
        max_runs: Some(1),
        max_runs_expression: Some("input.vip ? 5 : 1".to_owned()),
        limit_strategy: Some(ConcurrencyLimitStrategy::CancelQueuedExceptNewest.into()),
        name: Some("orders".to_owned()),
        is_tenant_scoped: Some(true),
    };
    let by_region = Rule {
        expression: "input.region".to_owned(),
        max_runs: Some(3),
        limit_strategy: Some(ConcurrencyLimitStrategy::CancelQueuedExceptOldest.into()),
        ..Default::default()
    };
    assert_eq!(task.concurrency, [by_customer, by_region]);
    let memory = DesiredWorkerLabels {
        int_value: Some(16),
        required: Some(false),
        comparator: Some(WorkerLabelComparator::GreaterThan.into()),
        weight: Some(5),
        ..Default::default()
    };
    assert_eq!(task.worker_labels["memory"], memory);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_of_a_task_are_registered() {
    let stub = Stub::<Order, Order>::new("order").output_of("ship");
    let flow = stub.workflow(|flow| {
        let reserved = flow.task("reserve", |order: Order, _| async { Ok(order) });
        let paid = event("paid").filter("input.amount > 0").scope("eu").since(UNIX_EPOCH + MINUTE);
        flow.parents(&reserved).task("ship", |_, reserved, _| async { Ok(reserved) }).wait_for(paid.or(sleep(MINUTE)))
    });
    let request = registered(flow).await;
    let ship = request.tasks.iter().find(|task| task.readable_id == "ship").unwrap();
    let conditions = ship.conditions.as_ref().unwrap();
    let ([paid], [slept]) = (conditions.user_event_conditions.as_slice(), conditions.sleep_conditions.as_slice())
    else {
        panic!("{conditions:?}")
    };
    assert_eq!((paid.user_event_key.as_str(), paid.event_scope.as_deref()), ("paid", Some("eu")));
    assert_eq!(paid.consider_events_since.map(|time| time.seconds), Some(60));
    assert_eq!(slept.sleep_for, "60s");
    let (paid, slept) = (paid.base.as_ref().unwrap(), slept.base.as_ref().unwrap());
    assert_eq!((paid.expression.as_str(), &paid.or_group_id), ("input.amount > 0", &slept.or_group_id));
}
