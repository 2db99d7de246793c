//! The overhead of `runner bench`, and the speed of bulk triggers.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use hatchet_quickstart::hatchet::wire::readable_duration;
use serde_json::Value;
use tokio::process::Command;

use super::{
    fixture::{Fixture, NO_OP_STUB, Nothing},
    table::{Figure, Target, median, row},
};

const RUNNER: &str = env!("CARGO_BIN_EXE_runner");
/// Numbers of runs of the small, the medium and the large benchmark.
const SIZES: [u64; 3] = [1_000, 10_000, 100_000];
/// Number of runs that are triggered sequentially, and in bulk.
const TRIGGERS: usize = 10_000;
const ROUNDS: usize = 3;

/// Measures the three figures of `runner bench`, with an embedded engine and a no-op task.
pub(crate) async fn measure_overhead() -> Result<[Figure; 3]> {
    let folder = tempfile::tempdir()?;
    let mut summaries = Vec::new();
    // The first benchmark warms up.
    for (number, runs) in [SIZES[0], SIZES[0], SIZES[1], SIZES[2]].into_iter().enumerate() {
        summaries.push(bench(folder.path(), number, runs).await?);
    }
    let metric = |summary: &Value, path: &str| summary.pointer(path).and_then(Value::as_f64).context(path.to_owned());
    let cpu = metric(&summaries[2], "/own/cpu_us_per_run")?;
    let (small, large) = (metric(&summaries[1], "/own/cpu_us_per_run")?, metric(&summaries[3], "/own/cpu_us_per_run")?);
    let rate = |summary: &Value| metric(summary, "/throughput/ended");
    let (slow, fast) = (rate(&summaries[3])?, rate(&summaries[1])?);
    let mib = metric(&summaries[3], "/own/memory")? / f64::from(1 << 20);
    Ok([
        Figure {
            number: 10,
            name: "runner bench, CPU at 5,000 runs/s",
            measured: format!("{cpu:.1} us per run"),
            limit: "one core".to_owned(),
            value: cpu * 5_000.0 / 1e4,
            target: Target::AtMost(10.0, " %"),
            notes: vec![format!("10,000 runs at {:.0}/s", metric(&summaries[2], "/throughput/ended")?)],
        },
        Figure {
            number: 11,
            name: "runner bench, CPU per run, 100,000 runs",
            measured: format!("{large:.1} us"),
            limit: format!("{small:.1} us at 1,000"),
            value: large / small,
            target: Target::AtMost(1.15, " x"),
            notes: vec![format!("all on the same cores: 100,000 runs finished at {slow:.0}/s, 1,000 at {fast:.0}/s")],
        },
        Figure {
            number: 12,
            name: "runner bench, memory at 100,000 runs",
            measured: format!("{mib:.1} MiB"),
            limit: String::new(),
            value: mib,
            target: Target::AtMost(150.0, " MiB"),
            notes: Vec::new(),
        },
    ])
}

/// Runs a benchmark. Returns its summary.
async fn bench(folder: &Path, number: usize, runs: u64) -> Result<Value> {
    let output = Command::new(RUNNER)
        .args(["bench", "--embedded", "--with-worker", "--output", "json", "--tasks", "sync-sleep-task"])
        .args(["--input-json", r#"{"seconds":0}"#, "--runs", &runs.to_string(), "--out", &format!("out-{number}")])
        .current_dir(folder)
        .env("HATCHET_CLIENT_TOKEN", "")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(output.status.success(), "{runs} runs: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Measures the speed of a bulk trigger relative to the same number of sequential triggers.
pub(crate) async fn bulk_trigger() -> Result<Figure> {
    let fixture = Fixture::start().await?;
    let (mut single, mut bulk) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..TRIGGERS {
            fixture.client.run_no_wait(&NO_OP_STUB, &Nothing {}).await?;
        }
        single.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        let items = std::iter::repeat_n(&Nothing {}, TRIGGERS);
        for outcome in fixture.client.run_many_no_wait(&NO_OP_STUB, items).await {
            outcome?;
        }
        bulk.push(started.elapsed().as_secs_f64());
    }
    fixture.stop().await?;
    let ratios: Vec<f64> = single.iter().zip(&bulk).map(|(single, bulk)| single / bulk).collect();
    let duration = |seconds: &[f64]| readable_duration(Duration::from_secs_f64(median(seconds)));
    Ok(Figure {
        number: 13,
        name: "10,000 triggers in bulk",
        measured: duration(&bulk),
        limit: format!("{} sequentially", duration(&single)),
        value: median(&ratios),
        target: Target::AtLeast(5.0, " x"),
        notes: vec![format!("by round: {}", row(&ratios))],
    })
}
