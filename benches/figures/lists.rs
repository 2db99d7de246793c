//! The delay of small calls while a large REST list is read.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::{
        client::{Client, ClientConfig, Sources},
        system::Handshake,
        task::Stub,
        wire::{
            proto::{
                WorkerRegisterRequest,
                dispatcher_client::DispatcherClient,
                v1::{CreateTaskOpts, CreateWorkflowVersionRequest, admin_service_client::AdminServiceClient},
            },
            readable_duration,
        },
    },
};
use serde_json::Value;

use super::{
    fixture::connect,
    table::{Figure, Target, p50},
};

const RUNS: usize = 100;
/// Size of each run's input: 1 MiB.
const BYTES: usize = 1 << 20;
/// Number of workers, and of workflows.
const WORKERS: usize = 10_000;

/// Measures the longest duration of a small call while a list is read.
pub(crate) async fn measure() -> Result<Figure> {
    let engine = Engine::start(EngineOptions::default()).await?;
    let handshake = engine.handshake().clone();
    let client = Client::new(ClientConfig::from_handshake(&handshake, &Sources::default())?)?;
    fill(&handshake, &client).await?;
    let tenant = &handshake.tenant_id;
    let lists = [
        format!("/api/v1/stable/tenants/{tenant}/workflow-runs?since=2020-01-01T00:00:00Z&only_tasks=false&limit=1000"),
        format!("/api/v1/tenants/{tenant}/worker"),
        format!("/api/v1/tenants/{tenant}/workflows?limit=1000"),
    ];
    let (mut max_durations, mut notes) = (Vec::new(), Vec::new());
    for path in lists {
        let (elapsed, bytes, calls) = measure_list(&client, &handshake, path.clone()).await?;
        let longest = calls.iter().copied().max().unwrap_or_default();
        let name = path.split(['?', '/']).rfind(|part| !part.contains('=')).unwrap_or_default().to_owned();
        notes.push(format!(
            "{name}: {:.1} MB in {}; a concurrent call takes at most {}, p50 {}",
            bytes as f64 / 1e6,
            readable_duration(elapsed),
            readable_duration(longest),
            readable_duration(p50(&calls))
        ));
        max_durations.push(longest);
    }
    engine.stop().await;
    let longest = max_durations.into_iter().max().unwrap_or_default();
    Ok(Figure {
        number: 20,
        name: "call during a large REST list, maximum",
        measured: readable_duration(longest),
        limit: String::new(),
        value: longest.as_secs_f64() * 1e3,
        target: Target::AtMost(50.0, " ms"),
        notes,
    })
}

/// Creates many workers and workflows, and queued runs with large inputs.
async fn fill(handshake: &Handshake, client: &Client) -> Result<()> {
    let link = connect(handshake).await?;
    let (admin, dispatcher) = (AdminServiceClient::new(link.clone()), DispatcherClient::new(link));
    let calls = stream::iter(0..WORKERS).map(|n| {
        let (mut admin, mut dispatcher) = (admin.clone(), dispatcher.clone());
        async move {
            let name = format!("workflow-{n}");
            let action = format!("{name}:{name}");
            let task = CreateTaskOpts { readable_id: name.clone(), action: action.clone(), ..Default::default() };
            let definition =
                CreateWorkflowVersionRequest { name: name.clone(), tasks: vec![task], ..Default::default() };
            admin.put_workflow(definition).await?;
            let worker = WorkerRegisterRequest { worker_name: name, actions: vec![action], ..Default::default() };
            dispatcher.register(worker).await.map(drop)
        }
    });
    calls.buffer_unordered(64).try_collect::<()>().await?;
    let input = serde_json::json!({ "x": "x".repeat(BYTES) });
    for _ in 0..RUNS {
        client.run_no_wait(&Stub::<_, Value>::new("workflow-0"), &input).await?;
    }
    Ok(())
}

/// Measures a list: its duration, its size, and the durations of the concurrent small calls.
async fn measure_list(
    client: &Client,
    handshake: &Handshake,
    path: String,
) -> Result<(Duration, usize, Vec<Duration>)> {
    let engine = handshake.clone();
    let list = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        get(&engine, &path).map(|bytes| (started.elapsed(), bytes))
    });
    let mut calls = Vec::new();
    loop {
        let started = Instant::now();
        client.engine_version().await?;
        calls.push(started.elapsed());
        if list.is_finished() {
            break;
        }
    }
    let (elapsed, bytes) = list.await??;
    Ok((elapsed, bytes, calls))
}

/// Reads a response to its end and counts its bytes.
fn get(engine: &Handshake, path: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(&engine.grpc_address)?;
    let (address, token) = (&engine.grpc_address, &engine.token);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    )?;
    let (mut part, mut head, mut bytes) = (vec![0; 1 << 16], String::new(), 0);
    loop {
        let read = stream.read(&mut part)?;
        if read == 0 {
            break;
        }
        if bytes == 0 {
            head = String::from_utf8_lossy(&part[..read.min(64)]).into_owned();
        }
        bytes += read;
    }
    ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    bytes.checked_sub(1).context("no response")?;
    Ok(bytes)
}
