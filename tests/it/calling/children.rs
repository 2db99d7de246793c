//! Child runs of a body.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use hatchet_quickstart::{
    hatchet::{
        client::RunFilter,
        task::{ChildError, ChildItem, ErasedWorkflow, Sticky},
        wire::{RunId, RunStatus, WorkerId},
    },
    prelude::*,
};
use serde_json::json;
use tokio::sync::mpsc;

use super::{Json, Library, json_object, within};
use crate::support::eventually;

/// Returns its input.
fn echo(stub: &Stub<Json, Json>) -> Task<Json, Json> {
    stub.task(|input: Json, _| async { Ok(input) })
}

/// Runs until it is cancelled.
fn until_cancelled(stub: &Stub<Json, Json>) -> Task<Json, Json> {
    stub.task(|_: Json, ctx: Context| async move { Err(TaskError::cancelled(ctx.cancelled().await)) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_are_made_once_when_their_parent_is_retried() {
    let mut library = Library::for_failures().await;
    let (parent, child) = (library.stub("parent"), library.stub("child"));
    let executions = Arc::new(AtomicU32::new(0));
    let counted = executions.clone();
    let child_task = child.task(move |input: Json, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(input) }
    });
    let seen: Arc<Mutex<Vec<Vec<RunId>>>> = Arc::default();
    let (record, task) = (seen.clone(), child.clone());
    let parent_task = parent.task(move |_: Json, ctx: Context| {
        let (record, child) = (record.clone(), task.clone());
        async move {
            let single = ctx.run_no_wait(&child, &json_object(json!({ "n": 0 }))).await?;
            let keyed = ctx.run_no_wait(&child, &json_object(json!({ "n": 1 }))).key("one").await?;
            let same = ctx.run_no_wait(&child, &json_object(json!({ "n": 2 }))).key("one").await?;
            let many = ctx.run_many_no_wait(&child, [3, 4].map(|n| json_object(json!({ "n": n })))).await;
            let mut ids = vec![single.id(), keyed.id(), same.id()];
            for run in many {
                ids.push(run?.id());
            }
            let first = single.result().await?;
            let second = same.result().await?;
            record.lock().unwrap().push(ids);
            if ctx.retry_count() == 0 {
                return Err(TaskError::new("the first attempt fails"));
            }
            Ok(json_object(json!({ "first": first["n"], "second": second["n"] })))
        }
    });
    library.work([parent_task.retries(1), child_task]).await;
    let output = within("the parent finishes", library.client.run(&parent, &Json::new())).await.unwrap();
    assert_eq!(output, json_object(json!({ "first": 0, "second": 1 })));
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], seen[1], "the second attempt gets the runs of the first");
    assert_eq!(seen[0][1], seen[0][2], "one run for each key");
    for run in &seen[0] {
        within("the child finishes", library.client.run_ref::<Json>(*run).outcome()).await.unwrap();
    }
    assert_eq!(executions.load(Ordering::SeqCst), 4);
    library.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_has_own_options_and_inherited_metadata() {
    let mut library = Library::start().await;
    let (parent, child) = (library.stub("parent"), library.stub("child"));
    let task = child.clone();
    let child_task = child.task(|_: Json, ctx: Context| async move { Ok(ctx.additional_metadata().clone()) });
    let parent_task = parent.task(move |_: Json, ctx: Context| {
        let child = task.clone();
        async move {
            let inputs = [json!({ "n": 0 }), json!({ "n": 1 })].map(json_object);
            let items = inputs.iter().zip(["a", "b"]).map(|(input, key)| ChildItem::new(input).key(key));
            let mut outputs = Vec::new();
            for output in ctx.run_many(&child, items).metadata("own", "2").priority(Priority::High).await {
                outputs.push(output?);
            }
            Ok(json_object(json!({ "outputs": outputs })))
        }
    });
    library.work([parent_task, child_task]).await;
    let call = library.client.run(&parent, &Json::new()).metadata("team", "t").metadata("own", "1");
    let output = within("the parent finishes", call).await.unwrap();
    for index in [0, 1] {
        let metadata = &output["outputs"][index];
        assert_eq!((&metadata["team"], &metadata["own"]), (&json!("t"), &json!("2")), "{metadata}");
    }
    library.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_parent_cancels_its_children() {
    let mut library = Library::start().await;
    let (parent, child) = (library.stub("parent"), library.stub("child"));
    let (started, mut runs) = mpsc::unbounded_channel();
    let task = child.clone();
    let parent_task = parent.task(move |_: Json, ctx: Context| {
        let (child, started) = (task.clone(), started.clone());
        async move {
            let run = ctx.run_no_wait(&child, &Json::new()).await?;
            started.send(run.id()).unwrap();
            Ok(run.result().await?)
        }
    });
    library.work([parent_task, until_cancelled(&child)]).await;
    let run = library.client.run_no_wait(&parent, &Json::new()).await.unwrap();
    let child_run = library.client.run_ref::<Json>(within("the child starts", runs.recv()).await.unwrap());
    eventually("the child runs", async || (child_run.status().await.unwrap() == RunStatus::Running).then_some(()))
        .await;
    assert!(run.cancel().await.unwrap());
    let outcome = within("the child finishes", child_run.outcome()).await.unwrap();
    assert_eq!(outcome.status, RunStatus::Cancelled);
    library.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_parent_cancels_children_of_earlier_attempts() {
    let mut library = Library::for_failures().await;
    let (parent, child) = (library.stub("parent"), library.stub("child"));
    let (started, mut runs) = mpsc::unbounded_channel();
    let task = child.clone();
    let parent_task = parent.task(move |_: Json, ctx: Context| {
        let (child, started) = (task.clone(), started.clone());
        async move {
            if ctx.retry_count() == 0 {
                let run = ctx.run_no_wait(&child, &Json::new()).await?;
                started.send(Some(run.id())).unwrap();
                return Err(TaskError::new("the next attempt starts no children"));
            }
            started.send(None).unwrap();
            Err(TaskError::cancelled(ctx.cancelled().await))
        }
    });
    library.work([parent_task.retries(1), until_cancelled(&child)]).await;
    let run = library.client.run_no_wait(&parent, &Json::new()).await.unwrap();
    let child_id = within("the child starts", runs.recv()).await.unwrap().unwrap();
    let child_run = library.client.run_ref::<Json>(child_id);
    assert_eq!(within("the second attempt starts", runs.recv()).await, Some(None));
    // The list of a real engine lags behind.
    let children = RunFilter::since(SystemTime::UNIX_EPOCH).parent(run.id()).status(RunStatus::Running);
    let rest = library.client.rest().unwrap();
    eventually("the child is listed", async || {
        let listed = rest.runs(&children).all().await.unwrap();
        (!listed.is_empty()).then_some(())
    })
    .await;
    assert!(run.cancel().await.unwrap());
    let outcome = within("the child finishes", child_run.outcome()).await.unwrap();
    assert_eq!(outcome.status, RunStatus::Cancelled);
    library.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sticky_children_run_on_the_worker_of_their_parent() {
    let mut library = Library::start().await;
    let (parent, child) = (library.stub("parent"), library.stub("child"));
    let task = child.clone();
    let parent_task = parent.task(move |_: Json, ctx: Context| {
        let child = task.clone();
        async move {
            let mut workers = vec![ctx.run(&child, &Json::new()).sticky().await?["worker"].clone()];
            for output in ctx.run_many(&child, vec![Json::new(); 6]).sticky().await {
                workers.push(output?["worker"].clone());
            }
            let items = (0..2).map(|_| ChildItem::new(&Json::new()).sticky());
            for output in ctx.run_many(&child, items).await {
                workers.push(output?["worker"].clone());
            }
            Ok(json_object(json!({ "worker": ctx.worker_id(), "workers": workers })))
        }
    });
    let child_task =
        child.task(|_: Json, ctx: Context| async move { Ok(json_object(json!({ "worker": ctx.worker_id() }))) });
    let tasks: [ErasedWorkflow; 2] = [parent_task.into(), child_task.sticky(Sticky::Hard).into()];
    library.work(tasks.clone()).await;
    library.work(tasks).await;
    let output = within("the parent finishes", library.client.run(&parent, &Json::new())).await.unwrap();
    assert!(output["worker"].as_str().unwrap().parse::<WorkerId>().is_ok());
    assert_eq!(output["workers"], json!(vec![output["worker"].clone(); 9]));
    library.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_child_is_an_error_of_its_parent() {
    let mut library = Library::for_failures().await;
    let (parent, child) = (library.stub("parent"), library.stub("child"));
    let task = child.clone();
    // A blocking body waits on its thread.
    let parent_task = parent.blocking_task(move |_: Json, ctx: Context| {
        let Err(ChildError::Failed { run, error, .. }) = ctx.block_on(ctx.run(&task, &Json::new())) else {
            return Err(TaskError::fatal("the child did not fail"));
        };
        Ok(json_object(json!({ "run": run.to_string(), "error": error })))
    });
    let child_task = child.task(|_: Json, _| async { Err::<Json, _>(TaskError::fatal("no stock")) });
    library.work([parent_task, child_task]).await;
    let output = within("the parent finishes", library.client.run(&parent, &Json::new())).await.unwrap();
    assert!(output["error"].as_str().unwrap().contains("no stock"), "{output:?}");
    library.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_child_is_refused_with_the_field() {
    let mut library = Library::start().await;
    let (parent, child) = (library.stub("parent"), library.stub("child"));
    let task = child.clone();
    let parent_task = parent.task(move |_: Json, ctx: Context| {
        let child = task.clone();
        async move {
            let array: Stub<Vec<u8>, Json> = Stub::from_name(child.name());
            let errors = [
                ctx.run(&child, &Json::new()).key("").await.unwrap_err(),
                ctx.run(&child, &Json::new()).key("k".repeat(256)).await.unwrap_err(),
                ctx.run(&array, &vec![1]).await.unwrap_err(),
                ctx.run(&child, &Json::new()).metadata("k", "\0").await.unwrap_err(),
            ];
            Ok(json_object(json!({ "errors": errors.map(|error| error.to_string()) })))
        }
    });
    library.work([parent_task, echo(&child)]).await;
    let output = within("the parent finishes", library.client.run(&parent, &Json::new())).await.unwrap();
    for (index, field) in ["invalid key", "invalid key", "invalid input", "invalid metadata"].into_iter().enumerate() {
        let error = output["errors"][index].as_str().unwrap();
        assert!(error.contains(field), "{error}");
    }
    library.stop().await;
}
