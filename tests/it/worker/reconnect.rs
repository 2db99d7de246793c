//! Reconnecting after a failure of the stream, the heartbeats or the engine.

use std::time::Duration;

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, Sources},
        task::{Stub, Task},
        wire::RunId,
        worker::{RunningWorker, Worker, WorkerState},
    },
};
use serde_json::{Value, json};
use tonic::Status;

use super::{fixture::outcome, listening_worker, options, within};
use crate::fake::{Fake, Finished, start_action};
use crate::support::{named, one_of_three};

type Json = serde_json::Map<String, Value>;

fn echo() -> Task<Json, Json> {
    Stub::new("echo").task(|input: Json, _| async { Ok(input) })
}

async fn worker(fake: &Fake) -> RunningWorker {
    listening_worker(fake, options(), [echo()]).await
}

/// Waits for the `number`th stream and a heartbeat, and runs a task over that stream.
async fn runs_over_stream(fake: &Fake, number: usize, heartbeats_before: usize) -> String {
    let worker = fake
        .until("the stream is open", |script| {
            (script.streams.len() == number && script.heartbeats.len() > heartbeats_before)
                .then(|| script.streams[number - 1].0.clone())
        })
        .await;
    let run = fake.assign("echo", "{}").await;
    assert_eq!(fake.finished(run).await, Finished::Completed("{}".to_owned()));
    worker
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_stream_is_reopened_under_the_same_id() {
    let fake = Fake::start().await;
    let worker = worker(&fake).await;
    let mut ids = Vec::new();
    ids.push(runs_over_stream(&fake, 1, 0).await);
    let mut state = worker.state();
    for (number, failure) in
        [Some(Status::unavailable("restarting")), Some(Status::internal("failed")), None].into_iter().enumerate()
    {
        let heartbeats = fake.script(|script| script.heartbeats.len());
        state.mark_unchanged();
        match failure {
            Some(failure) => fake.break_stream(failure).await,
            // The engine closes the stream without an error.
            None => fake.script(|script| {
                let (worker, _) = script.streams.pop().unwrap();
                script.streams.push((worker, tokio::sync::mpsc::channel(1).0));
            }),
        }
        ids.push(runs_over_stream(&fake, number + 2, heartbeats).await);
        let listens = state.wait_for(|state| matches!(state, WorkerState::Listening(_)));
        within("the worker listens again", listens).await.unwrap();
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "every stream has the same id");
    assert_eq!(fake.script(|script| script.registered.len()), 1);
    // A real engine would continue to send assignments to a closed stream.
    let closed = fake.script(|script| script.unsubscribed.clone());
    assert_eq!(closed, vec![ids[0].clone(); 3], "each new stream replaces the previous one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backoff_grows_while_streams_end_immediately() {
    let fake = Fake::start().await;
    let worker = worker(&fake).await;
    let mut state = worker.state();
    for number in 1..=8 {
        fake.until("a stream is open", |script| (script.streams.len() == number).then_some(())).await;
        let listens = state.wait_for(|state| matches!(state, WorkerState::Listening(_)));
        within("its heartbeat is accepted", listens).await.unwrap();
        fake.break_stream(Status::unavailable("no streams here")).await;
    }
    let beats = fake.script(|script| script.heartbeats.clone());
    // The minimum of each delay doubles, from 20 ms to 640 ms.
    assert!(beats[7] - beats[0] > Duration::from_secs(1), "{beats:?}");
}

/// Asserts that the first session of a worker continues. A machine that is too busy to respond for 2 s is a fault of the
/// connection, so one of three attempts counts.
async fn keeps_session(attempt: impl AsyncFn() -> Fake) {
    one_of_three("the first session continues", async || {
        let streams = attempt().await.script(|script| script.streams.len());
        if streams == 1 { Ok(()) } else { Err(streams) }
    })
    .await;
}

/// Runs a task over the newest stream, or returns when the worker has opened another one.
async fn run_in_session(fake: &Fake) {
    let (streams, stream) = fake.script(|script| (script.streams.len(), script.streams.last().unwrap().1.clone()));
    let run = RunId::random();
    // Fails if the stream has ended.
    let _ = stream.send(Ok(start_action(run, "echo:echo", r#"{"input":{}}"#, 0))).await;
    let what = "the task ends, or another stream is open";
    let finished = fake.until(what, |script| {
        let finished = script.finished(run).into_iter().next();
        (finished.is_some() || script.streams.len() > streams).then_some(finished)
    });
    if let Some(finished) = finished.await {
        assert_eq!(finished, Finished::Completed("{}".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heartbeat_responses_do_not_end_the_session() {
    keeps_session(async || {
        let fake = Fake::start().await;
        let _worker = worker(&fake).await;
        let before = fake.script(|script| {
            // Longer than the timeout of a heartbeat without other traffic.
            script.heartbeat_delay = Duration::from_millis(3_500);
            script.heartbeats.len()
        });
        let mut ticks = tokio::time::interval(Duration::from_millis(200));
        // The second heartbeat is sent after the slow response to the first has been accepted.
        while fake.script(|script| script.heartbeats.len()) < before + 2 {
            // Traffic at intervals shorter than the timeout.
            ticks.tick().await;
            run_in_session(&fake).await;
        }
        fake
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_heartbeat_reopens_the_stream() {
    let fake = Fake::start().await;
    let _worker = worker(&fake).await;
    // The grace period for a heartbeat that overtakes its stream ends before the next heartbeat is due.
    fake.script(|script| script.heartbeat_failures.push_back(Status::failed_precondition("stream is not active")));
    let heartbeats = fake.script(|script| script.heartbeats.len());
    runs_over_stream(&fake, 2, heartbeats).await;
    assert_eq!(fake.script(|script| script.registered.len()), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeat_that_overtakes_its_stream_is_repeated() {
    keeps_session(async || {
        let fake = Fake::start().await;
        fake.script(|script| {
            script.heartbeat_failures.push_back(Status::failed_precondition("stream is not active"));
            script.heartbeat_failures.push_back(Status::failed_precondition("stream is not active"));
        });
        let _worker = worker(&fake).await;
        run_in_session(&fake).await;
        fake
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overtaking_heartbeat_is_repeated_on_a_slow_link() {
    keeps_session(async || {
        let fake = Fake::start().await;
        fake.script(|script| {
            // Longer than the grace period for a heartbeat that overtakes its stream.
            script.heartbeat_delay = Duration::from_millis(2_500);
            script.heartbeat_failures.push_back(Status::failed_precondition("stream is not active"));
        });
        let _worker = worker(&fake).await;
        run_in_session(&fake).await;
        fake
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_worker_registers_again() {
    let fake = Fake::start().await;
    let worker = worker(&fake).await;
    let first = runs_over_stream(&fake, 1, 0).await;
    let heartbeats = fake.script(|script| {
        script.unknown_workers.push(first.clone());
        script.heartbeats.len()
    });
    fake.break_stream(Status::unavailable("restarts")).await;
    let second = runs_over_stream(&fake, 2, heartbeats).await;
    assert_ne!(first, second);
    fake.script(|script| {
        assert_eq!(script.registered.len(), 2);
        assert_eq!(script.registered[0], script.registered[1], "the same request");
        assert_eq!(script.workflows.len(), 2, "its workflows are registered again");
    });
    let mut state = worker.state();
    let listens =
        state.wait_for(|state| matches!(state, WorkerState::Listening(r) if r.workers[0].id.to_string() == second));
    within("the state has the new id", listens).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_reconnects_to_a_restarted_engine() {
    let folder = tempfile::tempdir().unwrap();
    let options = EngineOptions { folder: Some(folder.path().to_owned()), ..EngineOptions::default() };
    let engine = Engine::start(options.clone()).await.unwrap();
    let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default()).unwrap();
    let mut worker =
        Worker::new(&Client::new(config.clone()).unwrap()).options(super::options()).register(echo()).start().unwrap();
    within("the worker listens", worker.listening()).await.unwrap();
    let client = Client::new(config).unwrap();
    let run = async |n: i32| {
        let input = json!({ "n": n });
        let run = client.run_no_wait(&named("echo"), &input).await.unwrap();
        assert_eq!(outcome(&run).await.output::<Value>().unwrap(), input);
    };
    run(1).await;
    engine.stop().await;
    let mut state = worker.state();
    let lost = state.wait_for(|state| matches!(state, WorkerState::Connecting(_)));
    within("the worker is disconnected", lost).await.unwrap();
    let engine = Engine::start(options).await.unwrap();
    let listens = state.wait_for(|state| matches!(state, WorkerState::Listening(_)));
    within("the worker listens again", listens).await.unwrap();
    run(2).await;
    worker.stop().await.unwrap();
    engine.stop().await;
}
