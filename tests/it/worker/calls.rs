//! Typed calls: the result of each for a run that completes, fails, is cancelled, or has another output type.

use std::time::Duration;

use futures_util::future::join_all;
use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, ErrorKind, RunError, RunEventKind, RunItem, RunRef, Sources, TRIGGER_KEY},
        task::{Context, Priority, Stub, Task, TaskError},
        wire::{RunId, RunStatus},
        worker::Worker,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Fixture, within};

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Number {
    n: u32,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Text {
    text: String,
}

const HALF: Stub<Number, Number> = Stub::new("half");
const ENDLESS: Stub<Number, Number> = Stub::new("endless");

#[derive(Debug, thiserror::Error)]
#[error("{0} is odd")]
struct Odd(u32);

fn half() -> Task<Number, Number> {
    HALF.task(|input: Number, ctx: Context| async move {
        ctx.put_stream(format!("half of {}", input.n)).await;
        if input.n.is_multiple_of(2) { Ok(Number { n: input.n / 2 }) } else { Err(Odd(input.n).into()) }
    })
    .retries(1)
}

fn endless() -> Task<Number, Number> {
    ENDLESS.task(|_: Number, _: Context| std::future::pending::<Result<Number, TaskError>>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_returns_typed_output_or_failure() {
    let fixture = Fixture::start([half()]).await;
    let output = within("the run finishes", fixture.client.run(&HALF, &Number { n: 4 })).await;
    assert_eq!(output.unwrap(), Number { n: 2 });
    let error = within("the run finishes", fixture.client.run(&HALF, &Number { n: 3 })).await.unwrap_err();
    let RunError::Failed(failure) = error else { panic!("{error:?}") };
    assert_eq!((failure.type_name(), failure.message().as_str()), (Some("Odd"), "3 is odd"));
    assert_eq!(failure.attempts(), Some(2));
    let other = Stub::<Number, Text>::new("half");
    let error = within("the run finishes", fixture.client.run(&other, &Number { n: 4 })).await.unwrap_err();
    assert!(matches!(&error, RunError::Output { reason, .. } if reason.contains("text")), "{error:?}");
    let error = fixture.client.run(&Stub::<Number, Text>::new("unknown"), &Number { n: 4 }).await.unwrap_err();
    assert!(matches!(&error, RunError::Call(error) if error.kind() == ErrorKind::NotFound), "{error:?}");
    let by_name = fixture.client.run_by_name("half", &json!({ "n": 8 }));
    assert_eq!(within("the run finishes", by_name).await.unwrap(), json!({ "n": 4 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_many_returns_each_result_in_order() {
    let fixture = Fixture::start([half()]).await;
    let inputs = [4, 3, 8].map(|n| Number { n });
    let results = within("the runs finish", fixture.client.run_many(&HALF, &inputs)).await;
    let [Ok(first), Err(RunError::Failed(second)), Ok(third)] = results.as_slice() else { panic!("{results:?}") };
    assert_eq!((first.n, second.message().as_str(), third.n), (2, "3 is odd", 4));
    let own = RunItem::new(&Number { n: 2 }).metadata("k", "own").priority(Priority::High);
    let call = fixture.client.run_many_no_wait(&HALF, [own, RunItem::new(&Number { n: 2 })]).metadata("k", "shared");
    let runs: Vec<RunRef<Number>> = call.await.into_iter().map(Result::unwrap).collect();
    let details = join_all(runs.iter().map(RunRef::details)).await;
    let metadata = |index: usize| -> serde_json::Value {
        serde_json::from_str(&details[index].as_ref().unwrap().additional_metadata).unwrap()
    };
    assert_eq!((&metadata(0)["k"], &metadata(1)["k"]), (&json!("own"), &json!("shared")));
    for run in runs {
        assert_eq!(within("the run finishes", run.result()).await.unwrap(), Number { n: 1 });
    }
    assert!(fixture.client.run_many(&HALF, Vec::<Number>::new()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_ref_follows_cancels_and_replays() {
    let fixture = Fixture::start([half().erase(), endless().erase()]).await;
    let run = fixture.client.run_no_wait(&ENDLESS, &Number { n: 1 }).await.unwrap();
    within("the run starts", async {
        while run.status().await.unwrap() != RunStatus::Running {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    run.cancel().await.unwrap();
    let error = within("the run finishes", run.result()).await.unwrap_err();
    assert!(matches!(error, RunError::Cancelled { run: id, .. } if id == run.id()), "{error:?}");

    let done = fixture.client.run_no_wait(&HALF, &Number { n: 4 }).await.unwrap();
    assert_eq!(within("the run finishes", done.result()).await.unwrap(), Number { n: 2 });
    assert!(done.replay().await.unwrap());
    let same: RunRef<Number> = fixture.client.run_ref(done.id());
    assert_eq!(within("the run finishes again", same.result()).await.unwrap(), Number { n: 2 });

    let unknown = fixture.client.run_ref::<Number>(RunId::random()).status().await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_opened_with_the_call_miss_nothing() {
    let fixture = Fixture::start([half()]).await;
    let call = fixture.client.run_no_wait(&HALF, &Number { n: 4 }).metadata(TRIGGER_KEY, "replaced");
    let (run, mut events) = within("the run starts", call.with_events()).await.unwrap();
    let mut chunks = Vec::new();
    within("the stream ends", async {
        while let Some(event) = events.next().await {
            if let RunEventKind::Chunk { text, .. } = event.unwrap().kind {
                chunks.push(text);
            }
        }
    })
    .await;
    assert_eq!(chunks, ["half of 4"]);
    assert_eq!(run.result().await.unwrap(), Number { n: 2 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_and_caller_share_a_discovered_client() {
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions { folder: Some(folder.path().to_owned()), ..EngineOptions::default() };
    let engine = Engine::start(options).await.unwrap();
    let sources = Sources::from_pairs([("HATCHET_EMBEDDED_DIR", folder.path().to_str().unwrap())]);
    let client = Client::new(ClientConfig::discover(&sources).unwrap()).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut worker = Worker::new(&client).register(half()).name("shared").slots(2).start().unwrap();
    within("the worker listens", worker.listening()).await.unwrap();
    assert_eq!(within("the run finishes", client.run(&HALF, &Number { n: 4 })).await.unwrap(), Number { n: 2 });
    within("the worker stops", worker.stop()).await.unwrap();
    // The same worker again, until a signal.
    let worker = tokio::spawn(Worker::new(&client).register(half()).run_until(stopped));
    assert_eq!(within("the run finishes", client.run(&HALF, &Number { n: 8 })).await.unwrap(), Number { n: 4 });
    stop.send(()).unwrap();
    within("the worker stops", worker).await.unwrap().unwrap();
    engine.stop().await;
}
