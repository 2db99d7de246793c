//! Never more at once than there are slots.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hatchet_quickstart::hatchet::{
    client::{Client, RunRef},
    task::{Context, Stub, TaskError},
    wire::RunStatus,
    worker::{Worker, WorkerOptions},
};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::{
    Stand,
    stand::{outcome, within},
};
use crate::support::named;
use crate::{fake::Fake, support::eventually};

type Json = serde_json::Map<String, Value>;

/// Counts who is inside, and the most at once.
#[derive(Default)]
struct Room {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Room {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn many(stand: &Stand, name: &str, count: usize) -> Vec<RunRef> {
    let inputs = std::iter::repeat_n(json!({}), count);
    stand.client.run_many_no_wait(&named(name), inputs).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn default_slots_bound_async_and_blocking_bodies_together() {
    let room = Arc::new(Room::default());
    let (inside, outside) = (room.clone(), room.clone());
    let awaiting = Stub::new("awaiting").task(move |_: Json, _| {
        let room = inside.clone();
        async move {
            room.enter();
            tokio::time::sleep(Duration::from_millis(5)).await;
            room.leave();
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
    let stand = Stand::with(options, &[], [awaiting, blocking]).await;
    let mut runs = many(&stand, "awaiting", 20).await;
    runs.extend(many(&stand, "blocking", 20).await);
    for run in &runs {
        assert_eq!(outcome(run).await.status, RunStatus::Completed);
    }
    let most = room.most.load(Ordering::SeqCst);
    assert!((2..=3).contains(&most), "{most} at once on 3 slots");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_slots_are_apart_from_default_ones() {
    let room = Arc::new(Room::default());
    let inside = room.clone();
    let computing = Stub::new("computing").cpu_task(move |_: Json, _| {
        inside.enter();
        std::thread::sleep(Duration::from_millis(5));
        inside.leave();
        Ok(json!({}))
    });
    let held = Arc::new(Notify::new());
    let (begun, waits) = (Arc::new(Notify::new()), held.clone());
    let telling = begun.clone();
    let holding = Stub::new("holding").task(move |_: Json, _| {
        let (begun, held) = (telling.clone(), waits.clone());
        async move {
            begun.notify_one();
            held.notified().await;
            Ok(json!({}))
        }
    });
    let options = WorkerOptions { slots: 1, cpu_threads: 2, ..super::options() };
    let stand = Stand::with(options, &[], [computing, holding]).await;
    let holder = stand.trigger("holding", json!({})).await;
    begun.notified().await;
    // The default slot is taken, and CPU tasks go on.
    for run in &many(&stand, "computing", 20).await {
        assert_eq!(outcome(run).await.status, RunStatus::Completed);
    }
    assert!(room.most.load(Ordering::SeqCst) <= 2);
    held.notify_one();
    assert_eq!(outcome(&holder).await.status, RunStatus::Completed);
}

/// Holds threads until it is opened.
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
async fn a_blocking_body_that_ignores_cancellation_keeps_its_slot_and_its_result_to_itself() {
    let gate = Arc::new(Gate::default());
    let (started, mut starts) = mpsc::unbounded_channel();
    let (waits, counts) = (gate.clone(), started.clone());
    let deaf = Stub::new("deaf").blocking_task(move |_: Json, _: Context| -> Result<Json, TaskError> {
        counts.send("deaf").unwrap();
        waits.pass();
        Ok(Json::from_iter([("late".to_owned(), true.into())]))
    });
    let next = Stub::new("next").task(move |_: Json, _| {
        started.send("next").unwrap();
        async { Ok(json!({})) }
    });
    let options = WorkerOptions { slots: 1, ..super::options() };
    let stand = Stand::with(options, &[], [deaf.erase(), next.erase()]).await;
    let run = stand.trigger("deaf", json!({})).await;
    assert_eq!(within("it starts", starts.recv()).await, Some("deaf"));
    run.cancel().await.unwrap();
    assert_eq!(outcome(&run).await.status, RunStatus::Cancelled);
    // For the engine the slot is free, so it assigns; in the worker the thread still has it, so nothing starts.
    let waiting = stand.trigger("next", json!({})).await;
    within("the run is assigned", async {
        while waiting.details().await.unwrap().status != RunStatus::Running {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(starts.try_recv().ok(), None, "nothing starts beside the thread that goes on");
    gate.open();
    assert_eq!(within("it starts", starts.recv()).await, Some("next"));
    assert_eq!(outcome(&waiting).await.status, RunStatus::Completed);
    // The late result was not sent: the run is what it was.
    let details = run.details().await.unwrap();
    assert_eq!((details.status, &details.tasks[0].output), (RunStatus::Cancelled, &None));
}

/// An engine that does not keep to the slots.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn assignments_far_beyond_the_slots_stay_in_the_stream() {
    const ASSIGNED: usize = 1500;
    // Twice the slots and CPU threads, and 256.
    const MOST: usize = 2 * (1 + 1) + 256;
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
    let worker = Worker::new(&Client::new(fake.config()).unwrap()).options(options).register(waiting).start().unwrap();
    fake.until_listening().await;
    let assigning = async {
        let mut runs = Vec::new();
        for _ in 0..ASSIGNED {
            runs.push(fake.assign("waiting", "{}").await);
        }
        runs
    };
    let filling = async {
        eventually("a full worker", async || (worker.stats().attempts == MOST).then_some(())).await;
        opened.notify_one();
    };
    let ending = async {
        let (runs, ()) = tokio::join!(assigning, filling);
        for run in runs {
            fake.finished(run).await;
        }
    };
    let mut most = 0;
    let watching = async {
        loop {
            most = most.max(worker.stats().attempts);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = within("all of them end", ending) => {}
        () = watching => unreachable!(),
    }
    assert_eq!(most, MOST);
    worker.stop().await.unwrap();
}
