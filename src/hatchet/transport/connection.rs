//! Connections to an engine: the only module that knows gRPC channels.
//!
//! A [`Connection`] holds one [`Link`] at a time. It replaces the link when the liveness monitor finds it dead, and when
//! an engine that was found by its handshake file restarted with another address or token. Calls of the old link fail with
//! [`ErrorKind::Unreachable`]; later calls use the new one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use tonic::{
    Response, Status, Streaming,
    codegen::http::{HeaderValue, Uri},
    transport::Endpoint,
};

use super::{
    auth_grace::AuthState,
    authenticated::Authenticated,
    config::{ClientConfig, Tls},
    dial::{Dialer, Protocol, SharedTls},
    error::{ClientError, ErrorKind},
    link::{Link, LinkClosed},
    liveness::{Monitor, set_keepalive},
};
use crate::hatchet::wire::proto::{
    GetVersionRequest, dispatcher_client::DispatcherClient, events_service_client::EventsServiceClient,
    v1::admin_service_client::AdminServiceClient, workflow_service_client::WorkflowServiceClient,
};

/// Largest header list that is received, in bytes. The refusal of a bulk trigger describes each collision there, some 110
/// bytes for each of 1,000. The transport's default is 16 KiB, and a larger list breaks the call.
const MAX_HEADERS: u32 = 1 << 20;
/// Name and version of this client in requests.
pub(in crate::hatchet) const USER_AGENT: &str = concat!("hatchet-quickstart-rust/", env!("CARGO_PKG_VERSION"));
/// Limit for connecting as a whole: name resolution, proxy, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shortest interval between two reads of the handshake file. Without an engine, calls fail by the thousand.
const REDISCOVERY_INTERVAL: Duration = Duration::from_millis(200);

/// One HTTP/2 connection to an engine, made by the first call and made again after it broke. Cheap to clone.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// Ends the liveness monitor with the last clone.
    _monitor: AbortOnDropHandle<()>,
}

/// What a connection shares with its liveness monitor.
struct Shared {
    engine: Mutex<Engine>,
    auth: Arc<AuthState>,
    last_rediscovery: Mutex<Option<Instant>>,
}

/// The engine that calls are sent to.
struct Engine {
    endpoint: Endpoint,
    dialer: Dialer,
    /// For gRPC and REST.
    tls: SharedTls,
    bearer: HeaderValue,
    config: Arc<ClientConfig>,
    link: Arc<Link>,
}

impl Engine {
    fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let endpoint = endpoint(&config)?;
        let mut bearer = HeaderValue::from_str(&format!("bearer {}", config.token.expose())).map_err(|_| {
            ClientError::config("the token contains characters that no token has: set HATCHET_CLIENT_TOKEN again")
        })?;
        bearer.set_sensitive(true);
        let tls = SharedTls::default();
        let tls_config = match &config.tls {
            Tls::None => None,
            on @ Tls::On { .. } => Some(tls.get(on)?),
        };
        let dialer = Dialer::new(config.route()?, tls_config, config.tls.server_name(), Protocol::Http2)?;
        let link = Arc::new(Link::new(&endpoint, &dialer, bearer.clone()));
        Ok(Self { endpoint, dialer, tls, bearer, config: Arc::new(config), link })
    }
}

impl Shared {
    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self) -> Arc<Link> {
        self.engine().link.clone()
    }

    /// Closes a link. If it is the current one, the next call makes another, of the engine that the handshake file names
    /// now.
    fn replace(&self, link: &Arc<Link>, reason: LinkClosed) {
        if !self.rediscover() {
            let mut engine = self.engine();
            if Arc::ptr_eq(&engine.link, link) {
                engine.link = Arc::new(Link::new(&engine.endpoint, &engine.dialer, engine.bearer.clone()));
            }
        }
        link.close(reason);
    }

    /// Reads the handshake file again, if the settings came from one, and uses its engine from now on if it is another.
    fn rediscover(&self) -> bool {
        let known = self.engine().config.clone();
        let Some(config) = known.rediscover() else { return false };
        let address = config.host_port.clone();
        match Engine::new(config) {
            Ok(engine) => {
                let mut current = self.engine();
                if !Arc::ptr_eq(&current.config, &known) {
                    // Another failed call was faster. Its link must not be closed.
                    return true;
                }
                let old = std::mem::replace(&mut *current, engine);
                drop(current);
                self.auth.reset();
                old.link.close(LinkClosed::Replaced);
                tracing::info!("the engine's handshake file has changed: connecting to {address}");
                true
            }
            Err(error) => {
                tracing::warn!("the engine's handshake file has changed and cannot be used: {error}");
                false
            }
        }
    }

    /// Replaces each link that the monitor finds dead.
    async fn monitor(self: Arc<Self>) {
        let mut monitor = Monitor::default();
        loop {
            let link = self.link();
            let silence = tokio::select! {
                silence = monitor.dead(link.activity(), || self.auth.was_accepted(), || link.probe()) => silence,
                _ = link.closed() => continue,
            };
            tracing::debug!("the connection to the engine is dead: nothing was received for {silence:.1?}");
            self.replace(&link, LinkClosed::Dead(silence));
        }
    }
}

impl Connection {
    /// Prepares a connection; nothing is sent yet. Fails on settings that cannot be used, such as a missing certificate
    /// file. Must be called inside a tokio runtime, which then drives the connection.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        if config.tls == Tls::None && !config.is_loopback() {
            tracing::warn!(
                "the token and all data go to {} unencrypted: set HATCHET_CLIENT_TLS_STRATEGY=tls unless the network \
                 between is your own",
                config.host_port
            );
        }
        if let Some(proxies) = config.proxy() {
            tracing::info!("connecting through a proxy: {proxies}");
        }
        if let Err(error) = config.check_rest_is_private() {
            tracing::warn!("REST is not used: {error}");
        }
        let shared = Arc::new(Shared {
            engine: Mutex::new(Engine::new(config)?),
            auth: Arc::default(),
            last_rediscovery: Mutex::default(),
        });
        let _monitor = AbortOnDropHandle::new(tokio::spawn(shared.clone().monitor()));
        Ok(Self(Arc::new(Inner { shared, _monitor })))
    }

    /// The current settings: those it was made with, or the later ones of the engine's handshake file.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.0.shared.engine().config.clone()
    }

    /// The current settings, and their TLS configuration.
    pub(in crate::hatchet) fn config_and_tls(&self) -> (Arc<ClientConfig>, SharedTls) {
        let engine = self.0.shared.engine();
        (engine.config.clone(), engine.tls.clone())
    }

    /// Bytes received on the current link.
    pub(in crate::hatchet) fn bytes_received(&self) -> u64 {
        self.0.shared.link().activity().received()
    }

    /// Closes the current link, so that its calls fail and the next call makes another one.
    pub fn replace(&self) {
        let link = self.0.shared.link();
        self.0.shared.replace(&link, LinkClosed::Replaced);
    }

    /// Makes the error of a failed call. `call` says what was being done. Every failed call goes through here, since a
    /// failure may concern the connection as a whole: the engine may have moved, and its refusal of a token that it
    /// accepted before may be temporary.
    pub(in crate::hatchet) fn call_error(&self, call: &str, status: Status) -> ClientError {
        let error = ClientError::from_status(call, status);
        match error.kind() {
            ErrorKind::Unauthenticated if self.0.shared.rediscover() => ClientError::new(
                ErrorKind::AuthGracePeriod,
                format!("{call}: the engine has a new token, which is used from now on"),
            ),
            ErrorKind::Unauthenticated => self.0.shared.auth.classify_refusal(error),
            ErrorKind::Unreachable => {
                self.follow_engine();
                error
            }
            _ => error,
        }
    }

    /// Uses the engine that the handshake file names now, if the settings came from one. Reads the file at most every
    /// [`REDISCOVERY_INTERVAL`].
    pub(in crate::hatchet) fn follow_engine(&self) {
        let is_due = {
            let mut last = self.0.shared.last_rediscovery.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = last.is_none_or(|at| at.elapsed() >= REDISCOVERY_INTERVAL);
            if is_due {
                *last = Some(Instant::now());
            }
            is_due
        };
        if is_due {
            self.0.shared.rediscover();
        }
    }

    /// Makes sure that an engine answers, by a call without effect, unless one has answered before. To be called before a
    /// call that must not be executed twice: its failure would not tell whether it was executed.
    pub(in crate::hatchet) async fn ensure_reachable(&self, call: &str) -> Result<(), ClientError> {
        if self.0.shared.auth.was_accepted() {
            return Ok(());
        }
        match self.dispatcher().get_version(GetVersionRequest {}).await {
            Ok(_) => Ok(()),
            Err(status) => match self.call_error(call, status) {
                // Old engines do not have the call.
                error if error.kind() == ErrorKind::Unsupported => Ok(()),
                error => Err(error),
            },
        }
    }

    fn transport(&self) -> (Authenticated, Arc<ClientConfig>) {
        let shared = &self.0.shared;
        let engine = shared.engine();
        (Authenticated::new(engine.link.clone(), shared.auth.clone()), engine.config.clone())
    }

    /// The dispatcher service: assignments, reports, subscriptions.
    /// The client uses the current link only and fails after the link was replaced: get a new one for each call.
    pub fn dispatcher(&self) -> DispatcherClient<Authenticated> {
        let (transport, config) = self.transport();
        DispatcherClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }

    /// The admin service: registration of workflows, details of runs, cancellation.
    /// The client uses the current link only and fails after the link was replaced: get a new one for each call.
    pub fn admin(&self) -> AdminServiceClient<Authenticated> {
        let (transport, config) = self.transport();
        AdminServiceClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }

    /// The workflow service: triggers.
    /// The client uses the current link only and fails after the link was replaced: get a new one for each call.
    pub fn workflows(&self) -> WorkflowServiceClient<Authenticated> {
        let (transport, config) = self.transport();
        WorkflowServiceClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }

    /// The events service: log lines and stream chunks.
    /// The client uses the current link only and fails after the link was replaced: get a new one for each call.
    pub fn events(&self) -> EventsServiceClient<Authenticated> {
        let (transport, config) = self.transport();
        EventsServiceClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }
}

/// The settings of the gRPC channel. TLS is the connector's task, so that only the URIs of calls have the scheme `https`.
fn endpoint(config: &ClientConfig) -> Result<Endpoint, ClientError> {
    let invalid = |e: &dyn std::fmt::Display| {
        let address = &config.host_port;
        ClientError::config(format!("the address `{address}` cannot be used: {e}: check HATCHET_CLIENT_HOST_PORT"))
    };
    let scheme = if config.tls == Tls::None { "http" } else { "https" };
    let origin: Uri = format!("{scheme}://{}", config.host_port).parse().map_err(|e| invalid(&e))?;
    let endpoint = Endpoint::from_shared(format!("http://{}", config.host_port))
        .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
        .map_err(|e| invalid(&e))?
        .origin(origin)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_max_header_list_size(MAX_HEADERS);
    Ok(set_keepalive(endpoint))
}

/// The messages of a call that responds with a stream. A failure of the call is the stream's first item.
///
/// The call is sent when the stream is first polled. An engine may send its response headers with the first message only,
/// so awaiting the call itself would mean to wait for a message.
pub(in crate::hatchet) fn response_messages<T: Send + 'static>(
    call: impl Future<Output = Result<Response<Streaming<T>>, Status>> + Send + 'static,
) -> BoxStream<'static, Result<T, Status>> {
    stream::once(call).map_ok(Response::into_inner).try_flatten().boxed()
}
