//! The registrations of a worker process: one per slot pool.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use hatchet_quickstart::hatchet::{
    client::{Client, ErrorKind, RunRef},
    task::{Stub, Task},
    wire::{
        RunId, RunStatus, WorkerId,
        proto::{AssignedAction, HeartbeatRequest, WorkerListenRequest, WorkerRegisterRequest},
    },
    worker::{RunningWorker, Worker, WorkerOptions, WorkerState},
};
use serde_json::{Value, json};
use tonic::Status;

use super::{Fixture, fixture::outcome, listening_worker, options, until_paused, within};
use crate::fake::{Fake, Finished, Report, Script, start_action};
use crate::support::named;

type Json = serde_json::Map<String, Value>;

fn echo() -> Task<Json, Json> {
    Stub::new("echo").task(|input: Json, _| async { Ok(input) })
}

fn compute() -> Task<Json, Json> {
    Stub::new("compute").cpu_task(|input: Json, _| Ok(input))
}

/// Creates a CPU task that ends when it receives a message.
fn gated() -> (Task<Json, Json>, Sender<()>) {
    let (release, released): (Sender<()>, Receiver<()>) = channel();
    let released = Arc::new(Mutex::new(released));
    let task = Stub::new("gated").cpu_task(move |input: Json, _| {
        released.lock().unwrap().recv()?;
        Ok(input)
    });
    (task, release)
}

/// A listening worker with an async and a CPU task.
async fn both_kinds(fake: &Fake) -> RunningWorker {
    let mut worker = Worker::new(&Client::new(fake.config()).unwrap())
        .options(options())
        .register_all([echo(), compute()])
        .start()
        .unwrap();
    within("the worker listens", worker.listening()).await.unwrap();
    worker
}

/// The worker ids of the process: for its async and blocking tasks, and for its CPU tasks.
async fn ids(worker: &mut RunningWorker) -> [String; 2] {
    let registered = within("the worker listens", worker.listening()).await.unwrap();
    [0, 1].map(|n| registered.workers[n].id.to_string())
}

/// Breaks the newest stream of a worker.
async fn break_stream(fake: &Fake, worker: &str) {
    let stream = fake.script(|script| {
        script.streams.iter().rev().find(|(id, _)| id == worker).map(|(_, stream)| stream.clone()).unwrap()
    });
    stream.send(Err(Status::unavailable("closed"))).await.unwrap();
}

/// Waits until the worker of this id has opened this number of streams.
async fn wait_for_streams(fake: &Fake, worker: &str, number: usize) {
    let open = |script: &Script| script.streams.iter().filter(|(id, _)| id == worker).count() >= number;
    fake.until("the stream is open", |script| open(script).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_tasks_register_as_a_second_worker() {
    let fake = Fake::start().await;
    let mut worker = both_kinds(&fake).await;
    let registered = within("the worker listens", worker.listening()).await.unwrap();
    let named: Vec<_> = registered.workers.iter().map(|worker| (worker.name.as_str(), worker.slots)).collect();
    assert_eq!(named, [("test", 10), ("test-cpu", 2)]);
    fake.script(|script| {
        let registered: HashMap<_, _> = script
            .registered
            .iter()
            .map(|w| (w.worker_name.as_str(), (w.actions.clone(), w.slot_config.clone())))
            .collect();
        let slots = |units| HashMap::from([("default".to_owned(), units)]);
        assert_eq!(registered["test"], (vec!["echo:echo".to_owned()], slots(10)));
        assert_eq!(registered["test-cpu"], (vec!["compute:compute".to_owned()], slots(2)));
        let mut workflows: Vec<&str> = script.workflows.iter().map(|workflow| workflow.name.as_str()).collect();
        workflows.sort_unstable();
        assert_eq!(workflows, ["compute", "echo"], "each is registered once");
        let requests = script.workflows.iter().map(|workflow| &workflow.tasks[0].slot_requests);
        assert!(requests.clone().all(|slots| *slots == HashMap::from([("default".to_owned(), 1)])), "{script:?}");
        assert_eq!(script.version_calls, 1);
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_with_only_cpu_tasks_registers_once() {
    let fake = Fake::start().await;
    let mut worker =
        Worker::new(&Client::new(fake.config()).unwrap()).options(options()).register(compute()).start().unwrap();
    within("the worker listens", worker.listening()).await.unwrap();
    let names = fake.script(|script| script.registered.iter().map(|w| w.worker_name.clone()).collect::<Vec<_>>());
    assert_eq!(names, ["test-cpu"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_listens_only_while_all_workers_listen() {
    let fake = Fake::start().await;
    let mut worker = both_kinds(&fake).await;
    let [others, cpu] = ids(&mut worker).await;
    let mut state = worker.state();
    fake.script(|script| script.listen_failures.extend(vec![Status::unavailable("no streams here"); 10_000]));
    break_stream(&fake, &cpu).await;
    let lost =
        state.wait_for(|state| matches!(state, WorkerState::Connecting(Some(reason)) if reason.contains("no streams")));
    within("the worker is disconnected, with the cause", lost).await.unwrap();
    // The other worker continues.
    let stream = fake.script(|script| script.streams.iter().find(|(id, _)| *id == others).unwrap().1.clone());
    let action = start_action(RunId::random(), "echo:echo", r#"{"input":{}}"#, 0);
    let run = action.task_run_external_id.parse().unwrap();
    stream.send(Ok(action)).await.unwrap();
    assert_eq!(fake.finished(run).await, Finished::Completed("{}".to_owned()));
    assert!(matches!(*state.borrow(), WorkerState::Connecting(_)));
    fake.script(|script| script.listen_failures.clear());
    let listens = state.wait_for(|state| matches!(state, WorkerState::Listening(_)));
    within("the worker listens again", listens).await.unwrap();
    assert_eq!(ids(&mut worker).await, [others, cpu], "under the same ids");
    assert_eq!(worker.stats().reconnects, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_unknown_worker_registers_again() {
    let fake = Fake::start().await;
    let mut worker = both_kinds(&fake).await;
    let [others, cpu] = ids(&mut worker).await;
    fake.script(|script| script.unknown_workers.push(cpu.clone()));
    break_stream(&fake, &cpu).await;
    let mut state = worker.state();
    let again = state.wait_for(|state| {
        matches!(state, WorkerState::Listening(r) if r.workers[0].id.to_string() == others && r.workers[1].id.to_string() != cpu)
    });
    within("the worker listens under a new id", again).await.unwrap();
    fake.script(|script| {
        let names: Vec<&str> = script.registered.iter().map(|worker| worker.worker_name.as_str()).collect();
        assert_eq!((names.len(), names[2]), (3, "test-cpu"));
        let puts = |name| script.workflows.iter().filter(|workflow| workflow.name == name).count();
        assert_eq!((puts("echo"), puts("compute")), (1, 2), "only its workflows are registered again");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_streams_reopen_when_the_connection_is_replaced() {
    let fake = Fake::start().await;
    let mut worker = both_kinds(&fake).await;
    let [others, cpu] = ids(&mut worker).await;
    // One heartbeat of either worker fails as on a dead connection. The other worker's stream must move as well.
    fake.script(|script| script.heartbeat_failures.push_back(Status::unavailable("dead")));
    wait_for_streams(&fake, &others, 2).await;
    wait_for_streams(&fake, &cpu, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_name_the_assigned_worker() {
    let fake = Fake::start().await;
    let mut worker = both_kinds(&fake).await;
    let ids = ids(&mut worker).await;
    for (id, name) in ids.iter().zip(["echo", "compute"]) {
        let stream = fake.script(|script| script.streams.iter().find(|(worker, _)| worker == id).unwrap().1.clone());
        let run = RunId::random();
        stream.send(Ok(start_action(run, &format!("{name}:{name}"), r#"{"input":{}}"#, 0))).await.unwrap();
        fake.finished(run).await;
        let reported = fake.script(|script| {
            let events = script.reports.iter().filter_map(|report| match report {
                Report::Event(event) if event.task_run_external_id == run.to_string() => Some(event.worker_id.clone()),
                _ => None,
            });
            events.collect::<Vec<_>>()
        });
        assert!(!reported.is_empty() && reported.iter().all(|worker| worker == id), "{name}: {reported:?}");
    }
    within("the worker stops", worker.stop()).await.unwrap();
    let mut unregistered = fake.script(|script| script.unsubscribed.clone());
    unregistered.sort();
    let mut ids = ids.to_vec();
    ids.sort();
    assert_eq!(unregistered, ids, "both are unregistered");
}

async fn trigger(fixture: &Fixture, name: &str) -> RunRef {
    fixture.trigger(name, json!({})).await
}

/// Waits until a run has this status.
async fn wait_for_status(run: &RunRef, status: RunStatus) {
    let reached = async {
        while run.details().await.unwrap().status != status {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the run has the status", reached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_run_stays_queued_without_a_free_thread() {
    let (task, release) = gated();
    let options = WorkerOptions { cpu_threads: 1, ..options() };
    let fixture = Fixture::with(options, &[], [task, echo()]).await;
    let (first, second) = (trigger(&fixture, "gated").await, trigger(&fixture, "gated").await);
    wait_for_status(&first, RunStatus::Running).await;
    // A later run that uses the slots of the other worker completes.
    assert_eq!(fixture.run("echo", json!({})).await.status, RunStatus::Completed);
    assert_eq!(second.details().await.unwrap().status, RunStatus::Queued);
    release.send(()).unwrap();
    wait_for_status(&second, RunStatus::Running).await;
    release.send(()).unwrap();
    for run in [first, second] {
        assert_eq!(outcome(&run).await.status, RunStatus::Completed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_pauses_every_worker() {
    let (task, release) = gated();
    let long_grace = WorkerOptions { cpu_threads: 1, grace: Duration::from_secs(60), ..options() };
    let Fixture { client, worker, engine: _engine } = Fixture::with(long_grace, &[], [task, echo()]).await;
    let trigger = async |name: &str| client.run_no_wait(&named(name), &json!({})).await.unwrap();
    let running = trigger("gated").await;
    wait_for_status(&running, RunStatus::Running).await;
    let stopped = tokio::spawn(worker.stop());
    until_paused(&client).await;
    let late = [trigger("gated").await, trigger("echo").await];
    release.send(()).unwrap();
    let drained = within("the worker stops", stopped).await.unwrap().unwrap();
    assert!(drained.cancelled.is_empty() && drained.still_running.is_empty(), "{drained:?}");
    assert_eq!(running.details().await.unwrap().status, RunStatus::Completed);
    for run in late {
        assert_eq!(run.details().await.unwrap().status, RunStatus::Queued);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_of_another_sdk_receives_cpu_runs() {
    let (task, release) = gated();
    let fixture = Fixture::with(WorkerOptions { cpu_threads: 1, ..options() }, &[], [task]).await;
    // Registered like a worker of an official SDK: only with slots of the type `default`.
    let mut dispatcher = fixture.client.connection().dispatcher();
    let request = WorkerRegisterRequest {
        worker_name: "python".to_owned(),
        actions: vec!["gated:gated".to_owned()],
        slot_config: HashMap::from([("default".to_owned(), 5)]),
        ..Default::default()
    };
    let worker_id = dispatcher.register(request).await.unwrap().into_inner().worker_id;
    assert!(worker_id.parse::<WorkerId>().is_ok());
    let first = trigger(&fixture, "gated").await;
    wait_for_status(&first, RunStatus::Running).await;
    let listen = WorkerListenRequest { worker_id: worker_id.clone() };
    let mut listener = dispatcher.clone();
    let mut actions = within("the worker listens", listener.listen_v2(listen)).await.unwrap().into_inner();
    dispatcher.heartbeat(HeartbeatRequest { worker_id, heartbeat_at: None }).await.unwrap();
    let second = trigger(&fixture, "gated").await;
    let assigned: AssignedAction = within("the run is assigned", actions.message()).await.unwrap().unwrap();
    assert_eq!(assigned.workflow_run_id, second.id().to_string());
    release.send(()).unwrap();
    assert_eq!(outcome(&first).await.status, RunStatus::Completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_registration_is_retried() {
    let fake = Fake::start().await;
    fake.script(|script| {
        script.version_failures.push_back(Status::unavailable("starting"));
        let failures = [Status::internal("An internal error occurred."), Status::aborted("conflict")];
        script.put_failures.extend(failures.clone());
        script.register_failures.extend(failures);
    });
    let worker = both_kinds(&fake).await;
    fake.script(|script| {
        assert!(script.put_failures.is_empty() && script.register_failures.is_empty(), "{script:?}");
        let calls = (script.version_calls, script.workflows.len(), script.registered.len());
        assert_eq!(calls, (2, 2, 2), "only the failed calls are repeated");
    });
    assert_eq!(worker.stats().registrations, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_registration_ends_immediately() {
    for refused in
        [Status::invalid_argument("invalid"), Status::permission_denied("invalid"), Status::unimplemented("invalid")]
    {
        for register in [false, true] {
            let fake = Fake::start().await;
            fake.script(|script| {
                let failures = if register { &mut script.register_failures } else { &mut script.put_failures };
                failures.extend([refused.clone(), refused.clone()]);
            });
            let mut worker =
                Worker::new(&Client::new(fake.config()).unwrap()).options(options()).register(echo()).start().unwrap();
            let error = within("the registration fails", worker.listening()).await.unwrap_err();
            assert!(error.to_string().contains("registering the ") && error.to_string().contains("invalid"), "{error}");
            let left = fake.script(|script| script.register_failures.len() + script.put_failures.len());
            assert_eq!(left, 1, "{error}: one attempt");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registration_over_the_send_limit_names_the_setting() {
    const SETTING: &str = "HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH";
    let fake = Fake::start().await;
    let client = Client::new(fake.config_with(&[(SETTING, "1")])).unwrap();
    let options = WorkerOptions { wait_for_engine: Duration::from_secs(3600), ..options() };
    let mut worker = Worker::new(&client).options(options).register(echo()).start().unwrap();
    let error = within("the registration fails", worker.listening()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let text = error.to_string();
    assert!(text.starts_with("registering the task echo failed: ") && text.contains("limit of 1 bytes"), "{text}");
    assert!(text.contains(SETTING), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_registration_retries_only_the_failed_call() {
    let fake = Fake::start().await;
    let mut worker = both_kinds(&fake).await;
    let [_, cpu] = ids(&mut worker).await;
    fake.script(|script| {
        script.unknown_workers.push(cpu.clone());
        script.register_failures.extend([Status::internal("busy"), Status::unavailable("busy")]);
    });
    break_stream(&fake, &cpu).await;
    fake.until("the worker registers again", |script| (script.registered.len() == 3).then_some(())).await;
    fake.script(|script| {
        assert!(script.register_failures.is_empty());
        assert_eq!((script.version_calls, script.workflows.len()), (2, 3), "{script:?}");
    });
}

/// The drain pauses only workers that were registered before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_worker_does_not_register_again() {
    let fake = Fake::start().await;
    let endless = Stub::new("endless").task(|_: Json, _| async {
        std::future::pending::<()>().await;
        Ok(json!({}))
    });
    let options = WorkerOptions { grace: Duration::from_secs(2), ..options() };
    let worker = listening_worker(&fake, options, [endless]).await;
    // Keeps the drain open.
    fake.assign("endless", "{}").await;
    let id = fake.script(|script| script.streams[0].0.clone());
    fake.script(|script| {
        script.unknown_workers.push(id.clone());
        script.register_failures.extend(std::iter::repeat_n(Status::unavailable("busy"), 100));
    });
    break_stream(&fake, &id).await;
    fake.until("the worker tries to register again", |script| (script.register_failures.len() < 100).then_some(()))
        .await;
    let mut state = worker.state();
    let stopping = tokio::spawn(worker.stop());
    within("the worker drains", state.wait_for(|state| *state == WorkerState::Draining)).await.unwrap();
    let left = fake.script(|script| script.register_failures.len());
    within("the worker stops", stopping).await.unwrap().unwrap();
    // One call may have been under way.
    let calls = left - fake.script(|script| script.register_failures.len());
    assert!(calls <= 1, "{calls} registrations of a draining worker");
}
