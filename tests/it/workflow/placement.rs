//! The choice of a worker: labels, sticky runs, slots.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hatchet_quickstart::{
    hatchet::{
        task::{DesiredLabel, LabelComparator, LabelValue, Sticky},
        worker::WorkerOptions,
    },
    prelude::*,
};

use super::fixture::{N, worker};
use crate::support::{Target, within_timeout};

/// A worker whose task returns this number.
async fn numbered(
    target: &Target,
    stub: &Stub<N, N>,
    n: i64,
    labels: &[(&str, i32)],
) -> hatchet_quickstart::hatchet::worker::RunningWorker {
    let label = DesiredLabel::new("memory", 16).comparator(LabelComparator::GreaterThanOrEqual).required();
    let task = stub.task(move |_, _| async move { Ok(N { n }) }).desired_label(label);
    let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), LabelValue::from(*value))).collect();
    let options = WorkerOptions { name: format!("worker-{n}"), labels, ..WorkerOptions::default() };
    worker(target, options, vec![task.into()]).await
}

#[tokio::test]
async fn required_label_selects_the_worker_and_follows_changes() {
    let target = Target::start().await;
    let client = target.client();
    let stub = Stub::<N, N>::from_name(target.name("labels"));
    let small = numbered(&target, &stub, 1, &[("memory", 4)]).await;
    let large = numbered(&target, &stub, 2, &[("memory", 32)]).await;
    let run =
        async || within_timeout("the run finishes", async { client.run(&stub, &N { n: 0 }).await }).await.unwrap().n;
    for _ in 0..3 {
        assert_eq!(run().await, 2);
    }
    large.set_labels([("memory", 8)]).await.unwrap();
    small.set_labels([("memory", 64)]).await.unwrap();
    // A real engine reads the labels of its workers at intervals.
    let moved = async {
        while run().await != 1 {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    within_timeout("runs move to the other worker", moved).await;
    assert!(large.set_labels([("", 1)]).await.is_err());
    small.stop().await.unwrap();
    large.stop().await.unwrap();
}

#[tokio::test]
async fn sticky_run_stays_on_one_worker() {
    let target = Target::start().await;
    let client = target.client();
    let stub = Stub::<N, N>::from_name(target.name("sticky")).output_of("third");
    let flow = |n: i64| {
        stub.workflow(|flow| {
            let first = flow.task("first", move |_, _| async move { Ok(N { n }) });
            let second =
                flow.parents(&first).task("second", move |_, first, _| async move { Ok(N { n: first.n * 10 + n }) });
            flow.parents(&second).task("third", move |_, second, _| async move { Ok(N { n: second.n * 10 + n }) })
        })
        .sticky(Sticky::Hard)
    };
    let start = async |n: i64| {
        let options = WorkerOptions { name: format!("sticky-{n}"), ..WorkerOptions::default() };
        worker(&target, options, vec![flow(n).into()]).await
    };
    let (one, two) = (start(1).await, start(2).await);
    for _ in 0..6 {
        let output = within_timeout("the run finishes", async { client.run(&stub, &N { n: 0 }).await }).await.unwrap();
        assert!(matches!(output.n, 111 | 222), "{output:?}");
    }
    one.stop().await.unwrap();
    two.stop().await.unwrap();
}

#[tokio::test]
async fn heavy_task_takes_several_slots() {
    let target = Target::start().await;
    let client = target.client();
    let stub = Stub::<N, N>::from_name(target.name("heavy"));
    let (now, most): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
    let seen = most.clone();
    let task = stub
        .task(move |input, _| {
            let (now, most) = (now.clone(), most.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(200)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(input)
            }
        })
        .slots(2);
    let options = WorkerOptions { slots: 5, ..WorkerOptions::default() };
    let worker = worker(&target, options, vec![task.into()]).await;
    let outputs = within_timeout("the runs finish", async {
        client.run_many(&stub, [N { n: 0 }; 1].iter().cycle().take(5)).await
    })
    .await;
    assert!(outputs.iter().all(Result::is_ok), "{outputs:?}");
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn task_with_more_slots_than_the_worker_is_refused() {
    let target = Target::start().await;
    let task = Stub::<N, N>::from_name("heavy").task(|input, _| async move { Ok(input) }).slots(3);
    let error = Worker::new(&target.client()).slots(2).register(task).start().unwrap_err();
    assert_eq!(error.to_string(), "task \"heavy\": invalid slots \"3\": the worker has 2 for it");
}
