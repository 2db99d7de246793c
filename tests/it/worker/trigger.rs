//! Triggering one run and many runs.

use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, ClientError, ErrorKind, TRIGGER_KEY},
    task::{Priority, Stub},
    wire::{
        RunId, RunStatus, TriggerId, encode_detail,
        proto::v1::{BulkTriggerIdempotencyCollisionError, IdempotencyCollisionError, TriggerWorkflowRequest},
    },
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::{Fixture, fixture::outcome, within};
use crate::fake::Fake;
use crate::support::named;

type Json = serde_json::Map<String, Value>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_items_keep_their_order_and_outcomes() {
    let fixture = Fixture::start([Stub::new("echo").task(|input: Json, _| async { Ok(input) })]).await;
    let input = |n: usize| match n {
        3 => json!([n]),
        5 => json!({ "text": "a\u{0}b" }),
        7 => json!({ "text": "x".repeat(5 * 1024 * 1024) }),
        n => json!({ "n": n }),
    };
    let items = fixture.client.run_many_no_wait(&named("echo"), (0..30).map(input)).await;
    assert_eq!(items.len(), 30);
    for (n, item) in items.into_iter().enumerate() {
        let refused = match n {
            3 | 5 => Some(ErrorKind::Invalid),
            7 => Some(ErrorKind::TooLarge),
            _ => None,
        };
        match (item, refused) {
            (Ok(run), None) => assert_eq!(outcome(&run).await.output::<Value>().unwrap(), json!({ "n": n })),
            (Err(error), Some(kind)) => assert_eq!(error.kind(), kind, "{n}: {error}"),
            (item, _) => panic!("{n}: {item:?}"),
        }
    }
}

#[tokio::test]
async fn bulk_calls_are_split_by_count_and_size() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let inputs = |count: usize, text: &str| {
        let text = text.to_owned();
        (0..count).map(move |n| json!({ "n": n, "text": text }))
    };
    let items = client.run_many_no_wait(&named("echo"), inputs(2_500, "")).await;
    assert_eq!((items.len(), items.iter().filter(|item| item.is_ok()).count()), (2_500, 2_500));
    let mut sizes = fake.script(|script| std::mem::take(&mut script.bulk_sizes));
    sizes.sort_unstable();
    assert_eq!(sizes, [500, 1_000, 1_000]);

    // Inputs of 1 MiB each: three fit into the limit of 4 MiB.
    let items = client.run_many_no_wait(&named("echo"), inputs(7, &"x".repeat(1024 * 1024))).await;
    assert!(items.iter().all(Result::is_ok), "{items:?}");
    let mut sizes = fake.script(|script| std::mem::take(&mut script.bulk_sizes));
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3, 3]);

    assert!(client.run_many_no_wait(&named("echo"), inputs(0, "")).await.is_empty());
    assert!(fake.script(|script| script.bulk_sizes.is_empty()), "an empty list causes no call");
}

#[tokio::test]
async fn trigger_with_unknown_effect_is_not_repeated() {
    let fake = Fake::start().await;
    // Without a list of runs, a trigger with a lost response is unconfirmed immediately.
    let client = Client::new(ClientConfig { server_url: None, ..fake.config() }).unwrap();
    let is_unconfirmed = |error: &ClientError| matches!(error.kind(), ErrorKind::Unconfirmed(_));
    let trigger = async || client.run_no_wait(&named("echo"), &json!({})).await;
    // A rate limit refuses the call before it takes effect, so it is repeated.
    fake.script(|script| script.trigger_failures.push_back(Status::resource_exhausted("rate limit")));
    trigger().await.unwrap();
    assert_eq!(fake.script(|script| script.triggers.len()), 2);
    // The status of an engine that restarts, or of a gateway before it: the run may exist.
    fake.script(|script| script.trigger_failures.push_back(Status::unavailable("restarts")));
    let error = trigger().await.unwrap_err();
    assert!(is_unconfirmed(&error) && error.to_string().contains("restarts"), "{error}");
    assert_eq!(fake.script(|script| script.triggers.len()), 3);
    // A failed bulk call fails each of its items.
    fake.script(|script| script.trigger_failures.push_back(Status::internal("failed")));
    let items = client.run_many_no_wait(&named("echo"), (0..3).map(|_| json!({}))).await;
    assert!(items.iter().all(|item| item.as_ref().is_err_and(is_unconfirmed)), "{items:?}");
    assert_eq!(fake.script(|script| script.bulk_sizes.len()), 1);
}

/// Creates the error of a call whose idempotency key belongs to another run.
fn collision_error(name: &str, detail: &impl prost::Message) -> Status {
    let text = "idempotency key collision";
    Status::with_details(Code::AlreadyExists, text, encode_detail(6, text, name, detail).into())
}

#[tokio::test]
async fn item_with_lost_response_is_not_its_own_duplicate() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config()).unwrap();
    let (own, other) = (RunId::random(), RunId::random());
    for (existing, reported, expected) in [
        // The run was started by the call whose response was lost.
        (own, other, Ok(own)),
        // The bulk call had already reported this run.
        (other, other, Err(ErrorKind::Duplicate(Some(other)))),
    ] {
        let collision =
            IdempotencyCollisionError { existing_run_external_id: reported.to_string(), ..Default::default() };
        let bulk = BulkTriggerIdempotencyCollisionError { collisions: vec![collision], ..Default::default() };
        let single = IdempotencyCollisionError { existing_run_external_id: existing.to_string(), ..Default::default() };
        fake.script(|script| {
            script.trigger_failures.extend([
                collision_error("v1.BulkTriggerIdempotencyCollisionError", &bulk),
                Status::unavailable("the response is lost"),
                collision_error("v1.IdempotencyCollisionError", &single),
            ]);
        });
        let items = client.run_many_no_wait(&named("echo"), [json!({})]).await;
        let item = items[0].as_ref().map(|run| run.id()).map_err(|error| error.kind());
        assert_eq!(item, expected);
    }
}

#[tokio::test]
async fn trigger_sends_namespace_and_options() {
    let fake = Fake::start().await;
    let client = Client::new(fake.config_with(&[("HATCHET_CLIENT_NAMESPACE", "Team")])).unwrap();
    let call = client.run_no_wait(&named("echo"), &json!({ "n": 1 })).priority(Priority::High);
    call.metadata("k", "v").metadata(TRIGGER_KEY, "mine").await.unwrap();
    client.run_many_no_wait(&named("team_echo"), [json!({})]).await;
    fake.script(|script| {
        let [single, bulk] = script.triggers.as_slice() else { panic!("{:?}", script.triggers) };
        assert_eq!(
            (single.name.as_str(), single.input.as_str(), single.priority),
            ("team_echo", r#"{"n":1}"#, Some(3))
        );
        assert_eq!((bulk.name.as_str(), bulk.priority), ("team_echo", None));
        let metadata = |request: &TriggerWorkflowRequest| -> Json {
            serde_json::from_str(request.additional_metadata.as_deref().unwrap()).unwrap()
        };
        assert_eq!(metadata(single)["k"], "v");
        let ids = [single, bulk].map(|request| metadata(request)[TRIGGER_KEY].as_str().unwrap().parse::<TriggerId>());
        assert!(ids[0].is_ok() && ids[1].is_ok() && ids[0] != ids[1], "each run has its own trigger id: {ids:?}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_can_be_awaited_concurrently() {
    let fixture = Fixture::start([Stub::new("echo").task(|input: Json, _| async { Ok(input) })]).await;
    let run = fixture.trigger("echo", json!({ "n": 1 })).await;
    let all = futures_util::future::join_all((0..50).map(|_| run.outcome()));
    for outcome in within("all waits end", all).await {
        assert_eq!(outcome.unwrap().status, RunStatus::Completed);
    }
}

#[cfg(feature = "cel")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn used_key_fails_only_its_item() {
    use hatchet_quickstart::hatchet::wire::proto::v1::{
        CreateTaskOpts, CreateWorkflowVersionRequest, IdempotencyConfig, IdempotencyMethod,
    };

    let fixture = Fixture::start([Stub::new("echo").task(|input: Json, _| async { Ok(input) })]).await;
    let task = CreateTaskOpts { readable_id: "echo".to_owned(), action: "echo:echo".to_owned(), ..Default::default() };
    let definition = CreateWorkflowVersionRequest {
        name: "keyed".to_owned(),
        tasks: vec![CreateTaskOpts { timeout: "60s".to_owned(), inputs: "{}".to_owned(), ..task }],
        idempotency: Some(IdempotencyConfig {
            expression: "input.key".to_owned(),
            ttl_ms: 600_000,
            method: Some(IdempotencyMethod::Ttl.into()),
        }),
        ..Default::default()
    };
    fixture.client.connection().admin().put_workflow(definition).await.unwrap();
    let existing = fixture.trigger("keyed", json!({ "key": "b", "n": 0 })).await;
    let inputs = [("a", 1), ("b", 2), ("c", 3), ("a", 4), ("d", 5)];
    let inputs = inputs.map(|(key, n)| json!({ "key": key, "n": n }));
    let items = fixture.client.run_many_no_wait(&named("keyed"), inputs).await;
    let [first, second, third, fourth, fifth] = items.as_slice() else { panic!("{items:?}") };
    for (item, n) in [(first, 1), (third, 3), (fifth, 5)] {
        let output: Value = outcome(item.as_ref().unwrap()).await.output().unwrap();
        assert_eq!(output["n"], n, "each item has its own run: {items:?}");
    }
    let kind = |item: &Result<_, hatchet_quickstart::hatchet::client::ClientError>| {
        item.as_ref().map(|_| ()).unwrap_err().kind()
    };
    assert_eq!(kind(second), ErrorKind::Duplicate(Some(existing.id())));
    assert_eq!(kind(fourth), ErrorKind::Duplicate(Some(first.as_ref().unwrap().id())));
}
