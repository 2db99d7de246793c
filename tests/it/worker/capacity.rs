//! Limits on concurrent attempts.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hatchet_quickstart::hatchet::{
    client::RunRef,
    task::{Context, Stub, TaskError},
    wire::RunStatus,
    worker::WorkerOptions,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::{
    Fixture,
    fixture::{listening_worker, outcome, within},
};
use crate::support::named;
use crate::{fake::Fake, support::eventually};

type Json = serde_json::Map<String, Value>;

/// Counts concurrent bodies and their maximum.
#[derive(Default)]
struct Concurrency {
    now: AtomicUsize,
    max: AtomicUsize,
}

impl Concurrency {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.max.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn trigger_many(fixture: &Fixture, name: &str, count: usize) -> Vec<RunRef> {
    let inputs = std::iter::repeat_n(json!({}), count);
    fixture.client.run_many_no_wait(&named(name), inputs).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn default_slots_bound_async_and_blocking_bodies_together() {
    let concurrency = Arc::new(Concurrency::default());
    let (inside, outside) = (concurrency.clone(), concurrency.clone());
    let awaiting = Stub::new("awaiting").task(move |_: Json, _| {
        let concurrency = inside.clone();
        async move {
            concurrency.enter();
            tokio::time::sleep(Duration::from_millis(5)).await;
            concurrency.leave();
            Ok(json!({}))
        }
    });
    let blocking = Stub::new("blocking").blocking_task(move |_: Json, _| {
        outside.enter();
        std::thread::sleep(Duration::from_millis(5));
        outside.leave();
        Ok(json!({}))
    });
    let options = WorkerOptions { slots: 3, ..super::options() };
    let fixture = Fixture::with(options, &[], [awaiting, blocking]).await;
    let mut runs = trigger_many(&fixture, "awaiting", 20).await;
    runs.extend(trigger_many(&fixture, "blocking", 20).await);
    for run in &runs {
        assert_eq!(outcome(run).await.status, RunStatus::Completed);
    }
    let max = concurrency.max.load(Ordering::SeqCst);
    assert!((2..=3).contains(&max), "{max} concurrent bodies on 3 slots");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_slots_are_separate_from_default_slots() {
    let concurrency = Arc::new(Concurrency::default());
    let inside = concurrency.clone();
    let computing = Stub::new("computing").cpu_task(move |_: Json, _| {
        inside.enter();
        std::thread::sleep(Duration::from_millis(5));
        inside.leave();
        Ok(json!({}))
    });
    let released = Arc::new(Notify::new());
    let (started, release) = (Arc::new(Notify::new()), released.clone());
    let signal = started.clone();
    let waiting = Stub::new("waiting").task(move |_: Json, _| {
        let (started, release) = (signal.clone(), release.clone());
        async move {
            started.notify_one();
            release.notified().await;
            Ok(json!({}))
        }
    });
    let options = WorkerOptions { slots: 1, cpu_threads: 2, ..super::options() };
    let fixture = Fixture::with(options, &[], [computing, waiting]).await;
    let run = fixture.trigger("waiting", json!({})).await;
    started.notified().await;
    // The default slot is in use, and CPU tasks continue.
    for other in &trigger_many(&fixture, "computing", 20).await {
        assert_eq!(outcome(other).await.status, RunStatus::Completed);
    }
    assert!(concurrency.max.load(Ordering::SeqCst) <= 2);
    released.notify_one();
    assert_eq!(outcome(&run).await.status, RunStatus::Completed);
}

/// Blocks threads until it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn body_that_ignores_cancellation_keeps_its_slot() {
    let gate = Arc::new(Gate::default());
    let (started, mut starts) = mpsc::unbounded_channel();
    let (waits, counts) = (gate.clone(), started.clone());
    let ignoring = Stub::new("ignoring").blocking_task(move |_: Json, _: Context| -> Result<Json, TaskError> {
        counts.send("ignoring").unwrap();
        waits.pass();
        Ok(Json::from_iter([("late".to_owned(), true.into())]))
    });
    let next = Stub::new("next").task(move |_: Json, _| {
        started.send("next").unwrap();
        async { Ok(json!({})) }
    });
    let options = WorkerOptions { slots: 1, ..super::options() };
    let fixture = Fixture::with(options, &[], [ignoring.erase(), next.erase()]).await;
    let run = fixture.trigger("ignoring", json!({})).await;
    assert_eq!(within("the body starts", starts.recv()).await, Some("ignoring"));
    run.cancel().await.unwrap();
    assert_eq!(outcome(&run).await.status, RunStatus::Cancelled);
    // The engine counts the slot as free and assigns. In the worker the thread still uses it, so no body starts.
    let waiting = fixture.trigger("next", json!({})).await;
    within("the run is assigned", async {
        while waiting.details().await.unwrap().status != RunStatus::Running {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(starts.try_recv().ok(), None, "no body starts while the thread runs");
    gate.open();
    assert_eq!(within("the body starts", starts.recv()).await, Some("next"));
    assert_eq!(outcome(&waiting).await.status, RunStatus::Completed);
    // The late output was not reported, so the run is unchanged.
    let details = run.details().await.unwrap();
    assert_eq!((details.status, &details.tasks[0].output), (RunStatus::Cancelled, &None));
}

/// An engine that ignores the number of slots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assignments_beyond_the_limit_stay_in_the_stream() {
    const ASSIGNED: usize = 600;
    // Twice the slots and CPU threads, plus 256.
    const MAX_ATTEMPTS: usize = 2 * (1 + 1) + 256;
    let fake = Fake::start().await;
    let opened = Arc::new(Notify::new());
    let gate = opened.clone();
    let waiting = Stub::new("waiting").task(move |input: Json, _| {
        let gate = gate.clone();
        async move {
            gate.notified().await;
            gate.notify_one();
            Ok(input)
        }
    });
    let options = WorkerOptions { slots: 1, cpu_threads: 1, ..super::options() };
    let worker = listening_worker(&fake, options, [waiting]).await;
    let assigning = async {
        let mut runs = Vec::new();
        for _ in 0..ASSIGNED {
            runs.push(fake.assign("waiting", "{}").await);
        }
        runs
    };
    let filling = async {
        eventually("a full worker", async || (worker.stats().attempts == MAX_ATTEMPTS).then_some(())).await;
        opened.notify_one();
    };
    let ending = async {
        let (runs, ()) = tokio::join!(assigning, filling);
        for run in runs {
            fake.finished(run).await;
        }
    };
    let mut max = 0;
    let watching = async {
        loop {
            max = max.max(worker.stats().attempts);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = within("all runs finish", ending) => {}
        () = watching => unreachable!(),
    }
    assert_eq!(max, MAX_ATTEMPTS);
    worker.stop().await.unwrap();
}
