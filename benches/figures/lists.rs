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
        wire::proto::{
            WorkerRegisterRequest,
            dispatcher_client::DispatcherClient,
            v1::{CreateTaskOpts, CreateWorkflowVersionRequest, admin_service_client::AdminServiceClient},
        },
    },
};
use serde_json::Value;
use tonic::{Request, Status, transport::Endpoint};

use super::table::{Figure, Target, p50, time};
use hatchet_quickstart::hatchet::task::Stub;

/// Size of each run's input in bytes, and the numbers of workers and workflows.
const RUNS: usize = 100;
const BYTES: usize = 1 << 20;
const WORKERS: usize = 10_000;

pub(crate) async fn figure() -> Result<Figure> {
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
    let (mut waits, mut notes) = (Vec::new(), Vec::new());
    for path in lists {
        let (took, bytes, beside) = beside(&client, &handshake, path.clone()).await?;
        let longest = beside.iter().copied().max().unwrap_or_default();
        let name = path.split(['?', '/']).rfind(|part| !part.contains('=')).unwrap_or_default().to_owned();
        notes.push(format!(
            "{name}: {:.1} MB in {}; a call beside it waits {} at most, p50 {}",
            bytes as f64 / 1e6,
            time(took),
            time(longest),
            time(p50(&beside))
        ));
        waits.push(longest);
    }
    engine.stop().await;
    let longest = waits.into_iter().max().unwrap_or_default();
    Ok(Figure {
        number: 20,
        what: "a call beside a large REST list, longest wait",
        measured: time(longest),
        limit: String::new(),
        value: longest.as_secs_f64() * 1e3,
        target: Target::AtMost(50.0, " ms"),
        notes,
    })
}

/// Queued runs with large inputs, and many workers and workflows.
async fn fill(handshake: &Handshake, client: &Client) -> Result<()> {
    let channel = Endpoint::from_shared(format!("http://{}", handshake.grpc_address))?.connect().await?;
    let bearer = format!("bearer {}", handshake.token).parse::<tonic::metadata::MetadataValue<_>>()?;
    let authorize = move |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", bearer.clone());
        Ok::<_, Status>(request)
    };
    let admin = AdminServiceClient::with_interceptor(channel.clone(), authorize.clone());
    let dispatcher = DispatcherClient::with_interceptor(channel, authorize);
    let calls = stream::iter(0..WORKERS).map(|n| {
        let (mut admin, mut dispatcher) = (admin.clone(), dispatcher.clone());
        async move {
            let name = format!("flow-{n}");
            let action = format!("{name}:{name}");
            let task = CreateTaskOpts { readable_id: name.clone(), action: action.clone(), ..Default::default() };
            let flow = CreateWorkflowVersionRequest { name: name.clone(), tasks: vec![task], ..Default::default() };
            admin.put_workflow(flow).await?;
            let worker = WorkerRegisterRequest { worker_name: name, actions: vec![action], ..Default::default() };
            dispatcher.register(worker).await.map(drop)
        }
    });
    calls.buffer_unordered(64).try_collect::<()>().await?;
    let input = serde_json::json!({ "x": "x".repeat(BYTES) });
    for _ in 0..RUNS {
        client.run_no_wait(&Stub::<_, Value>::new("flow-0"), &input).await?;
    }
    Ok(())
}

/// Duration and size of a list, and the durations of the concurrent small calls.
async fn beside(client: &Client, handshake: &Handshake, path: String) -> Result<(Duration, usize, Vec<Duration>)> {
    let at = handshake.clone();
    let list = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        get(&at, &path).map(|bytes| (begun.elapsed(), bytes))
    });
    let mut waits = Vec::new();
    loop {
        let begun = Instant::now();
        client.engine_version().await?;
        waits.push(begun.elapsed());
        if list.is_finished() {
            break;
        }
    }
    let (took, bytes) = list.await??;
    Ok((took, bytes, waits))
}

/// Reads a response to its end and counts its bytes.
fn get(at: &Handshake, path: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(&at.grpc_address)?;
    let (address, token) = (&at.grpc_address, &at.token);
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
    bytes.checked_sub(1).context("no answer")?;
    Ok(bytes)
}
