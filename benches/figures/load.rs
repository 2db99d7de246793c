//! Figures of the embedded engine and a worker under load.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use hatchet_quickstart::hatchet::{wire::readable_duration, worker::WorkerOptions};
use serde_json::json;

use super::{
    bare::Bare,
    fixture::{Fixture, NO_OP},
    table::{Figure, Target, median, p50, percentile, row},
    tasks::{cpu_heavy, sync_sleep},
};

/// Rounds of a figure. Each also measures the limit, so that other load on the machine affects both.
const ROUNDS: usize = 5;

/// Number of runs of a bulk figure.
const RUNS: usize = 10_000;

/// Measures the time from the trigger to the received result, for sequential runs.
pub(crate) async fn sequential() -> Result<Figure> {
    // The blocks alternate and are short: other load lasts longer than a block, so it affects both sides equally.
    const BLOCK: usize = 20;
    const BLOCKS: usize = 100;
    let fixture = Fixture::start().await?;
    let bare = Bare::start(fixture.token()).await?;
    let (mut trips, mut runs) = (Vec::new(), Vec::new());
    for block in 0..BLOCKS + BLOCKS / 10 {
        let bare_trips = bare.round_trips(BLOCK).await?;
        let mut times = Vec::with_capacity(BLOCK);
        for _ in 0..BLOCK {
            let started = Instant::now();
            fixture.run(NO_OP).await?;
            times.push(started.elapsed());
        }
        // The first tenth warms up.
        if block >= BLOCKS / 10 {
            trips.extend(bare_trips);
            runs.extend(times);
        }
    }
    fixture.stop().await?;
    let ratio = |runs: &[Duration], trips: &[Duration]| p50(runs).as_secs_f64() / p50(trips).as_secs_f64();
    let fifths: Vec<f64> = std::iter::zip(runs.chunks(runs.len() / ROUNDS), trips.chunks(trips.len() / ROUNDS))
        .map(|(runs, trips)| ratio(runs, trips))
        .collect();
    Ok(Figure {
        number: 1,
        name: "trigger to result, sequential, p50",
        measured: readable_duration(p50(&runs)),
        limit: format!("round trip {}", readable_duration(p50(&trips))),
        value: ratio(&runs, &trips),
        target: Target::AtMost(3.0, "x"),
        notes: vec![format!(
            "p99 {}, of a round trip {}; ratio of each fifth: {}",
            readable_duration(percentile(&runs, 0.99)),
            readable_duration(percentile(&trips, 0.99)),
            row(&fifths)
        )],
    })
}

/// Measures many concurrent no-op runs, from their trigger to their outcomes.
pub(crate) async fn bulk() -> Result<Figure> {
    let fixture = Fixture::start().await?;
    let bare = Bare::start(fixture.token()).await?;
    bare.calls_per_second(RUNS, 64).await?;
    fixture.run_many(NO_OP, &json!({}), RUNS / 10).await?;
    let (mut rates, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        limits.push(bare.calls_per_second(2 * RUNS, 64).await?);
        rates.push(fixture.no_ops_per_second(RUNS).await?);
    }
    fixture.stop().await?;
    // A task needs two unary calls, for its start and its end, so the transport allows half as many tasks as calls.
    let share = 100.0 * median(&rates) / (median(&limits) / 2.0);
    Ok(Figure {
        number: 2,
        name: "10,000 no-op tasks, bulk, 1 worker",
        measured: format!("{:.0} tasks/s", median(&rates)),
        limit: format!("{:.0} calls/s, 64 concurrent", median(&limits)),
        value: median(&rates),
        target: Target::AtLeast(5000.0, "/s"),
        notes: vec![format!("{share:.0} % of two bare calls a task; rounds: {}", row(&rates))],
    })
}

/// Measures the throughput of engine and worker with a full queue, relative to plain gRPC with the same messages: an
/// assignment on a stream and two unary calls per task.
pub(crate) async fn messages() -> Result<Figure> {
    let mut fixture = Fixture::start().await?;
    let bare = Bare::start(fixture.token()).await?;
    let slots = WorkerOptions::default().slots;
    bare.tasks_per_second(RUNS, slots).await?;
    fixture.drain_queue(NO_OP, RUNS / 10).await?;
    let (mut rates, mut limits) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        limits.push(bare.tasks_per_second(RUNS, slots).await?);
        rates.push(RUNS as f64 / fixture.drain_queue(NO_OP, RUNS).await?.as_secs_f64());
    }
    fixture.stop().await?;
    let shares: Vec<f64> = rates.iter().zip(&limits).map(|(rate, limit)| 100.0 * rate / limit).collect();
    Ok(Figure {
        number: 18,
        name: "10,000 no-op tasks, engine and worker only",
        measured: format!("{:.0} tasks/s", median(&rates)),
        limit: format!("{:.0} tasks/s, bare gRPC", median(&limits)),
        value: median(&shares),
        target: Target::AtLeast(75.0, " %"),
        notes: vec![
            format!("the same messages on both sides; share of each round: {} %", row(&shares)),
            format!("tasks/s of each round: {}; bare: {}", row(&rates), row(&limits)),
        ],
    })
}

/// Measures blocking bodies: twice as many runs as slots.
pub(crate) async fn sleeps() -> Result<Figure> {
    const IDEAL: f64 = 0.2;
    let fixture = Fixture::start().await?;
    let mut spans = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        fixture.run_many(sync_sleep::STUB.name(), &json!({ "seconds": 0.1 }), 200).await?;
        spans.push(started.elapsed().as_secs_f64());
    }
    fixture.stop().await?;
    Ok(Figure {
        number: 3,
        name: "200 sleeps of 0.1 s on 100 slots",
        measured: format!("{:.3} s", median(&spans)),
        limit: format!("{IDEAL:.3} s, ideal"),
        value: median(&spans) / IDEAL,
        target: Target::AtMost(1.10, "x"),
        notes: vec![format!("rounds: {} s; the first starts the threads", row(&spans))],
    })
}

/// Measures CPU-bound bodies, relative to the same work on a plain thread pool of the same size.
pub(crate) async fn cpu(threads: usize) -> Result<Figure> {
    const CONCURRENT: usize = 8;
    // About 0.1 s per piece of work: many short rounds, so that bursts of other load affect both sides.
    const LIMIT: u64 = 1_000_000;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let fixture = Fixture::start().await?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..2 * ROUNDS {
        let started = Instant::now();
        fixture.run_many(cpu_heavy::STUB.name(), &json!({ "limit": LIMIT }), CONCURRENT).await?;
        ours.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        let (sender, done) = std::sync::mpsc::channel();
        for _ in 0..CONCURRENT {
            let sender = sender.clone();
            pool.spawn(move || {
                let _ = sender.send(cpu_heavy::count_primes(LIMIT, || Ok::<_, Infallible>(())));
            });
        }
        drop(sender);
        let counted = tokio::task::spawn_blocking(move || done.iter().filter(Result::is_ok).count()).await?;
        (counted == CONCURRENT).then_some(()).context("the bare pool did not complete its work")?;
        bare.push(started.elapsed().as_secs_f64());
    }
    fixture.stop().await?;
    let ratios: Vec<f64> = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
    Ok(Figure {
        number: 4,
        name: "cpu-heavy-task, 8 concurrent",
        measured: format!("{:.3} s", median(&ours)),
        limit: format!("bare pool {:.3} s", median(&bare)),
        value: median(&ours) / median(&bare),
        target: Target::AtMost(1.10, "x"),
        notes: vec![format!("ratio of each round: {}", row(&ratios))],
    })
}
