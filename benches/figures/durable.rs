//! The cost of persistence, and the start with 100,000 persistent runs.

use std::{path::Path, time::Instant};

use anyhow::{Context as _, Result};
use hatchet_quickstart::{
    engine::find,
    hatchet::{
        client::{Client, ClientConfig, Sources},
        wire::readable_duration,
    },
};
use serde_json::json;
use tokio::time::sleep;

use super::{
    fixture::{Fixture, NO_OP, trigger_many},
    process::{IDLE_DELAY, Process, embedded_worker},
    table::{Figure, Target, median, p50, row},
};

/// Rounds of a figure, alternating between both engines.
const ROUNDS: usize = 5;

/// Number of finished or queued runs.
const MANY: usize = 100_000;

/// Measures the same load on a persistent engine and on an engine in memory.
pub(crate) async fn throughput() -> Result<Figure> {
    const COUNT: usize = 10_000;
    let folder = tempfile::tempdir()?;
    let (durable, memory) = (Fixture::persistent(folder.path()).await?, Fixture::start().await?);
    let (mut durable_rates, mut memory_rates) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        for (fixture, rates) in [(&durable, &mut durable_rates), (&memory, &mut memory_rates)] {
            let rate = fixture.no_ops_per_second(COUNT).await?;
            // The first round warms up.
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    let (mut slow, mut fast) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        for (fixture, times) in [(&durable, &mut slow), (&memory, &mut fast)] {
            let started = Instant::now();
            fixture.run(NO_OP).await?;
            times.push(started.elapsed());
        }
    }
    durable.stop().await?;
    memory.stop().await?;
    let ratios: Vec<f64> = durable_rates.iter().zip(&memory_rates).map(|(durable, memory)| durable / memory).collect();
    Ok(Figure {
        number: 14,
        name: "10,000 no-op tasks in bulk, durable",
        measured: format!("{:.0}/s", median(&durable_rates)),
        limit: format!("in memory {:.0}/s", median(&memory_rates)),
        value: median(&ratios),
        target: Target::AtLeast(0.5, "x"),
        notes: vec![format!(
            "ratio of each round: {}; trigger to result, sequential, p50 {}, in memory {}",
            row(&ratios),
            readable_duration(p50(&slow)),
            readable_duration(p50(&fast))
        )],
    })
}

/// Measures the time from the start of a worker process with its engine to its banner, with many finished runs in the
/// folder.
pub(crate) async fn start() -> Result<Figure> {
    let folder = tempfile::tempdir()?;
    let fixture = Fixture::persistent(&folder.path().join(".hatchet")).await?;
    for _ in 0..MANY / 10_000 {
        fixture.run_many(NO_OP, &json!({}), 10_000).await?;
    }
    fixture.stop().await?;
    let (mut millis, mut fresh, mut resident) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..7 {
        let (process, elapsed) = Process::start(&mut embedded_worker(), folder.path()).await?;
        resident.extend(process.resident());
        process.stop().await?;
        millis.push(elapsed.as_secs_f64() * 1e3);
        let empty = tempfile::tempdir()?;
        let (process, elapsed) = Process::start(&mut embedded_worker(), empty.path()).await?;
        process.stop().await?;
        fresh.push(elapsed.as_secs_f64() * 1e3);
    }
    let size = std::fs::metadata(folder.path().join(".hatchet/engine.db"))?.len() >> 20;
    Ok(Figure {
        number: 15,
        name: "start with 100,000 finished runs",
        measured: format!("{:.0} ms", median(&millis)),
        limit: format!("without runs {:.1} ms", median(&fresh)),
        value: median(&millis),
        target: Target::AtMost(300.0, " ms"),
        notes: vec![format!(
            "starts: {} ms; the file has {size} MiB, the process then {:.0} MiB",
            row(&millis),
            median(&resident)
        )],
    })
}

/// Measures the memory of a worker with its engine while many runs are queued.
pub(crate) async fn queued_memory() -> Result<Figure> {
    let folder = tempfile::tempdir()?;
    let mut command = embedded_worker();
    command.args(["--tasks", "sync-sleep-task", "--slots", "1"]);
    let (process, _) = Process::start(&mut command, folder.path()).await?;
    let before = process.resident().unwrap_or(f64::NAN);
    let client = client(&folder.path().join(".hatchet"))?;
    let input = json!({ "seconds": 3600, "pad": "x".repeat(1000) });
    trigger_many(&client, "sync-sleep-task", &input, MANY).await?;
    sleep(IDLE_DELAY).await;
    let resident = process.resident().unwrap_or(f64::NAN);
    process.stop().await?;
    Ok(Figure {
        number: 16,
        name: "100,000 queued runs of 1 KiB, resident",
        measured: format!("{resident:.0} MiB"),
        limit: String::new(),
        value: resident,
        target: Target::AtMost(300.0, " MiB"),
        notes: vec![format!("{before:.1} MiB before they are queued")],
    })
}

fn client(folder: &Path) -> Result<Client> {
    let handshake = find(folder)?.context("no engine in the folder")?;
    Ok(Client::new(ClientConfig::from_handshake(&handshake, &Sources::default())?)?)
}
