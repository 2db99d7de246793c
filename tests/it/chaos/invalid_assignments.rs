//! Invalid and oversized assignments. Each must cause one clear failure, and the worker must keep working.

use hatchet_quickstart::hatchet::{
    task::{ErasedTask, Stub},
    wire::{
        DEFAULT_MAX_MESSAGE, RunId,
        proto::{ActionType, AssignedAction},
    },
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};

use super::{
    fixture::{Count, worker},
    table::{Row, not_on_a_real_engine},
};
use crate::fake::{Fake, Finished, start_action};

type Json = Map<String, Value>;

fn tasks() -> [ErasedTask; 2] {
    let echo = Stub::new("echo").task(|input: Json, _| async { Ok(input) });
    let large = Stub::new("large")
        .task(|input: Count, _| async move { Ok(json!({ "text": "x".repeat(usize::try_from(input.ms).unwrap()) })) });
    [echo.erase(), large.erase()]
}

async fn still_runs(fake: &Fake) {
    let run = fake.assign("echo", r#"{"n":1}"#).await;
    assert_eq!(fake.finished(run).await, Finished::Completed(r#"{"n":1}"#.to_owned()));
}

async fn failed_once(fake: &Fake, run: RunId) -> String {
    let outcome = fake.finished(run).await;
    still_runs(fake).await;
    assert_eq!(fake.script(|script| script.finished(run).len()), 1);
    match outcome {
        Finished::Failed { error, may_retry: false } => error,
        other => panic!("expected a fatal failure, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_message_fails_only_its_run() {
    let fault = "messages of more than 4 MiB, both ways";
    if not_on_a_real_engine(fault) {
        return;
    }
    let mut row = Row::new(fault);
    let fake = Fake::start().await;
    let running = worker(&fake.config(), tasks()).await;
    fake.until_listening().await;
    let run = fake.assign("echo", &format!(r#"{{"text":"{}"}}"#, "x".repeat(DEFAULT_MAX_MESSAGE + 1))).await;
    let error = failed_once(&fake, run).await;
    assert!(error.contains("HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH"), "{error}");
    let run = fake.assign("large", &format!(r#"{{"ms":{}}}"#, DEFAULT_MAX_MESSAGE + 1)).await;
    let error = failed_once(&fake, run).await;
    assert!(error.starts_with("OutputTooLarge: ") && error.contains("over the limit"), "{error}");
    assert_eq!(fake.script(|script| script.streams.len()), 1, "the stream stays open");
    row.add("one clear failure each, over the same stream");
    running.stop().await.unwrap();
}

/// Random actions: known and unknown types, tasks and payloads, with valid and invalid run ids.
fn actions() -> impl Strategy<Value = AssignedAction> {
    let payload = prop_oneof![
        ".{0,40}",
        Just(r#"{"input":{}}"#.to_owned()),
        "[\\[{\":,}\\]a0\\\\ ]{0,20}",
        ".{0,20}".prop_map(|text| json!({ "input": { "text": text } }).to_string()),
        "[0-9eE.+-]{0,9}".prop_map(|number| format!(r#"{{"input":{{"n":{number}}}}}"#)),
    ];
    let kind = prop_oneof![3 => Just(ActionType::StartStepRun as i32), 1 => any::<i32>(), 1 => 0..6_i32];
    let id = prop_oneof![4 => Just(None), 1 => ".{0,40}".prop_map(Some)];
    let action = prop_oneof![2 => Just("echo:echo".to_owned()), 1 => ".{0,20}"];
    (kind, id, action, payload, any::<i32>(), proptest::option::of(".{0,20}")).prop_map(
        |(kind, id, action, payload, attempt, metadata)| {
            let plain = start_action(RunId::random(), &action, &payload, attempt);
            AssignedAction {
                action_type: kind,
                task_run_external_id: id.unwrap_or(plain.task_run_external_id),
                additional_metadata: metadata,
                ..plain
            }
        },
    )
}

#[test]
fn random_action_is_reported_once_or_ignored() {
    let fault = "unknown action types, unknown enum values, garbage payloads";
    if not_on_a_real_engine(fault) {
        return;
    }
    let mut row = Row::new(fault);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (fake, running) = runtime.block_on(async {
        let fake = Fake::start().await;
        let running = worker(&fake.config(), tasks()).await;
        fake.until_listening().await;
        (fake, running)
    });
    let mut runner = TestRunner::default();
    let checked = runner.run(&actions(), |action| {
        runtime.block_on(async {
            let run: Option<RunId> = action.task_run_external_id.parse().ok();
            let starts = action.action_type == ActionType::StartStepRun as i32;
            fake.send(action).await;
            let reported = match run.filter(|_| starts) {
                Some(run) => {
                    fake.finished(run).await;
                    Some(run)
                }
                None => None,
            };
            still_runs(&fake).await;
            if let Some(run) = reported {
                prop_assert_eq!(fake.script(|script| script.finished(run).len()), 1);
            }
            prop_assert_eq!(fake.script(|script| script.streams.len()), 1);
            fake.script(|script| script.reports.clear());
            Ok(())
        })
    });
    checked.unwrap();
    let cases = runner.config().cases;
    row.add(format!("{cases} random actions: one report each, over the same stream"));
    runtime.block_on(running.stop()).unwrap();
}
