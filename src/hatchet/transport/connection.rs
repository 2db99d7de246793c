//! Connections to an engine.
//!
//! A [`Connection`] has one [`Link`] at a time. It replaces the link when the liveness monitor reports it dead, and
//! when an embedded engine has restarted with another address, or refuses the token and has a new token. Calls of the
//! old link fail with [`ErrorKind::Unreachable`]. Later calls use the new link.

use std::{
    fmt,
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
use crate::hatchet::wire::{
    proto::{
        GetVersionRequest, dispatcher_client::DispatcherClient, events_service_client::EventsServiceClient,
        v1::admin_service_client::AdminServiceClient, workflow_service_client::WorkflowServiceClient,
    },
    readable_duration,
};

/// Maximum size of a received header list in bytes. The refusal of a bulk trigger describes each of up to 1,000
/// collisions there in about 110 bytes. The transport's default is 16 KiB, and a larger list breaks the call.
const MAX_HEADER_LIST: u32 = 1 << 20;
/// Name and version of this client in requests.
pub(in crate::hatchet) const USER_AGENT: &str = concat!("hatchet-quickstart-rust/", env!("CARGO_PKG_VERSION"));
/// Timeout of connecting as a whole: name resolution, proxy, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Minimum interval between two reads of the handshake file. Without an engine, thousands of calls may fail in a
/// second.
const MIN_REDISCOVERY_INTERVAL: Duration = Duration::from_millis(200);

/// One HTTP/2 connection to an engine, opened by the first call and reopened after it broke. Cheap to clone.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// Stops the liveness monitor when the last clone is dropped.
    _monitor: AbortOnDropHandle<()>,
}

/// The state that a connection shares with its liveness monitor.
struct Shared {
    engine: Mutex<Engine>,
    auth: Arc<AuthState>,
    last_rediscovery: Mutex<Option<Instant>>,
    last_failure: Mutex<Option<(Instant, ClientError)>>,
}

/// The engine that calls are sent to.
struct Engine {
    endpoint: Endpoint,
    dialer: Dialer,
    /// The TLS settings of gRPC and REST.
    tls: SharedTls,
    bearer: HeaderValue,
    config: Arc<ClientConfig>,
    link: Arc<Link>,
}

impl Engine {
    fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let endpoint = endpoint(&config)?;
        let mut bearer = HeaderValue::from_str(&format!("bearer {}", config.token.expose())).map_err(|_| {
            ClientError::config("invalid HATCHET_CLIENT_TOKEN: a token has only visible ASCII characters")
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

    /// Closes a link. If it is the current link, replaces it with a new link to the engine that the handshake file
    /// currently names.
    fn replace(&self, link: &Arc<Link>, reason: LinkClosed) {
        if !self.rediscover(false) {
            let mut engine = self.engine();
            if Arc::ptr_eq(&engine.link, link) {
                engine.link = Arc::new(Link::new(&engine.endpoint, &engine.dialer, engine.bearer.clone()));
            }
        }
        link.close(reason);
    }

    /// Reads the handshake file again, if the settings come from one. Returns whether it names another engine, or a new
    /// token in place of a refused one. Later calls use these.
    fn rediscover(&self, token_is_refused: bool) -> bool {
        let previous = self.engine().config.clone();
        let Some(config) = previous.rediscover(token_is_refused) else { return false };
        let address = config.host_port.clone();
        match Engine::new(config) {
            Ok(engine) => {
                let mut current = self.engine();
                if !Arc::ptr_eq(&current.config, &previous) {
                    // Another failed call has replaced the engine. Its link must not be closed.
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
                tracing::warn!("using the changed handshake file of the engine failed: {error}");
                false
            }
        }
    }

    /// Replaces each link that the monitor reports dead.
    async fn monitor(self: Arc<Self>) {
        let mut monitor = Monitor::default();
        loop {
            let link = self.link();
            let silence = tokio::select! {
                silence = monitor.wait_until_dead(link.activity(), || self.auth.was_accepted(), || link.probe()) => silence,
                _ = link.closed() => continue,
            };
            tracing::debug!(
                "the connection to the engine is dead: nothing was received for {}",
                readable_duration(silence)
            );
            self.replace(&link, LinkClosed::Dead(silence));
        }
    }
}

impl Connection {
    /// Creates a connection. Nothing is sent until the first call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] for an invalid setting, such as a missing certificate file.
    ///
    /// # Panics
    ///
    /// Panics if called outside a tokio runtime, which drives the connection.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        if config.tls == Tls::None && !config.is_loopback() {
            tracing::warn!(
                "the token and all data go to {} unencrypted. Set HATCHET_CLIENT_TLS_STRATEGY=tls unless the network is \
                 trusted",
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
            last_failure: Mutex::default(),
        });
        let _monitor = AbortOnDropHandle::new(tokio::spawn(shared.clone().monitor()));
        Ok(Self(Arc::new(Inner { shared, _monitor })))
    }

    /// Returns the current settings: the settings of [`Connection::new`], or later settings from the engine's handshake
    /// file.
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

    /// Closes the current link, so that its calls fail and the next call opens a new link.
    pub fn replace(&self) {
        let link = self.0.shared.link();
        self.0.shared.replace(&link, LinkClosed::Replaced);
    }

    /// Converts the status of a failed call to an error. `call` names the operation, such as `triggering task-a`.
    ///
    /// Every failed call must use this, since a failure may concern the whole connection: the engine may have moved,
    /// and its refusal of a token that it accepted before may be temporary.
    pub(in crate::hatchet) fn call_error(&self, call: &str, status: Status) -> ClientError {
        let error = ClientError::from_status(call, status);
        let error = match error.kind() {
            ErrorKind::Unauthenticated if self.0.shared.rediscover(true) => ClientError::new(
                ErrorKind::AuthGracePeriod,
                format!("{call} failed: the engine has a new token, which the next call sends"),
            ),
            ErrorKind::Unauthenticated => self.0.shared.auth.classify_refusal(call, error),
            ErrorKind::Unreachable => {
                self.follow_engine(&error);
                error
            }
            _ => error,
        };
        self.record_failure(&error);
        error
    }

    /// Records the error of a failed call if the call may succeed later, for [`Self::failure_since`].
    pub(in crate::hatchet) fn record_failure(&self, error: &ClientError) {
        if error.is_temporary() {
            let failure = Some((Instant::now(), error.clone()));
            *self.0.shared.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        }
    }

    /// The latest temporary failure of a call, if it was after `start`. Names the cause when a caller stops waiting for
    /// a call that is being retried.
    pub(crate) fn failure_since(&self, start: Instant) -> Option<ClientError> {
        let failure = self.0.shared.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failure.filter(|(time, _)| *time >= start).map(|(_, error)| error)
    }

    /// Switches to the engine that the handshake file currently names after a call failed with this error, if the
    /// settings come from one. Reads the file at most once per [`MIN_REDISCOVERY_INTERVAL`].
    pub(in crate::hatchet) fn follow_engine(&self, error: &ClientError) {
        let is_due = {
            let mut last = self.0.shared.last_rediscovery.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = last.is_none_or(|time| time.elapsed() >= MIN_REDISCOVERY_INTERVAL);
            if is_due {
                *last = Some(Instant::now());
            }
            is_due
        };
        if is_due {
            self.0.shared.rediscover(error.kind() == ErrorKind::Unauthenticated);
        }
    }

    /// Checks by a call without effect that an engine responds, unless one has responded before. To be called before a
    /// call that must not be executed twice, since its failure would not show whether it was executed.
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
    ///
    /// The returned client fails after the current link was replaced: get a new client for each call.
    pub fn dispatcher(&self) -> DispatcherClient<Authenticated> {
        let (transport, config) = self.transport();
        DispatcherClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }

    /// The admin service: registration of workflows, details of runs, cancellation.
    ///
    /// The returned client fails after the current link was replaced: get a new client for each call.
    pub fn admin(&self) -> AdminServiceClient<Authenticated> {
        let (transport, config) = self.transport();
        AdminServiceClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }

    /// The workflow service: triggers.
    ///
    /// The returned client fails after the current link was replaced: get a new client for each call.
    pub fn workflows(&self) -> WorkflowServiceClient<Authenticated> {
        let (transport, config) = self.transport();
        WorkflowServiceClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }

    /// The events service: log lines and stream chunks.
    ///
    /// The returned client fails after the current link was replaced: get a new client for each call.
    pub fn events(&self) -> EventsServiceClient<Authenticated> {
        let (transport, config) = self.transport();
        EventsServiceClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("host_port", &self.config().host_port).finish_non_exhaustive()
    }
}

/// The settings of the gRPC channel. Only the URIs of calls have the scheme `https`, since the connector does TLS.
fn endpoint(config: &ClientConfig) -> Result<Endpoint, ClientError> {
    let invalid = |e: &dyn std::fmt::Display| {
        let address = &config.host_port;
        ClientError::config(format!("invalid HATCHET_CLIENT_HOST_PORT \"{address}\": {e}"))
    };
    let scheme = if config.tls == Tls::None { "http" } else { "https" };
    let origin: Uri = format!("{scheme}://{}", config.host_port).parse().map_err(|e| invalid(&e))?;
    let endpoint = Endpoint::from_shared(format!("http://{}", config.host_port))
        .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
        .map_err(|e| invalid(&e))?
        .origin(origin)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_max_header_list_size(MAX_HEADER_LIST);
    Ok(set_keepalive(endpoint))
}

/// Makes a call that responds with a stream, and returns its messages. A failure of the call is the stream's first
/// item.
///
/// The call is sent when the stream is first polled. An engine may delay its response headers until the first message,
/// so awaiting the call would mean waiting for a message.
pub(in crate::hatchet) fn response_messages<T: Send + 'static>(
    call: impl Future<Output = Result<Response<Streaming<T>>, Status>> + Send + 'static,
) -> BoxStream<'static, Result<T, Status>> {
    stream::once(call).map_ok(Response::into_inner).try_flatten().boxed()
}
