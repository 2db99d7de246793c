//! Figures with a real engine. They require `HATCHET_BENCH_REAL=1`, so that a token in the environment is not enough to
//! put load on a Hatchet.

use std::time::Instant;

use anyhow::{Context as _, Result};
use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, Source, Sources},
    worker::{Worker, WorkerOptions},
};
use serde_json::json;
use tokio::process::Command;

use super::{
    fixture::{NO_OP, no_op, run_many},
    process::{Process, WORKER_BINARY, idle_memory},
    table::{Figure, Target, median, row},
    tasks::{cpu_heavy, sync_sleep},
};

/// The argument by which this program runs as a worker of the no-op task.
pub(crate) const WORKER: &str = "no-op-worker";

/// The message for figures without a real engine.
pub(crate) const REQUIREMENT: &str = "needs a real engine: HATCHET_BENCH_REAL=1 HATCHET_CLIENT_TOKEN=... make bench";

/// Measures these figures. `None` without a real engine.
pub(crate) async fn figures(on: &impl Fn(u32) -> bool) -> Result<Vec<(u32, Option<Figure>)>> {
    let mut figures = Vec::new();
    let requested = std::env::var("HATCHET_BENCH_REAL").is_ok_and(|value| value == "1");
    let sources = Sources::read(std::path::Path::new("."));
    if !requested || sources.value("HATCHET_CLIENT_TOKEN").is_none() {
        return Ok([7, 8, 19].into_iter().filter(|number| on(*number)).map(|number| (number, None)).collect());
    }
    if on(7) {
        figures.push((7, Some(worker_cpu(sources.clone()).await?)));
    }
    if on(8) {
        figures.push((8, Some(worker_memory().await?)));
    }
    if on(19) {
        figures.push((19, Some(cpu_runs_and_sleeps(sources).await?)));
    }
    Ok(figures)
}

/// Runs a worker of the no-op task, with the settings of its environment.
pub(crate) async fn no_op_worker() -> Result<()> {
    let config = ClientConfig::from_sources(&Sources::read(std::path::Path::new(".")))?;
    let mut worker = Worker::new(&Client::new(config)?).options(WorkerOptions::default()).register(no_op()).start()?;
    worker.listening().await?;
    eprintln!("worker, listening");
    worker.ended().await?;
    Ok(())
}

/// Measures the CPU time of a worker process per 1,000 no-op runs.
async fn worker_cpu(mut sources: Sources) -> Result<Figure> {
    const RUNS: usize = 1_000;
    let namespace = namespace();
    sources.set("HATCHET_CLIENT_NAMESPACE", namespace.as_str(), Source::Default);
    let client = Client::new(ClientConfig::from_sources(&sources)?)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(WORKER).env("HATCHET_CLIENT_NAMESPACE", &namespace);
    let here = std::env::current_dir()?;
    let (process, _) = Process::start(&mut command, &here).await?;
    run_many(&client, NO_OP, &json!({}), RUNS / 20).await?;
    let unavailable = "the system does not report the CPU time of a process";
    let before = process.cpu().context(unavailable)?;
    let started = Instant::now();
    run_many(&client, NO_OP, &json!({}), RUNS).await?;
    let elapsed = started.elapsed().as_secs_f64();
    let used = process.cpu().context(unavailable)? - before;
    let resident = process.resident().unwrap_or(f64::NAN);
    process.stop().await?;
    Ok(Figure {
        number: 7,
        name: "CPU of the worker per 1,000 no-op tasks",
        measured: format!("{used:.2} s"),
        limit: String::new(),
        value: used,
        target: Target::AtMost(0.25, " s"),
        notes: vec![format!(
            "{:.0} tasks/s, limited by the engine; resident afterwards: {resident:.1} MiB",
            RUNS as f64 / elapsed
        )],
    })
}

async fn worker_memory() -> Result<Figure> {
    let mut command = Command::new(WORKER_BINARY);
    command.arg("--embedded=never").env("HATCHET_CLIENT_NAMESPACE", namespace());
    // In the current folder, whose .env files may contain the settings.
    let resident = idle_memory(&mut command, Some(&std::env::current_dir()?)).await?;
    Ok(Figure {
        number: 8,
        name: "idle worker of a real engine, resident",
        measured: format!("{resident:.1} MiB"),
        limit: String::new(),
        value: resident,
        target: Target::AtMost(10.0, " MiB"),
        notes: Vec::new(),
    })
}

/// Measures the rate of runs of the CPU task relative to the same number of sleeps on the same number of slots. Neither
/// body takes noticeable time, so both rates are those at which the engine assigns freed slots.
async fn cpu_runs_and_sleeps(mut sources: Sources) -> Result<Figure> {
    const RUNS: usize = 40;
    const SLOTS: usize = 2;
    const ROUNDS: usize = 5;
    sources.set("HATCHET_CLIENT_NAMESPACE", namespace(), Source::Default);
    let config = ClientConfig::from_sources(&sources)?;
    let client = Client::new(config.clone())?;
    let options = WorkerOptions { slots: SLOTS, cpu_threads: SLOTS, ..WorkerOptions::default() };
    let mut worker = Worker::new(&Client::new(config)?)
        .options(options)
        .register(cpu_heavy::task())
        .register(sync_sleep::task())
        .start()?;
    worker.listening().await?;
    let per_second = async |task: &str, input: serde_json::Value| {
        let started = Instant::now();
        run_many(&client, task, &input, RUNS).await?;
        anyhow::Ok(RUNS as f64 / started.elapsed().as_secs_f64())
    };
    let (mut cpu, mut sleeps) = (Vec::new(), Vec::new());
    // The first round warms up.
    for round in 0..=ROUNDS {
        let rates = [
            per_second(cpu_heavy::STUB.name(), json!({ "limit": 1_000 })).await?,
            per_second(sync_sleep::STUB.name(), json!({ "seconds": 0 })).await?,
        ];
        if round > 0 {
            cpu.push(rates[0]);
            sleeps.push(rates[1]);
        }
    }
    worker.stop().await?;
    Ok(Figure {
        number: 19,
        name: "40 CPU runs on 2 slots, real engine",
        measured: format!("{:.1} runs/s", median(&cpu)),
        limit: format!("sleeps: {:.1} runs/s", median(&sleeps)),
        value: median(&cpu) / median(&sleeps),
        target: Target::AtLeast(0.8, "x"),
        notes: vec![format!("rounds: {} runs/s; sleeps: {} runs/s", row(&cpu), row(&sleeps))],
    })
}

/// Returns a unique namespace.
fn namespace() -> String {
    format!("bench-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}
