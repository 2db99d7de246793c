//! A web service that runs a task for each request and responds with its typed output, or with 504 if the output is not
//! available within a limit. The service and the worker share one process and one client, and one shutdown signal stops
//! both: the service first, so that open requests still receive their outputs, then the worker.
//!
//! Prints:
//!
//! ```text
//! GET /greet/Ada: 200 {"message":"Hello, Ada!"}
//! GET /greet/slow: 504 {"error":"no output within 2 s","run_id":"<id>"}
//! POST /greet/Ada: 405
//! the service has stopped
//! the worker has stopped: 1 attempt cancelled after its grace period
//! ```

use std::{net::SocketAddr, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use hatchet_quickstart::{
    engine::{Engine, EngineOptions},
    hatchet::client::{ClientConfig, Sources},
    prelude::*,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Maximum time that a request waits for the output of its run.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Greeting {
    message: String,
}

/// The name and types of the task. The service needs no more of it, so the body could be in another program.
const GREET: Stub<Name, Greeting> = Stub::new("greet");

async fn greet(input: Name, _ctx: Context) -> Result<Greeting, TaskError> {
    if input.name == "slow" {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    Ok(Greeting { message: format!("Hello, {}!", input.name) })
}

/// `GET /greet/{name}`
async fn handler(State(client): State<Client>, Path(name): Path<String>) -> Response {
    let run = match client.run_no_wait(&GREET, &Name { name }).metadata("source", "web").await {
        Ok(run) => run,
        Err(error) => return json_response(StatusCode::BAD_GATEWAY, json!({ "error": error.to_string() })),
    };
    match tokio::time::timeout(TIMEOUT, run.result()).await {
        Ok(Ok(greeting)) => Json(greeting).into_response(),
        Ok(Err(error)) => json_response(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": error.to_string() })),
        Err(_) => {
            // The run continues, and the caller can query it by its id. `run.cancel()` would stop it.
            let error = format!("no output within {} s", TIMEOUT.as_secs());
            json_response(StatusCode::GATEWAY_TIMEOUT, json!({ "error": error, "run_id": run.id().to_string() }))
        }
    }
}

fn json_response(status: StatusCode, body: serde_json::Value) -> Response {
    (status, Json(body)).into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::start(EngineOptions::default()).await?;
    let client = Client::new(ClientConfig::from_handshake(engine.handshake(), &Sources::default())?)?;
    // A real service cancels this token on SIGTERM: `tokio::signal::unix::signal(SignalKind::terminate())`.
    let shutdown = CancellationToken::new();

    let service = Router::new().route("/greet/{name}", get(handler)).with_state(client.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving =
        axum::serve(listener, service).with_graceful_shutdown(shutdown.clone().cancelled_owned()).into_future();

    let mut worker = Worker::new(&client).register(GREET.task(greet)).grace(Duration::from_millis(100)).start()?;
    worker.listening().await?;

    let requests = async {
        request(address, "GET", "/greet/Ada").await?;
        request(address, "GET", "/greet/slow").await?;
        request(address, "POST", "/greet/Ada").await?;
        shutdown.cancel();
        std::io::Result::Ok(())
    };
    let (serving, requests) = tokio::join!(serving, requests);
    serving?;
    requests?;
    println!("the service has stopped");
    let drained = worker.stop().await?;
    println!("the worker has stopped: {} attempt cancelled after its grace period", drained.cancelled.len());

    engine.stop().await;
    Ok(())
}

/// Sends a request to the service and prints the response.
async fn request(address: SocketAddr, method: &str, path: &str) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut connection = tokio::net::TcpStream::connect(address).await?;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    connection.write_all(head.as_bytes()).await?;
    let mut text = String::new();
    connection.read_to_string(&mut text).await?;
    let status = text.split(' ').nth(1).unwrap_or_default();
    let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
    // The id is random.
    let body = match body.split_once(r#""run_id":""#) {
        Some((before, _)) => format!(r#"{before}"run_id":"<id>"}}"#),
        None => body.to_owned(),
    };
    println!("{}", format!("{method} {path}: {status} {body}").trim_end());
    Ok(())
}
