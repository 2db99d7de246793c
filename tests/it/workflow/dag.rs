//! Workflows of several tasks: outputs of parents, results, failures.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hatchet_quickstart::{
    hatchet::{client::RunOutcome, task::TaskFailure, wire::RunStatus},
    prelude::*,
};
use serde_json::json;

use super::fixture::{Fixture, Json, N};
use crate::support::{Target, within_timeout};

#[tokio::test]
async fn body_receives_the_outputs_of_its_parents() {
    let target = Target::start().await;
    let stub = Stub::<N, N>::from_name(target.name("sum")).output_of("sum");
    let flow = stub.workflow(|flow| {
        let double = flow.task("Double", |input, _ctx| async move { Ok(N { n: input.n * 2 }) });
        let square = flow.blocking_task("square", |input, _ctx| Ok(N { n: input.n * input.n }));
        let next = flow.parents(&square).cpu_task("next", |_input, square, _ctx| Ok(N { n: square.n + 1 }));
        flow.parents((&double, &next))
            .task("sum", |input, (double, next), _ctx| async move { Ok(N { n: input.n + double.n + next.n }) })
    });
    let fixture = Fixture::start(target, vec![flow.into()]).await;
    let run = fixture.client.run_no_wait(&stub, &N { n: 3 }).await.unwrap();
    assert_eq!(within_timeout("the run finishes", run.result()).await.unwrap(), N { n: 19 });
    let outcome = run.outcome().await.unwrap();
    assert_eq!(outcome.output_of::<N>("double").unwrap(), N { n: 6 });
    assert_eq!(
        outcome.output::<serde_json::Value>().unwrap(),
        json!({"double": {"n": 6}, "square": {"n": 9}, "next": {"n": 10}, "sum": {"n": 19}})
    );
    let many = fixture.client.run_many(&stub, [N { n: 1 }, N { n: 2 }]).await;
    let many: Vec<i64> = many.into_iter().map(|output| output.unwrap().n).collect();
    assert_eq!(many, [5, 11]);
    fixture.stop().await;
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Outputs {
    lines: N,
    words: N,
}

#[tokio::test]
async fn outputs_of_all_tasks_are_read_by_name() {
    let target = Target::start().await;
    let stub = Stub::<N, Outputs>::from_name(target.name("all"));
    let flow = stub.workflow_of_all(|flow| {
        flow.task("lines", |input, _ctx| async move { Ok(input) });
        let parents = [flow.task("words", |_, _ctx| async move { Ok(N { n: 2 }) })];
        flow.parents(&parents[..]).task("list", |_, words, _ctx| async move { Ok(N { n: words[0].n }) });
    });
    let fixture = Fixture::start(target, vec![flow.into()]).await;
    let output =
        within_timeout("the run finishes", async { fixture.client.run(&stub, &N { n: 1 }).await }).await.unwrap();
    assert_eq!(output, Outputs { lines: N { n: 1 }, words: N { n: 2 } });
    fixture.stop().await;
}

async fn outcome_of(fixture: &Fixture, stub: &Stub<Json, Json>, input: Json) -> RunOutcome {
    let run = fixture.client.run_no_wait(stub, &input).await.unwrap();
    within_timeout("the run finishes", run.outcome()).await.unwrap()
}

#[tokio::test]
async fn on_failure_and_on_success_run_by_outcome() {
    let target = Target::for_failures().await;
    let stub = Stub::<Json, Json>::from_name(target.name("hooks")).output_of("b");
    let observed: Arc<Mutex<Vec<TaskFailure>>> = Arc::default();
    let seen = observed.clone();
    let flow = stub.workflow(|flow| {
        let a = flow.task("a", |input, _ctx| async move { Ok(input) });
        let b = flow
            .parents(&a)
            .task("b", |_input, a: Json, _ctx| async move {
                if a.contains_key("fail") {
                    "x".parse::<u8>()?;
                }
                Ok(a)
            })
            .retries(1);
        flow.on_failure(move |_input, failures, _ctx| {
            seen.lock().unwrap().extend(failures);
            async move { Ok(()) }
        })
        .execution_timeout(Duration::from_secs(30));
        flow.on_success(|input, _ctx| async move { Ok(input) });
        b
    });
    let fixture = Fixture::start(target, vec![flow.into()]).await;

    let input = json!({"ok": 1}).as_object().unwrap().clone();
    let outcome = outcome_of(&fixture, &stub, input.clone()).await;
    assert_eq!(outcome.status, RunStatus::Completed, "{outcome:?}");
    assert_eq!(outcome.output_of::<Json>("b").unwrap(), input);
    assert_eq!(outcome.output_of::<Json>("on-success").unwrap(), input);
    assert_eq!(outcome.output_of::<Option<Json>>("on-failure").unwrap(), None);
    assert_eq!(observed.lock().unwrap().len(), 0);

    let outcome = outcome_of(&fixture, &stub, json!({"fail": 1}).as_object().unwrap().clone()).await;
    assert_eq!(outcome.status, RunStatus::Failed, "{outcome:?}");
    {
        let failures = observed.lock().unwrap();
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert_eq!((failures[0].task(), failures[0].type_name()), ("b", Some("ParseIntError")));
        assert_eq!(failures[0].message(), "invalid digit found in string");
        assert!(failures[0].attempts() >= Some(2), "{failures:?}");
    }
    fixture.stop().await;
}

#[tokio::test]
async fn single_task_with_on_failure_is_a_workflow() {
    let target = Target::for_failures().await;
    let stub = Stub::<N, N>::from_name(target.name("single")).output_of("only");
    let flow = stub.workflow(|flow| {
        flow.on_failure(|_, _, _| async move { Ok(()) });
        flow.task(
            "only",
            |input, _| async move { if input.n < 0 { Err(TaskError::fatal("negative")) } else { Ok(input) } },
        )
    });
    let fixture = Fixture::start(target, vec![flow.into()]).await;
    let result = within_timeout("the run finishes", async { fixture.client.run(&stub, &N { n: 1 }).await }).await;
    assert_eq!(result.unwrap(), N { n: 1 });
    let failed =
        within_timeout("the run finishes", async { fixture.client.run(&stub, &N { n: -1 }).await }).await.unwrap_err();
    assert!(matches!(&failed, RunError::Failed(failure) if failure.message() == "negative"), "{failed:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn untyped_parent_output_of_another_shape_fails_the_task() {
    let target = Target::for_failures().await;
    let stub = Stub::<N, N>::from_name(target.name("shape")).output_of("b");
    let flow = stub.workflow(|flow| {
        let a = flow.task("a", |_, _| async move { Ok(json!({"n": "text"})) });
        flow.parents(&a).task("b", |_, a: serde_json::Value, _| async move { Ok(serde_json::from_value::<N>(a)?) })
    });
    let fixture = Fixture::start(target, vec![flow.into()]).await;
    let failed =
        within_timeout("the run finishes", async { fixture.client.run(&stub, &N { n: 1 }).await }).await.unwrap_err();
    assert!(matches!(&failed, RunError::Failed(failure) if failure.message().contains("invalid type")), "{failed:?}");
    fixture.stop().await;
}

#[tokio::test]
async fn default_metadata_is_added_and_overridden() {
    const PAIRS: &[(&str, &str)] = &[("team", "a"), ("stage", "test")];
    let target = Target::start().await;
    let stub = Stub::<N, Json>::from_name(target.name("metadata")).default_metadata(PAIRS);
    let task = stub.task(|_, ctx| async move { Ok(ctx.additional_metadata().clone()) });
    let fixture = Fixture::start(target, vec![task.into()]).await;
    let seen = within_timeout("the run finishes", async {
        fixture.client.run(&stub, &N { n: 1 }).metadata("team", "b").await
    });
    let seen = seen.await.unwrap();
    assert_eq!((&seen["team"], &seen["stage"]), (&json!("b"), &json!("test")));
    let many = fixture.client.run_many(&stub, [N { n: 1 }]).metadata("stage", "live").await;
    let seen = many.into_iter().next().unwrap().unwrap();
    assert_eq!((&seen["team"], &seen["stage"]), (&json!("a"), &json!("live")));
    fixture.stop().await;
}
