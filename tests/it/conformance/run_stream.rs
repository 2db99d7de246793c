//! `SubscribeToWorkflowRuns`, the subscription that waits for runs.

use hatchet_quickstart::hatchet::wire::proto::{
    StepRunResult, SubscribeToWorkflowRunsRequest, WorkflowRunEvent, WorkflowRunEventType,
};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use uuid::Uuid;

use crate::support::{ControlWorker, RawWorker, StreamReader, Target, Workflow};

/// A subscription: run ids are sent, finished runs are received. Dropping `ids` half-closes it.
struct Runs {
    ids: UnboundedSender<SubscribeToWorkflowRunsRequest>,
    ends: StreamReader<WorkflowRunEvent>,
}

impl Runs {
    fn open(target: &Target) -> Self {
        let (ids, requests) = unbounded_channel();
        let mut dispatcher = target.dispatcher();
        let requests = UnboundedReceiverStream::new(requests);
        let ends =
            StreamReader::open(
                "the end of a run",
                async move { dispatcher.subscribe_to_workflow_runs(requests).await },
            );
        Self { ids, ends }
    }

    fn subscribe(&self, id: &str) {
        self.ids.send(SubscribeToWorkflowRunsRequest { workflow_run_id: id.to_owned() }).unwrap();
    }

    async fn end_of(&mut self, run: &str) -> StepRunResult {
        let mut event = self.ends.message().await;
        assert_eq!(event.workflow_run_id, run);
        assert_eq!(event.event_type(), WorkflowRunEventType::Finished);
        assert_eq!(event.results.len(), 1, "{event:?}");
        event.results.remove(0)
    }
}

async fn completed(target: &Target, workflow: &Workflow, worker: &mut RawWorker, output: &str) -> String {
    let run = target.trigger(workflow, json!({})).await;
    let action = worker.next_start().await;
    worker.complete(&action, output).await;
    target.done(&run).await;
    run
}

#[tokio::test]
async fn finished_run_is_reported_immediately() {
    let target = Target::start().await;
    let workflow = target.workflow("finished").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = completed(&target, &workflow, &mut worker, r#"{ "n": 1.0 }"#).await;
    let mut runs = Runs::open(&target);
    // The engine removes an id when it has reported it, so the id can be subscribed again.
    for _ in 0..2 {
        runs.subscribe(&run);
        let result = runs.end_of(&run).await;
        assert_eq!((&result.task_run_external_id, &result.job_run_id), (&run, &run));
        assert_eq!(result.task_name, workflow.name);
        assert_eq!((result.output.as_deref(), result.error.as_deref()), (Some(r#"{ "n": 1.0 }"#), None));
    }
    worker.close().await;
}

#[tokio::test]
async fn open_run_is_reported_when_finished() {
    let target = Target::for_failures().await;
    let workflow = target.workflow_with("unfinished", |task| task.retries = 1).await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut runs = Runs::open(&target);
    let run = target.trigger(&workflow, json!({})).await;
    runs.subscribe(&run);
    let action = worker.next_start().await;
    worker.fail(&action, "first").await;
    // A failed attempt that is retried does not finish the run.
    let action = worker.next_start().await;
    assert!(runs.ends.waiting().is_none());
    worker.fail(&action, "second").await;
    let result = runs.end_of(&run).await;
    assert_eq!((result.output.as_deref(), result.error.as_deref()), (None, Some("second")));
    worker.close().await;
}

#[tokio::test]
async fn one_stream_reports_many_runs() {
    let target = Target::start().await;
    let workflow = target.workflow("many").await;
    let mut worker = RawWorker::start(&target, &workflow, 30).await;
    let mut runs = Runs::open(&target);
    let mut open = std::collections::BTreeSet::new();
    for n in 0..30 {
        let run = target.trigger(&workflow, json!({"n": n})).await;
        runs.subscribe(&run);
        open.insert(run);
    }
    for _ in 0..30 {
        let action = worker.next_start().await;
        worker.complete(&action, "{}").await;
    }
    while !open.is_empty() {
        let event = runs.ends.message().await;
        assert!(open.remove(&event.workflow_run_id), "{event:?}");
    }
    worker.close().await;
}

#[tokio::test]
async fn duplicate_run_id_is_reported_once() {
    let target = Target::start().await;
    let (workflow, last) = (target.workflow("duplicate").await, target.workflow("last").await);
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let mut control = ControlWorker::start(&target).await;
    let mut runs = Runs::open(&target);
    let run = target.trigger(&workflow, json!({})).await;
    for _ in 0..3 {
        runs.subscribe(&run);
    }
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    runs.end_of(&run).await;
    control.complete_runs(&target).await;

    let mut other = RawWorker::start(&target, &last, 1).await;
    let next = completed(&target, &last, &mut other, "{}").await;
    runs.subscribe(&next);
    runs.end_of(&next).await;
    other.close().await;
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn invalid_or_unknown_ids_are_ignored() {
    let target = Target::start().await;
    let workflow = target.workflow("ignored").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = completed(&target, &workflow, &mut worker, "{}").await;
    let mut runs = Runs::open(&target);
    for id in ["nope", "", &Uuid::new_v4().to_string(), &run] {
        runs.subscribe(id);
    }
    runs.end_of(&run).await;
    worker.close().await;
}

#[tokio::test]
async fn cancelled_run_has_empty_error() {
    let target = Target::start().await;
    let workflow = target.workflow("cancelled").await;
    let run = target.trigger(&workflow, json!({})).await;
    target.details_until(&run, "the run exists", |_| true).await;
    let mut runs = Runs::open(&target);
    runs.subscribe(&run);
    target.cancel(&[&run]).await;
    let result = runs.end_of(&run).await;
    assert_eq!((result.output.as_deref(), result.error.as_deref()), (None, Some("")));
}

#[tokio::test]
async fn client_half_close_ends_the_stream() {
    let target = Target::start().await;
    let workflow = target.workflow("half-close").await;
    let mut worker = RawWorker::start(&target, &workflow, 1).await;
    let run = completed(&target, &workflow, &mut worker, "{}").await;
    let mut runs = Runs::open(&target);
    runs.subscribe(&run);
    runs.end_of(&run).await;
    let Runs { ids, mut ends } = runs;
    drop(ids);
    ends.expect_end().await;
    worker.close().await;
}
