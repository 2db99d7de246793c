//! A scripted engine: serves the gRPC services, records calls, and returns the responses of the script.
//!
//! It keeps no state of runs or workers, so a test can produce responses that a real engine rarely returns.

mod admin;
mod dispatcher;
mod events;
mod state;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hatchet_quickstart::hatchet::{
    client::{ClientConfig, Sources},
    system::Handshake,
    wire::{
        RunId, TenantId,
        proto::{
            ActionType, AssignedAction, dispatcher_server::DispatcherServer,
            events_service_server::EventsServiceServer, v1::admin_service_server::AdminServiceServer,
            workflow_service_server::WorkflowServiceServer,
        },
    },
};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::task::AbortOnDropHandle;
use tonic::{
    Request, Status,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

pub use state::{Finished, Report, Script, end_event};

/// Timeout of every wait.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running scripted engine. Dropping it closes all connections.
pub struct Fake {
    pub address: SocketAddr,
    services: Services,
    _serving: AbortOnDropHandle<()>,
}

/// The gRPC services, which share the script.
#[derive(Clone)]
struct Services(Arc<Shared>);

struct Shared {
    script: Mutex<Script>,
    changed: Notify,
}

impl Services {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_token(&self, call: Request<()>) -> Result<Request<()>, Status> {
        let sent = call.metadata().get("authorization").and_then(|value| value.to_str().ok());
        match &self.script().accepted_token {
            Some(only) if sent != Some(format!("bearer {only}").as_str()) => {
                Err(Status::unauthenticated("invalid auth token"))
            }
            _ => Ok(call),
        }
    }

    /// Changes the script and wakes the waits for it.
    fn update<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        let value = change(&mut self.script());
        self.0.changed.notify_waiters();
        value
    }
}

impl Fake {
    pub async fn start() -> Self {
        Self::serve(Server::builder()).await
    }

    /// Starts with TLS: a certificate and its key in PEM.
    pub async fn start_tls(certificate: &str, key: &str) -> Self {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        Self::serve(Server::builder().tls_config(tls).unwrap()).await
    }

    /// Starts with TLS that requires a client certificate of this authority, in PEM.
    pub async fn start_mtls(certificate: &str, key: &str, authority: &str) -> Self {
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(certificate, key))
            .client_ca_root(Certificate::from_pem(authority));
        Self::serve(Server::builder().tls_config(tls).unwrap()).await
    }

    async fn serve(mut server: Server) -> Self {
        // Fails if another test has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let services = Services(Arc::new(Shared { script: Mutex::default(), changed: Notify::new() }));
        let guard = |services: &Services| {
            let services = services.clone();
            move |call| services.check_token(call)
        };
        let serving = server
            .add_service(DispatcherServer::with_interceptor(services.clone(), guard(&services)))
            .add_service(AdminServiceServer::with_interceptor(services.clone(), guard(&services)))
            .add_service(WorkflowServiceServer::with_interceptor(services.clone(), guard(&services)))
            .add_service(EventsServiceServer::with_interceptor(services.clone(), guard(&services)))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, services, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Creates a token with the address of this engine. Its signature is not valid.
    pub fn token(&self) -> String {
        token(&self.address.to_string(), "")
    }

    /// Creates the settings of a client for this engine, which has no REST API.
    pub fn config(&self) -> ClientConfig {
        self.config_with(&[])
    }

    pub fn config_with(&self, settings: &[(&str, &str)]) -> ClientConfig {
        ClientConfig::from_handshake(&self.handshake(), &Sources::from_pairs(settings.iter().copied())).unwrap()
    }

    /// Creates the content of a handshake file for this engine.
    pub fn handshake(&self) -> Handshake {
        Handshake {
            token: self.token(),
            tenant_id: TenantId::random().to_string(),
            grpc_address: self.address.to_string(),
            // The discard port of a test machine refuses connections immediately.
            api_url: "http://127.0.0.1:9".to_owned(),
        }
    }

    /// Reads or changes the script.
    pub fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        self.services.update(change)
    }

    /// Waits until the recorded calls satisfy `query`.
    pub async fn until<T>(&self, what: &str, query: impl Fn(&Script) -> Option<T>) -> T {
        let result = tokio::time::timeout(TIMEOUT, async {
            loop {
                let changed = self.services.0.changed.notified();
                tokio::pin!(changed);
                // Enabled before `query`, so that no change in between is missed.
                changed.as_mut().enable();
                if let Some(value) = query(&self.services.script()) {
                    return value;
                }
                changed.await;
            }
        });
        match result.await {
            Ok(value) => value,
            Err(_) => panic!("not within {TIMEOUT:?}: {what}; {:?}", self.services.script()),
        }
    }

    /// Waits until a worker has opened its stream and sent a heartbeat.
    pub async fn until_listening(&self) {
        self.until("a worker listens", |script| {
            (!script.streams.is_empty() && !script.heartbeats.is_empty()).then_some(())
        })
        .await;
    }

    /// Assigns an attempt on the newest stream. Returns its run.
    pub async fn assign(&self, task: &str, input: &str) -> RunId {
        let run = RunId::random();
        self.send(start_action(run, &format!("{task}:{task}"), &format!(r#"{{"input":{input}}}"#), 0)).await;
        run
    }

    /// Sends an action on the newest stream.
    pub async fn send(&self, action: AssignedAction) {
        let stream = self.script(|script| script.streams.last().unwrap().1.clone());
        stream.send(Ok(action)).await.unwrap();
    }

    /// Breaks the newest stream with this status.
    pub async fn break_stream(&self, status: Status) {
        let stream = self.script(|script| script.streams.last().unwrap().1.clone());
        stream.send(Err(status)).await.unwrap();
    }

    /// Waits until the end of an attempt is reported, and returns it.
    pub async fn finished(&self, run: RunId) -> Finished {
        self.until("the attempt is reported", |script| script.finished(run).into_iter().next()).await
    }
}

/// Creates an action that starts an attempt.
pub fn start_action(run: RunId, action_id: &str, payload: &str, retry_count: i32) -> AssignedAction {
    AssignedAction {
        workflow_run_id: run.to_string(),
        task_run_external_id: run.to_string(),
        task_id: RunId::random().to_string(),
        job_id: RunId::random().to_string(),
        job_run_id: RunId::random().to_string(),
        action_id: action_id.to_owned(),
        action_type: ActionType::StartStepRun.into(),
        action_payload: payload.to_owned(),
        task_name: action_id.rsplit(':').next().unwrap_or_default().to_owned(),
        retry_count,
        ..Default::default()
    }
}

/// Creates an action that cancels an attempt.
pub fn cancel_action(run: RunId, action_id: &str) -> AssignedAction {
    AssignedAction { action_type: ActionType::CancelStepRun.into(), ..start_action(run, action_id, "", 0) }
}

/// Creates a token for an engine at this address, with additional claims.
pub fn token(address: &str, claims: &str) -> String {
    let claims = format!(
        r#"{{"sub":"707d0855-80ab-4e1f-a156-f1c4546cbf52","grpc_broadcast_address":"{address}","server_url":"http://127.0.0.1:9"{claims}}}"#
    );
    format!("eyJhbGciOiJFUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}
