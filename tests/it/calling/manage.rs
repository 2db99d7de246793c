//! Lists, details and changes of runs, workflows and filters.

use std::time::{Duration, Instant, SystemTime};

use hatchet_quickstart::{
    hatchet::{
        client::{ErrorKind, PausedRuns, RunFilter},
        task::{RateLimit, Window},
        wire::RunStatus,
    },
    prelude::*,
};
use serde_json::json;

use super::{Json, Library, json_object, within};
use crate::support::eventually;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_listed_replayed_and_cancelled_by_filter() {
    let mut library = Library::start().await;
    let (echo, idle) = (library.stub("echo"), library.stub("idle"));
    let idle_task = idle.task(|_: Json, ctx: Context| async move { Err(TaskError::cancelled(ctx.cancelled().await)) });
    library.work([echo.task(|input: Json, _| async { Ok(input) }), idle_task]).await;
    let (client, case) = (&library.client, library.target.name("case"));
    let since = SystemTime::now() - Duration::from_secs(600);
    let filter = RunFilter::since(since).metadata("case", &case);
    for color in ["red", "blue"] {
        let call = client.run(&echo, &Json::new()).metadata("case", case.as_str()).metadata("color", color);
        within("the run finishes", call).await.unwrap();
    }
    let open = client.run_no_wait(&idle, &Json::new()).metadata("case", case.as_str()).await.unwrap();
    let rest = client.rest().unwrap();
    let listed = async |filter: RunFilter| rest.runs(&filter).all().await.unwrap();
    eventually("all runs are listed", async || {
        let rows = listed(filter.clone()).await;
        let open = rows.iter().any(|row| row.status == "RUNNING");
        let completed = rows.iter().filter(|row| row.status == "COMPLETED").count();
        (open && completed == 2).then_some(())
    })
    .await;
    // Several pairs select runs with all of them.
    let red = listed(filter.clone().metadata("color", "red")).await;
    assert_eq!((red.len(), red[0].workflow_name.as_str()), (1, echo.name()));
    let workflow = rest.workflow_by_name(echo.name()).await.unwrap().unwrap();
    assert_eq!(listed(filter.clone().workflow(workflow.id().unwrap())).await.len(), 2);
    assert_eq!(listed(filter.clone().status(RunStatus::Running)).await.len(), 1);
    assert!(listed(filter.clone().until(since)).await.is_empty());

    let red_run = red[0].id().unwrap();
    assert_eq!(client.replay_where(&filter.clone().metadata("color", "red")).await.unwrap(), [red_run]);
    eventually("the replayed run finishes again", async || {
        let events = rest.task_events(red_run).await.unwrap();
        (events.iter().filter(|event| event.event_type == "FINISHED").count() == 2).then_some(())
    })
    .await;

    assert_eq!(client.cancel_where(&filter).await.unwrap(), [open.id()]);
    let outcome = within("the run finishes", open.outcome()).await.unwrap();
    assert_eq!(outcome.status, RunStatus::Cancelled);
    let counts = rest.task_counts(since).await.unwrap();
    assert!(counts[&RunStatus::Completed] >= 2 && counts[&RunStatus::Cancelled] >= 1, "{counts:?}");
    library.stop().await;
}

#[tokio::test]
async fn workflows_are_listed_and_found_by_name() {
    let library = Library::start().await;
    let (first, second) = (library.target.workflow("find-a").await, library.target.workflow("find-a-b").await);
    let rest = library.client.rest().unwrap();
    let found = rest.workflow_by_name(&first.name).await.unwrap().unwrap();
    assert_eq!(found.metadata.id, first.workflow_id);
    assert!(rest.workflow_by_name(&library.target.name("find")).await.unwrap().is_none());
    let names: Vec<String> =
        rest.workflows(&first.name).await.unwrap().into_iter().map(|workflow| workflow.name).collect();
    assert!(names.len() == 2 && names.contains(&second.name), "{names:?}");
    assert_eq!(rest.workflow(found.id().unwrap()).await.unwrap().name, first.name);
    let unknown = uuid::Uuid::new_v4().into();
    assert_eq!(rest.workflow(unknown).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn workflow_is_paused_resumed_and_deleted() {
    let library = Library::start().await;
    let workflow = library.target.workflow("paused").await;
    let (rest, id) = (library.client.rest().unwrap(), workflow.workflow_id.parse().unwrap());
    let paused = rest.pause_workflow(id, Duration::from_secs(3_600), PausedRuns::Queue).await;
    match paused {
        Ok(()) => {
            assert!(rest.workflow(id).await.unwrap().is_paused);
            rest.resume_workflow(id).await.unwrap();
            assert!(!rest.workflow(id).await.unwrap().is_paused);
        }
        // An engine before 0.105.2 refuses the field.
        Err(error) => {
            assert!(!library.target.is_embedded() && error.kind() == ErrorKind::Invalid, "{error}");
        }
    }
    rest.delete_workflow(id).await.unwrap();
    assert!(rest.workflow_by_name(&workflow.name).await.unwrap().is_none());
}

#[tokio::test]
async fn filter_is_created_changed_and_deleted() {
    let library = Library::start().await;
    let workflow = library.target.workflow("filtered").await;
    let (rest, id) = (library.client.rest().unwrap(), workflow.workflow_id.parse().unwrap());
    let payload = json_object(json!({ "minimum": 3 }));
    for (error, field) in [
        (rest.create_filter(id, "", "true", &payload).await.unwrap_err(), "invalid filter scope"),
        (rest.create_filter(id, "s", "", &payload).await.unwrap_err(), "invalid filter expression"),
        (rest.create_filter(id, "s", "true", &vec![1]).await.unwrap_err(), "invalid filter payload"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(field), "{error}");
    }
    let filter = rest.create_filter(id, "eu", "input.total > payload.minimum", &payload).await.unwrap();
    assert_eq!((filter.scope.as_str(), &filter.payload), ("eu", &payload));
    let filter_id = filter.id().unwrap();
    assert_eq!(rest.filters(Some(id)).await.unwrap().len(), 1);
    let changed = rest.update_filter(filter_id, "us", "true", &Json::new()).await.unwrap();
    assert_eq!((changed.scope.as_str(), changed.expression.as_str()), ("us", "true"));
    assert_eq!(rest.filter(filter_id).await.unwrap().scope, "us");
    rest.delete_filter(filter_id).await.unwrap();
    assert!(rest.filters(Some(id)).await.unwrap().is_empty());
}

#[tokio::test]
async fn filter_expression_is_evaluated_with_examples() {
    let library = Library::start().await;
    let rest = library.client.rest().unwrap();
    let (input, payload) = (json_object(json!({ "total": 200 })), json_object(json!({ "minimum": 100 })));
    let metadata = json_object(json!({ "team": "a" }));
    let evaluate = async |expression: &str| rest.evaluate_filter(expression, &input, &metadata, &payload).await;
    assert!(evaluate("input.total > payload.minimum && additional_metadata.team == 'a'").await.unwrap());
    assert!(!evaluate("input.total < payload.minimum").await.unwrap());
    for (expression, reason) in [("input.", "compile"), ("input.missing > 1", "no such key"), ("", "at least one")] {
        let error = evaluate(expression).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(
            error.to_string().contains("invalid filter expression") && error.to_string().contains(reason),
            "{error}"
        );
    }
    let array = rest.evaluate_filter("true", &vec![1], &metadata, &payload).await.unwrap_err();
    assert!(array.to_string().contains("invalid filter input"), "{array}");
}

#[tokio::test]
async fn queue_metrics_and_rate_limits_are_read() {
    let library = Library::start().await;
    let rest = library.client.rest().unwrap();
    // Without a worker, the run stays in its queue.
    let workflow = library.target.workflow("queued").await;
    let run = library.client.run_no_wait(&Stub::<Json, Json>::from_name(&*workflow.name), &Json::new()).await.unwrap();
    eventually("the run is counted", async || {
        let (queues, stats) = (rest.queue_lengths().await.unwrap(), rest.task_stats().await.unwrap());
        (queues.get(&workflow.action) == Some(&1) && stats[&workflow.name]["queued"]["total"] == 1).then_some(())
    })
    .await;
    run.cancel().await.unwrap();
    let key = library.target.name("api");
    library.client.put_rate_limit(&key, 7, Window::Minute).await.unwrap();
    let limits = rest.rate_limits().await.unwrap();
    let limit = limits.iter().find(|limit| limit.key == key).unwrap();
    assert_eq!(limit.limit_value, 7);
}

#[tokio::test]
async fn paused_rate_limit_delays_runs() {
    let mut library = Library::start().await;
    let key = library.target.name("api");
    library.client.put_rate_limit(&key, 7, Window::Second).await.unwrap();
    let stub = library.stub("limited");
    library.work([stub.task(|input: Json, _| async { Ok(input) }).rate_limit(RateLimit::of(key.as_str()))]).await;
    let client = &library.client;
    let start = Instant::now();
    let unknown = client.pause_rate_limit(&library.target.name("unknown"), SystemTime::now()).await.unwrap_err();
    if unknown.kind() == ErrorKind::Unsupported && !library.target.is_embedded() {
        println!("skipped: the engine is older than the call");
    } else {
        assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
        let until = SystemTime::now() + Duration::from_secs(2);
        client.pause_rate_limit(&key, until).await.unwrap();
        within("the run finishes", client.run(&stub, &Json::new())).await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(1_900), "{:?}", start.elapsed());
    }
    library.stop().await;
}

#[tokio::test]
async fn pause_of_rate_limit_is_never_shortened() {
    let library = Library::start().await;
    let (client, key) = (&library.client, library.target.name("paused"));
    client.put_rate_limit(&key, 1, Window::Minute).await.unwrap();
    let pause = async |key: &str, seconds: u64| {
        client.pause_rate_limit(key, SystemTime::now() + Duration::from_secs(seconds)).await
    };
    match pause(&key, 60).await {
        Ok(until) => {
            // Engines round to milliseconds.
            assert!(pause(&key, 1).await.unwrap() + Duration::from_secs(1) >= until);
            assert_eq!(pause(&library.target.name("unknown"), 1).await.unwrap_err().kind(), ErrorKind::NotFound);
        }
        // An engine before 0.114 lacks the call.
        Err(error) => {
            assert!(!library.target.is_embedded() && error.kind() == ErrorKind::Unsupported, "{error}");
        }
    }
}

#[tokio::test]
async fn invalid_rate_limit_is_refused_with_the_field() {
    let library = Library::start().await;
    let client = &library.client;
    let distant = SystemTime::now() + Duration::from_secs(400_000_000_000);
    for (error, field) in [
        (client.put_rate_limit("", 1, Window::Second).await.unwrap_err(), "invalid rate limit key"),
        (client.put_rate_limit("k", u32::MAX, Window::Second).await.unwrap_err(), "invalid rate limit units"),
        (client.pause_rate_limit("", distant).await.unwrap_err(), "invalid rate limit key"),
        (client.pause_rate_limit("k", distant).await.unwrap_err(), "invalid time"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(field), "{error}");
    }
}
