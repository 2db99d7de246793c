//! Health checks, metrics and counters of a worker.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, Sources},
        task::{Context, ErasedWorkflow, Stub, Task, TaskError},
        worker::{AttemptEnd, RunningWorker, Slots, Worker, WorkerOptions, WorkerState},
    },
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tonic::Status;

use super::{
    fixture::{outcome, within},
    options,
};
use crate::{
    fake::Fake,
    support::{TIMEOUT, eventually, named, page, page_as, until},
};

type Json = serde_json::Map<String, Value>;

/// Starts a worker that serves health checks, and returns it with their address.
fn start(
    config: ClientConfig,
    options: WorkerOptions,
    tasks: impl IntoIterator<Item = impl Into<ErasedWorkflow>>,
) -> (RunningWorker, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (
        Worker::new(&Client::new(config).unwrap())
            .options(options)
            .register_all(tasks)
            .health(listener)
            .start()
            .unwrap(),
        address,
    )
}

fn echo() -> Task<Json, Json> {
    Stub::new("echo").task(|input: Json, _| async { Ok(input) })
}

fn health(address: SocketAddr) -> (u16, Value) {
    let (code, body) = page(address, "/health");
    (code, serde_json::from_str(&body).unwrap())
}

/// Requests `/livez`, and returns the response, which is empty if the server closes the connection.
fn probe(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn livez_responds_during_a_connection_flood() {
    let engine = Engine::start(EngineOptions::default()).await.unwrap();
    let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default()).unwrap();
    let (worker, address) = start(config, options(), [echo()]);
    let (stop, connected) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flood = std::thread::spawn({
        let (stop, connected) = (stop.clone(), connected.clone());
        move || {
            let mut silent = VecDeque::new();
            while !stop.load(Ordering::Relaxed) {
                silent.push_back(TcpStream::connect(address).unwrap());
                connected.fetch_add(1, Ordering::Relaxed);
                // Below the limit of open files.
                if silent.len() > 150 {
                    silent.pop_front();
                }
            }
        }
    });
    tokio::task::block_in_place(|| {
        while connected.load(Ordering::Relaxed) < 600 && !flood.is_finished() {
            // On a busy machine, a request can take longer than the grace period of a new connection.
            let response = until("the server responds", || probe(address).ok().filter(|text| !text.is_empty()));
            assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("\r\n\r\nalive\n"), "{response}");
        }
        stop.store(true, Ordering::Relaxed);
        flood.join().unwrap();
    });
    worker.stop().await.unwrap();
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readyz_follows_the_connection_and_livez_does_not() {
    let folder = tempfile::tempdir().unwrap();
    // The engine keeps its address and key over a restart, but not the worker.
    let with_folder =
        EngineOptions { folder: Some(folder.path().to_owned()), ephemeral: true, ..EngineOptions::default() };
    let engine = Engine::start(with_folder.clone()).await.unwrap();
    let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default()).unwrap();
    let (mut worker, address) = start(config, options(), [echo()]);
    within("the worker listens", worker.listening()).await.unwrap();
    assert_eq!(page(address, "/livez"), (200, "alive\n".to_owned()));
    assert_eq!(page(address, "/readyz"), (200, "listening\n".to_owned()));
    // A Host header with another name is refused, which prevents DNS rebinding.
    for path in ["/livez", "/health", "/metrics"] {
        let response = page_as(address, path, &[("Host", "evil.example")]);
        assert!(response.status == 403 && response.body.contains("Host header"), "{path}: {}", response.body);
    }
    let slots = json!({ "default": { "used": 0, "limit": 10 } });
    assert_eq!(health(address), (200, json!({ "status": "HEALTHY", "slots": slots })));

    engine.stop().await;
    let mut state = worker.state();
    let lost = state.wait_for(|state| matches!(state, WorkerState::Connecting(_)));
    within("the worker is disconnected", lost).await.unwrap();
    assert_eq!(page(address, "/readyz"), (503, "connecting\n".to_owned()));
    assert_eq!(page(address, "/livez").0, 200);
    assert_eq!(health(address), (503, json!({ "status": "UNHEALTHY", "slots": slots })));
    assert!(page(address, "/metrics").1.contains("hatchet_worker_link_state{state=\"connecting\"} 1\n"));

    let engine = Engine::start(with_folder).await.unwrap();
    let listens = state.wait_for(|state| matches!(state, WorkerState::Listening(_)));
    within("the worker listens again", listens).await.unwrap();
    assert_eq!(page(address, "/readyz").0, 200);
    let stats = worker.stats();
    assert_eq!((stats.reconnects, stats.registrations), (1, 2));
    worker.stop().await.unwrap();
    assert!(std::net::TcpStream::connect(address).is_err(), "the server ends with the worker");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_without_an_engine_is_starting() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let token = crate::fake::token(&closed.to_string(), "");
    let sources =
        Sources::from_pairs([("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_STRATEGY", "none")]);
    let options = WorkerOptions { wait_for_engine: Duration::from_secs(60), ..options() };
    let (worker, address) = start(ClientConfig::from_sources(&sources).unwrap(), options, [echo()]);
    assert_eq!(page(address, "/livez").0, 200);
    assert_eq!(page(address, "/readyz").0, 503);
    let (code, body) = health(address);
    assert_eq!((code, &body["status"]), (503, &json!("STARTING")));
    worker.stop().await.unwrap();
}

#[test]
fn health_is_served_while_bodies_block_every_thread() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // The engine has a separate runtime, which stays free.
    let (elsewhere, bodies) = (runtime(), runtime());
    let engine = elsewhere.block_on(Engine::start(EngineOptions::default())).unwrap();
    let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default()).unwrap();
    let (blocked, free) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let task = {
        let (blocked, free) = (blocked.clone(), free.clone());
        Stub::new("blocking-async").task(move |_: Json, _| {
            let (blocked, free) = (blocked.clone(), free.clone());
            async move {
                blocked.fetch_add(1, Ordering::SeqCst);
                while !free.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(json!({}))
            }
        })
    };
    let (mut worker, address) = bodies.block_on(async { start(config.clone(), options(), [task]) });
    elsewhere.block_on(async {
        within("the worker listens", worker.listening()).await.unwrap();
        let client = Client::new(config).unwrap();
        for _ in 0..2 {
            client.run_no_wait(&named("blocking-async"), &json!({})).await.unwrap();
        }
        eventually("both threads are blocked", async || (blocked.load(Ordering::SeqCst) == 2).then_some(())).await;
        assert_eq!((page(address, "/livez").0, page(address, "/readyz").0), (200, 200));
        assert!(page(address, "/metrics").1.contains("hatchet_worker_used_slots{slot_pool=\"default\"} 2\n"));
        eventually("the watchdog detects both", async || (worker.stats().blocked_threads == 2).then_some(())).await;
        free.store(true, Ordering::SeqCst);
        within("the worker stops", worker.stop()).await.unwrap();
        engine.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ended_attempts_are_counted_by_task_and_outcome() {
    let engine = Engine::start(EngineOptions::default()).await.unwrap();
    let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default()).unwrap();
    let varying = Stub::new("varying").blocking_task(|input: Json, ctx: Context| match input["kind"].as_str() {
        Some("good") => Ok(json!({})),
        Some("fatal") => Err(TaskError::fatal("never")),
        Some("cancellable") => {
            while !ctx.is_cancelled() {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(json!({}))
        }
        _ => Err(std::io::Error::other("bad").into()),
    });
    let counting = Stub::new("counting").cpu_task(|_: Json, _| Ok(json!({})));
    let (mut worker, address) = start(config.clone(), options(), [varying, counting]);
    within("the worker listens", worker.listening()).await.unwrap();
    let client = Client::new(config).unwrap();
    let run = async |task: &str, kind: &str| client.run_no_wait(&named(task), &json!({ "kind": kind })).await.unwrap();
    for kind in ["good", "good", "bad", "fatal"] {
        let _ = outcome(&run("varying", kind).await).await;
    }
    let _ = outcome(&run("counting", "").await).await;
    let cancellable = run("varying", "cancellable").await;
    eventually("the body runs", async || (worker.stats().slots["default"].used == 1).then_some(())).await;
    assert_eq!(worker.stats().slots["default"], Slots { limit: 10, used: 1 });
    cancellable.cancel().await.unwrap();
    let stats =
        eventually("no attempt is left", async || Some(worker.stats()).filter(|stats| stats.attempts == 0)).await;
    let finished = |end| stats.tasks["varying"].finished[&end];
    let counted = [AttemptEnd::Completed, AttemptEnd::Failed, AttemptEnd::Fatal, AttemptEnd::Cancelled].map(finished);
    assert_eq!(counted, [2, 1, 1, 1]);
    assert_eq!(stats.tasks["varying"].durations.count, 5);
    assert_eq!(stats.tasks["counting"].finished[&AttemptEnd::Completed], 1);
    assert_eq!((stats.reports_waiting, stats.outcomes_lost, stats.queued["cpu"]), (0, 0, 0));
    let metrics = page(address, "/metrics").1;
    for line in [
        "hatchet_worker_attempts_total{task=\"varying\",outcome=\"completed\"} 2",
        "hatchet_worker_task_duration_seconds_count{task=\"counting\"} 1",
        "hatchet_worker_slot_limit{slot_pool=\"cpu\"} 2",
        "hatchet_worker_listener_health 1",
        // One worker for `varying`, and one for `counting`.
        "hatchet_worker_registrations_total 2",
    ] {
        assert!(metrics.lines().any(|found| found == line), "no {line} in {metrics}");
    }
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_lines_and_outcomes_are_counted() {
    let fake = Fake::start().await;
    let talking = Stub::new("talking").task(|_: Json, ctx: Context| async move {
        while ctx.lost_lines() < 5 {
            ctx.log("faster than the engine accepts them");
        }
        Ok(json!({}))
    });
    let (worker, address) = start(fake.config(), options(), [talking]);
    fake.until_listening().await;
    fake.script(|script| script.outcome_failures.push_back(Status::invalid_argument("no")));
    fake.assign("talking", "{}").await;
    let stats = eventually("the outcome is lost", async || Some(worker.stats()).filter(|s| s.outcomes_lost > 0)).await;
    assert_eq!(stats.lines_lost, 5);
    assert!(page(address, "/metrics").1.contains("hatchet_worker_outcomes_lost_total 1\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_requests_do_not_block_probes() {
    let fake = Fake::start().await;
    let (worker, address) = start(fake.config(), options(), [echo()]);
    fake.until_listening().await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut connection = std::net::TcpStream::connect(address).unwrap();
        connection.write_all(b"GET /livez HTTP/1.1\r\nhost: ").unwrap();
        slow.push(connection);
        if slow.len() % 20 == 0 {
            assert_eq!(page(address, "/livez"), (200, "alive\n".to_owned()));
        }
    }
    // The oldest connection was closed, in order or by a reset.
    let closed = tokio::task::spawn_blocking(move || matches!(slow[0].read(&mut [0]), Ok(0) | Err(_)));
    assert!(within("the oldest is closed", closed).await.unwrap());
    let run = fake.assign("echo", "{}").await;
    fake.finished(run).await;
    worker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readyz_is_503_while_draining() {
    let engine = Engine::start(EngineOptions::default()).await.unwrap();
    let config = ClientConfig::from_handshake(engine.handshake(), &Sources::default()).unwrap();
    let (started, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let task = {
        let (started, end) = (started.clone(), end.clone());
        Stub::new("slow").task(move |_: Json, _| {
            let (started, end) = (started.clone(), end.clone());
            async move {
                started.notify_one();
                end.notified().await;
                Ok(json!({}))
            }
        })
    };
    let options = WorkerOptions { grace: Duration::from_secs(60), ..options() };
    let (mut worker, address) = start(config.clone(), options, [task]);
    within("the worker listens", worker.listening()).await.unwrap();
    let run = Client::new(config).unwrap().run_no_wait(&named("slow"), &json!({})).await.unwrap();
    within("the body runs", started.notified()).await;
    let stopping = tokio::spawn(worker.stop());
    eventually("the worker drains", async || {
        (page(address, "/readyz") == (503, "draining\n".to_owned())).then_some(())
    })
    .await;
    assert_eq!((page(address, "/livez").0, health(address).0), (200, 503));
    end.notify_one();
    within("the worker stops", stopping).await.unwrap().unwrap();
    assert_eq!(outcome(&run).await.output::<Value>().unwrap(), json!({}));
}
