//! A scripted engine: it serves the wire, remembers what it was told, and answers as a test says.
//!
//! It has no behaviour of its own, so a test can make it do what a real engine does once in a thousand times.

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

pub use state::{Finished, Report, Script, ended};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running scripted engine. It ends, connections included, when it is dropped.
pub struct Fake {
    pub address: SocketAddr,
    door: Door,
    _serving: AbortOnDropHandle<()>,
}

/// What every service shares.
#[derive(Clone)]
struct Door(Arc<Shared>);

struct Shared {
    script: Mutex<Script>,
    changed: Notify,
}

impl Door {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_token(&self, call: Request<()>) -> Result<Request<()>, Status> {
        let sent = call.metadata().get("authorization").and_then(|value| value.to_str().ok());
        match &self.script().only_token {
            Some(only) if sent != Some(format!("bearer {only}").as_str()) => {
                Err(Status::unauthenticated("invalid auth token"))
            }
            _ => Ok(call),
        }
    }

    /// Notes something and wakes who waits for it.
    fn note<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        let value = change(&mut self.script());
        self.0.changed.notify_waiters();
        value
    }
}

impl Fake {
    pub async fn start() -> Self {
        Self::serve(Server::builder()).await
    }

    /// With TLS, by a certificate and its key in PEM.
    pub async fn start_tls(certificate: &str, key: &str) -> Self {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        Self::serve(Server::builder().tls_config(tls).unwrap()).await
    }

    /// With TLS that wants a certificate of the client, by an authority in PEM.
    pub async fn start_mtls(certificate: &str, key: &str, authority: &str) -> Self {
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(certificate, key))
            .client_ca_root(Certificate::from_pem(authority));
        Self::serve(Server::builder().tls_config(tls).unwrap()).await
    }

    async fn serve(mut server: Server) -> Self {
        // Whichever test comes first installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door(Arc::new(Shared { script: Mutex::default(), changed: Notify::new() }));
        let guard = |door: &Door| {
            let door = door.clone();
            move |call| door.check_token(call)
        };
        let serving = server
            .add_service(DispatcherServer::with_interceptor(door.clone(), guard(&door)))
            .add_service(AdminServiceServer::with_interceptor(door.clone(), guard(&door)))
            .add_service(WorkflowServiceServer::with_interceptor(door.clone(), guard(&door)))
            .add_service(EventsServiceServer::with_interceptor(door.clone(), guard(&door)))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, door, _serving: AbortOnDropHandle::new(serving) }
    }

    /// A token that names this engine. It looks like one and nobody checks it.
    pub fn token(&self) -> String {
        token(&self.address.to_string(), "")
    }

    /// A client's settings for it. It has no REST part.
    pub fn config(&self) -> ClientConfig {
        self.config_with(&[])
    }

    pub fn config_with(&self, settings: &[(&str, &str)]) -> ClientConfig {
        ClientConfig::from_handshake(&self.handshake(), &Sources::from_pairs(settings.iter().copied())).unwrap()
    }

    /// What its handshake file would say.
    pub fn handshake(&self) -> Handshake {
        Handshake {
            token: self.token(),
            tenant_id: TenantId::random().to_string(),
            grpc_address: self.address.to_string(),
            // Nothing listens on the discard port of a test machine; what asks there is refused at once.
            api_url: "http://127.0.0.1:9".to_owned(),
        }
    }

    /// Changes what it will answer.
    pub fn script<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        self.door.note(change)
    }

    /// Waits until what it was told satisfies `look`.
    pub async fn until<T>(&self, what: &str, look: impl Fn(&Script) -> Option<T>) -> T {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let changed = self.door.0.changed.notified();
                tokio::pin!(changed);
                // Armed before the look, so that no change between the two is missed.
                changed.as_mut().enable();
                if let Some(value) = look(&self.door.script()) {
                    return value;
                }
                changed.await;
            }
        });
        match waited.await {
            Ok(value) => value,
            Err(_) => panic!("not within {PATIENCE:?}: {what}; {:?}", self.door.script()),
        }
    }

    /// Waits for a stream of assignments and for a heartbeat on it.
    pub async fn until_listening(&self) {
        self.until("a worker listens", |script| {
            (!script.streams.is_empty() && !script.heartbeats.is_empty()).then_some(())
        })
        .await;
    }

    /// Assigns an attempt on the newest stream.
    pub async fn assign(&self, task: &str, input: &str) -> RunId {
        let run = RunId::random();
        self.send(start(run, &format!("{task}:{task}"), &format!(r#"{{"input":{input}}}"#), 0)).await;
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

    /// Waits for the end of an attempt.
    pub async fn finished(&self, run: RunId) -> Finished {
        self.until("the attempt is reported", |script| script.finished(run).into_iter().next()).await
    }
}

/// An action that starts an attempt.
pub fn start(run: RunId, action_id: &str, payload: &str, retry_count: i32) -> AssignedAction {
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

/// An action that cancels an attempt.
pub fn cancel(run: RunId, action_id: &str) -> AssignedAction {
    AssignedAction { action_type: ActionType::CancelStepRun.into(), ..start(run, action_id, "", 0) }
}

/// A token for an engine at this address, with more claims.
pub fn token(address: &str, claims: &str) -> String {
    let claims = format!(
        r#"{{"sub":"707d0855-80ab-4e1f-a156-f1c4546cbf52","grpc_broadcast_address":"{address}","server_url":"http://127.0.0.1:9"{claims}}}"#
    );
    format!("eyJhbGciOiJFUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}
