//! Heartbeats while user code blocks its threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hatchet_quickstart::hatchet::{
    task::{Context, Stub, Task},
    worker::{Worker, WorkerOptions},
};
use serde_json::{Value, json};

use super::options;
use crate::{fake::Fake, support::one_of_three};
use hatchet_quickstart::hatchet::client::Client;

type Json = serde_json::Map<String, Value>;

/// Upper bound of the gap between two heartbeats. The interval is 4 s, and the engine stops assigning after 5 s.
const MAX_GAP: Duration = Duration::from_millis(4_900);

/// Creates a task of each kind whose body calls `block`.
fn busy_tasks(block: impl Fn() + Clone + Send + Sync + 'static) -> [Task<Json, Value>; 3] {
    let (on_thread, on_pool) = (block.clone(), block.clone());
    [
        // Blocks an async thread, which a task should not do.
        Stub::new("busy-async").task(move |_: Json, _: Context| {
            let block = block.clone();
            async move {
                block();
                Ok(json!({}))
            }
        }),
        Stub::new("busy-blocking").blocking_task(move |_: Json, _| {
            on_thread();
            Ok(json!({}))
        }),
        Stub::new("busy-cpu").cpu_task(move |_: Json, _| {
            on_pool();
            Ok(json!({}))
        }),
    ]
}

/// Blocks every thread of a worker, and returns the gaps between its heartbeats.
fn gaps_while_every_thread_is_blocked() -> Vec<Duration> {
    let released = Arc::new(AtomicBool::new(false));
    let blocked = Arc::new(AtomicUsize::new(0));
    // Two threads for bodies, which the tasks block without awaiting. The engine has a separate runtime.
    let bodies = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let engine = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let block = {
        let (released, blocked) = (released.clone(), blocked.clone());
        move || {
            blocked.fetch_add(1, Ordering::SeqCst);
            while !released.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    };
    let fake = engine.block_on(Fake::start());
    let options = WorkerOptions { cpu_threads: 2, ..options() };
    let worker = {
        let _inside = bodies.enter();
        Worker::new(&Client::new(fake.config()).unwrap())
            .options(options)
            .register_all(busy_tasks(block))
            .start()
            .unwrap()
    };
    let gaps: Vec<Duration> = engine.block_on(async {
        fake.until_listening().await;
        let mut runs = Vec::new();
        for task in ["busy-async", "busy-blocking", "busy-cpu"] {
            for _ in 0..2 {
                runs.push(fake.assign(task, "{}").await);
            }
        }
        let before = fake.script(|script| script.heartbeats.len());
        let beats = fake
            .until("two heartbeats while every thread is blocked", |script| {
                let all_blocked = blocked.load(Ordering::SeqCst) >= 6;
                (all_blocked && script.heartbeats.len() >= before + 2).then(|| script.heartbeats.clone())
            })
            .await;
        released.store(true, Ordering::SeqCst);
        for run in runs {
            fake.finished(run).await;
        }
        beats.windows(2).map(|pair| pair[1] - pair[0]).collect()
    });
    let started = Instant::now();
    engine.block_on(worker.stop()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    bodies.shutdown_background();
    gaps
}

#[tokio::test]
async fn heartbeats_continue_while_every_thread_is_blocked() {
    one_of_three("every gap is short", async || {
        let gaps = tokio::task::spawn_blocking(gaps_while_every_thread_is_blocked).await.unwrap();
        if gaps.iter().all(|gap| *gap < MAX_GAP) { Ok(()) } else { Err(gaps) }
    })
    .await;
}
