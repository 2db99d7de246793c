//! Registration of workflow definitions.

use hatchet_quickstart::hatchet::wire::proto::v1::{
    Concurrency, CreateTaskOpts, CreateWorkflowVersionRequest, IdempotencyConfig,
};
use serde_json::json;
use tonic::Code;

use super::deviations::Deviation;
use crate::support::{RawWorker, Target, assert_refused};

#[tokio::test]
async fn same_definition_has_the_same_ids() {
    let target = Target::start().await;
    let mut definition = target.definition("same");
    let first = target.try_put(&definition).await.unwrap();
    let again = target.try_put(&definition).await.unwrap();
    assert_eq!((&first.id, &first.workflow_id), (&again.id, &again.workflow_id));

    definition.tasks[0].retries = 3;
    let changed = target.try_put(&definition).await.unwrap();
    assert_eq!(changed.workflow_id, first.workflow_id);
    assert_ne!(changed.id, first.id);
}

#[tokio::test]
async fn new_runs_use_the_newest_version() {
    let target = Target::start().await;
    let mut definition = target.definition("newest");
    let first = target.put(&definition).await;
    definition.tasks[0].readable_id = target.name("renamed");
    let second = target.put(&definition).await;

    let mut worker = RawWorker::start(&target, &first, 1).await;
    target.trigger(&first, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.task_name, target.name("renamed"));
    assert_eq!(action.workflow_version_id.as_deref(), Some(second.version_id.as_str()));
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn definition_needs_only_name_and_action() {
    let target = Target::start().await;
    let name = target.name("minimal");
    let task = CreateTaskOpts { readable_id: "t".to_owned(), action: format!("{name}:t"), ..Default::default() };
    let workflow = target.put(&CreateWorkflowVersionRequest { name, tasks: vec![task], ..Default::default() }).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!((action.task_name.as_str(), action.priority), ("t", 1));
    worker.complete(&action, "{}").await;
    assert!(target.done(&run).await.task_runs.contains_key("t"));
    worker.close().await;
}

/// A definition with one invalid field, and the text that the error must contain.
fn invalid(target: &Target) -> Vec<(CreateWorkflowVersionRequest, &'static str)> {
    let mut all = Vec::new();
    let mut add = |text, change: &dyn Fn(&mut CreateWorkflowVersionRequest)| {
        let mut definition = target.definition("invalid");
        change(&mut definition);
        all.push((definition, text));
    };
    add("Name", &|d| d.name = String::new());
    add("Name", &|d| d.name = "not a name".to_owned());
    add("ScheduleTimeout", &|d| d.tasks[0].schedule_timeout = Some(String::new()));
    for duration in ["1d", "60", "-5s", "+5s", "5ns", ".s", "1.5.5s", "1h 30m", "2562047h47m17s", "2562048h", "soon"] {
        add("Timeout", &|d| d.tasks[0].timeout = duration.to_owned());
        add("ScheduleTimeout", &|d| d.tasks[0].schedule_timeout = Some(duration.to_owned()));
    }
    add("Retries", &|d| d.tasks[0].retries = -1);
    add("RetryBackoffFactor", &|d| d.tasks[0].backoff_factor = Some(0.5));
    add("RetryBackoffMaxSeconds", &|d| {
        d.tasks[0].backoff_factor = Some(2.0);
        d.tasks[0].backoff_max_seconds = Some(0);
    });
    add("SlotRequests", &|d| d.tasks[0].slot_requests = [("default".to_owned(), 0)].into());
    add("DefaultPriority", &|d| d.default_priority = Some(4));
    add("Expression", &|d| d.idempotency = idempotency("input.", 1000));
    add("TTL", &|d| d.idempotency = idempotency("input.key", 0));
    all
}

fn idempotency(expression: &str, ttl_ms: i64) -> Option<IdempotencyConfig> {
    Some(IdempotencyConfig { expression: expression.to_owned(), ttl_ms, method: None })
}

#[tokio::test]
async fn invalid_definition_is_refused_by_field() {
    let target = Target::start().await;
    for (definition, field) in invalid(&target) {
        let status = target.try_put(&definition).await.expect_err(field);
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
        let message = status.message().to_lowercase();
        assert!(message.contains(&field.to_lowercase()), "`{message}` does not name {field}");
    }
}

#[tokio::test]
async fn concurrency_requires_an_expression() {
    let target = Target::start().await;
    let mut definition = target.definition("grouped");
    definition.concurrency_arr = vec![Concurrency::default()];
    let text = "CEL expression is required for concurrency";
    assert_refused(target.try_put(&definition).await, Code::InvalidArgument, text);
}

#[tokio::test]
async fn malformed_definition_is_refused() {
    let target = Target::start().await;
    let expected =
        if target.deviates(Deviation::MalformedDefinitionIsInvalid) { Code::InvalidArgument } else { Code::Internal };
    let mut broken: Vec<(&str, CreateWorkflowVersionRequest)> = Vec::new();
    let mut add = |what, change: &dyn Fn(&mut CreateWorkflowVersionRequest)| {
        let mut definition = target.definition("broken");
        change(&mut definition);
        broken.push((what, definition));
    };
    add("no tasks", &|d| d.tasks.clear());
    add("no action", &|d| d.tasks[0].action.clear());
    add("no readable id", &|d| d.tasks[0].readable_id.clear());
    add("an action of one part", &|d| d.tasks[0].action = "one".to_owned());
    add("a schema that is not JSON", &|d| d.input_json_schema = Some(b"{".to_vec()));
    for (what, definition) in broken {
        let status = target.try_put(&definition).await.expect_err(what);
        assert_eq!(status.code(), expected, "{what}: {status:?}");
    }
}

/// A real engine supports durable tasks.
#[tokio::test]
async fn refused_workflow_does_not_affect_others_of_the_worker() {
    let target = Target::start().await;
    if !target.is_embedded() {
        println!("skipped: a real engine supports durable tasks");
        return;
    }
    let mut durable = target.definition("durable");
    durable.tasks[0].is_durable = true;
    assert_refused(target.try_put(&durable).await, Code::InvalidArgument, "durable tasks");
    let workflow = target.workflow("plain").await;
    let actions = [durable.tasks[0].action.as_str(), workflow.action.as_str()];
    let mut worker = RawWorker::register(&target, "worker", &actions, &[("default", 1)]).await;
    worker.listen();
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    target.done(&run).await;
    worker.close().await;
}

#[tokio::test]
async fn every_duration_unit_is_accepted() {
    let target = Target::start().await;
    for duration in ["500ms", "1.5h", "1h30m", "90s", ".5s", "5.s", "0.0001ms", "2562047h", "2562047h47m16s"] {
        let both = |task: &mut CreateTaskOpts| {
            task.timeout = duration.to_owned();
            task.schedule_timeout = Some(duration.to_owned());
        };
        target.workflow_with("durations", both).await;
    }
}

#[tokio::test]
async fn action_is_matched_and_delivered_in_lower_case() {
    let target = Target::start().await;
    let mut definition = target.definition("case");
    let part = definition.name.clone();
    // Only the first letter of part 1 and all of part 2: a real engine fails with INTERNAL for upper case elsewhere.
    definition.tasks[0].action = format!("C{}:MyTask", &part[1..]);
    definition.tasks[0].readable_id = "MyTask".to_owned();
    let workflow = target.put(&definition).await;
    let mut worker = RawWorker::register(&target, "worker", &[&workflow.action], &[("default", 1)]).await;
    worker.listen();
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.action_id, format!("{part}:mytask"));
    assert_eq!(action.task_name, "MyTask");
    worker.complete(&action, "{}").await;
    assert!(target.done(&run).await.task_runs.contains_key("MyTask"));
    worker.close().await;

    definition.name = target.name("case-inside");
    definition.tasks[0].action = format!("{part}X:mytask");
    let result = target.try_put(&definition).await;
    if !target.deviates(Deviation::ActionIsLowerCased) {
        assert_refused(result, Code::Internal, "");
    } else if let Err(status) = result {
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
}
