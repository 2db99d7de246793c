//! The only place that knows tonic's channels: one connection to an engine, authenticated, with limits.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use tokio::{sync::watch, time::Instant};
use tonic::{
    Response, Status, Streaming,
    codegen::http::{HeaderValue, Uri},
    transport::{Channel, Endpoint},
};

use super::{
    auth_grace::AuthState,
    authenticated::Authenticated,
    config::{ClientConfig, Tls},
    dial::{Connector, Dialer, Protocol, SharedTls},
    error::{ClientError, ErrorKind},
    io_counters::IoCounters,
};
use crate::hatchet::wire::proto::{
    GetVersionRequest, dispatcher_client::DispatcherClient, events_service_client::EventsServiceClient,
    v1::admin_service_client::AdminServiceClient, workflow_service_client::WorkflowServiceClient,
};

/// Pings an idle connection this often, as the official SDKs do; an engine closes one that pings more often than
/// every 5 s.
const PING_EVERY: Duration = Duration::from_secs(10);
/// A connection whose ping is not answered for this long is dead, and is made anew by the next call.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest headers taken, in bytes. A refused bulk trigger tells of each collision there, some 110 bytes for each of
/// 1,000; the transport's own limit is 16 KiB, and what is larger breaks the call.
const MAX_HEADERS: u32 = 1 << 20;
/// How this client names itself.
pub(in crate::hatchet) const USER_AGENT: &str = concat!("hatchet-quickstart-rust/", env!("CARGO_PKG_VERSION"));
/// For the connection as a whole: name, proxy, TCP and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Calls fail by the thousand where an engine is away; its handshake file is looked at no more often than this then.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// One HTTP/2 connection to an engine, made by the first call and made again after it broke. Cheap to clone.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    present: Mutex<Present>,
    renewals: watch::Sender<()>,
    auth: Arc<AuthState>,
    looked: Mutex<Option<Instant>>,
}

/// The engine that is talked to, by its address and token. An engine that is found by its handshake file may come back
/// with others.
struct Present {
    endpoint: Endpoint,
    dialer: Dialer,
    /// Of both protocols.
    tls: SharedTls,
    channel: Channel,
    /// What moves on this one.
    counters: IoCounters,
    bearer: HeaderValue,
    config: Arc<ClientConfig>,
}

impl Present {
    fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let endpoint = endpoint(&config)?;
        let mut bearer = HeaderValue::from_str(&format!("bearer {}", config.token.expose())).map_err(|_| {
            let message = "the token has characters that no token has: set HATCHET_CLIENT_TOKEN again";
            ClientError::new(ErrorKind::Config, message)
        })?;
        bearer.set_sensitive(true);
        let tls = SharedTls::default();
        let secured = match &config.tls {
            Tls::None => None,
            on @ Tls::On { .. } => Some(tls.get(on)?),
        };
        let dialer = Dialer::new(config.route()?, secured, config.tls.server_name(), Protocol::Http2)?;
        let (channel, counters) = dial(&endpoint, &dialer);
        Ok(Self { channel, counters, endpoint, dialer, tls, bearer, config: Arc::new(config) })
    }
}

impl Connection {
    /// Prepares a connection; nothing is sent yet. Fails on settings that cannot be used, such as a certificate file
    /// that is not there. Must be called inside a tokio runtime, which then drives the connection.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        if config.tls == Tls::None && !config.is_loopback() {
            tracing::warn!(
                "the token and all data go to {} unencrypted: set HATCHET_CLIENT_TLS_STRATEGY=tls unless the network \
                 between is your own",
                config.host_port
            );
        }
        if let Some(proxies) = config.proxy() {
            tracing::info!("connects by a proxy: {proxies}");
        }
        if let Err(error) = config.check_rest_is_private() {
            tracing::warn!("REST is not used: {error}");
        }
        let present = Mutex::new(Present::new(config)?);
        let (renewals, auth, looked) = (watch::Sender::new(()), Arc::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { present, renewals, auth, looked })))
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.0.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings: those it was made with, or those that the engine's handshake file has had since.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.present().config.clone()
    }

    /// The settings, and the TLS configuration by them.
    pub(in crate::hatchet) fn secured(&self) -> (Arc<ClientConfig>, SharedTls) {
        let present = self.present();
        (present.config.clone(), present.tls.clone())
    }

    /// How many bytes have arrived on the present connection: where these are more than before, it lives.
    pub(in crate::hatchet) fn bytes_received(&self) -> u64 {
        self.present().counters.received()
    }

    /// Leaves the present connection to what still uses it, and makes a new one for the next call: the way out of a
    /// link that swallows everything without breaking.
    pub fn renew(&self) {
        if !self.moved() {
            let mut present = self.present();
            (present.channel, present.counters) = dial(&present.endpoint, &present.dialer);
        }
        self.0.renewals.send_replace(());
    }

    /// Why a call failed, after what a failure may mean for the connection as a whole: the engine may have moved, and
    /// its refusal of a token that it took before may pass. Every failed call goes through here.
    pub(in crate::hatchet) fn call_error(&self, call: &str, status: Status) -> ClientError {
        let error = ClientError::from_status(call, status);
        match error.kind() {
            ErrorKind::Unauthenticated if self.moved() => {
                self.0.renewals.send_replace(());
                ClientError::new(
                    ErrorKind::AuthGracePeriod,
                    format!("{call}: the engine has a new token: it is used from now on"),
                )
            }
            ErrorKind::Unauthenticated => self.0.auth.classify_refusal(error),
            ErrorKind::Unreachable => {
                self.follow_engine();
                error
            }
            _ => error,
        }
    }

    /// Follows an engine that was found by its handshake file and has moved since; looks at most every [`LOOK_AGAIN`].
    /// True where it has moved.
    pub(in crate::hatchet) fn follow_engine(&self) -> bool {
        let due = {
            let mut looked = self.0.looked.lock().unwrap_or_else(PoisonError::into_inner);
            let due = looked.is_none_or(|at| at.elapsed() >= LOOK_AGAIN);
            if due {
                *looked = Some(Instant::now());
            }
            due
        };
        let moved = due && self.moved();
        if moved {
            self.0.renewals.send_replace(());
        }
        moved
    }

    /// Looks at the handshake file again, if that is where the settings came from, and follows what has changed there.
    fn moved(&self) -> bool {
        let Some(config) = self.config().rediscover() else { return false };
        let (address, renewed) = (config.host_port.clone(), Present::new(config));
        match renewed {
            Ok(renewed) => {
                *self.present() = renewed;
                self.0.auth.reset();
                tracing::info!("the engine's handshake file has changed: follows it to {address}");
                true
            }
            Err(error) => {
                tracing::warn!("the engine's handshake file has changed and cannot be followed: {error}");
                false
            }
        }
    }

    /// Ends when the present connection is left, for calls that are better made again then than waited for.
    pub fn replaced(&self) -> impl Future<Output = ()> + use<> {
        let mut renewals = self.0.renewals.subscribe();
        async move {
            if renewals.changed().await.is_err() {
                // The connection is gone as a whole, and its calls with it.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The answer to a call, unless the connection is left before it comes. `call` says what is being done.
    pub(in crate::hatchet) async fn unless_left<T>(
        &self,
        call: &str,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, ClientError> {
        let left = self.replaced();
        tokio::select! {
            answer = answer => answer.map(Response::into_inner).map_err(|status| self.call_error(call, status)),
            () = left => Err(ClientError::new(ErrorKind::Unreachable, format!("{call}: the connection was given up"))),
        }
    }

    /// Makes sure that an engine answers here, by a call that does nothing, unless one has answered before. To be called
    /// before what must not be done twice: without an engine at the address nothing can have been done, and a failure
    /// would not tell.
    pub(in crate::hatchet) async fn ensure_reachable(&self, call: &str) -> Result<(), ClientError> {
        if self.0.auth.was_accepted() {
            return Ok(());
        }
        match self.dispatcher().get_version(GetVersionRequest {}).await {
            Ok(_) => Ok(()),
            Err(status) => match self.call_error(call, status) {
                // Ancient engines.
                error if error.kind() == ErrorKind::Unsupported => Ok(()),
                error => Err(error),
            },
        }
    }

    /// A small question that any answer will do for, a refusal too, and what moves on the connection that it goes over.
    pub(in crate::hatchet) fn question(&self) -> (IoCounters, impl Future<Output = ()> + use<>) {
        let (transport, _) = self.transport();
        let counters = transport.counters().clone();
        let mut stub = DispatcherClient::new(transport);
        (counters, async move { drop(stub.get_version(GetVersionRequest {}).await) })
    }

    fn transport(&self) -> (Authenticated, Arc<ClientConfig>) {
        let present = self.present();
        let (channel, counters, bearer) = (present.channel.clone(), present.counters.clone(), present.bearer.clone());
        let transport = Authenticated::new(channel, counters, bearer, self.0.auth.clone());
        (transport, present.config.clone())
    }

    /// The dispatcher: work, reports, subscriptions.
    pub fn dispatcher(&self) -> DispatcherClient<Authenticated> {
        let (transport, config) = self.transport();
        DispatcherClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }

    /// Registration, details, cancel.
    pub fn admin(&self) -> AdminServiceClient<Authenticated> {
        let (transport, config) = self.transport();
        AdminServiceClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }

    /// Triggers.
    pub fn workflows(&self) -> WorkflowServiceClient<Authenticated> {
        let (transport, config) = self.transport();
        WorkflowServiceClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }

    /// Logs and stream chunks.
    pub fn events(&self) -> EventsServiceClient<Authenticated> {
        let (transport, config) = self.transport();
        EventsServiceClient::new(transport)
            .max_decoding_message_size(config.max_recv_message)
            .max_encoding_message_size(config.max_send_message)
    }
}

/// A connection that is made by its first call, and what moves on it.
fn dial(endpoint: &Endpoint, dialer: &Dialer) -> (Channel, IoCounters) {
    let counters = IoCounters::default();
    (endpoint.connect_with_connector_lazy(Connector::new(dialer.clone(), counters.clone())), counters)
}

/// The channel's settings. TLS is the connector's business, so only the calls' own URIs say `https`.
fn endpoint(config: &ClientConfig) -> Result<Endpoint, ClientError> {
    let bad = |e: &dyn std::fmt::Display| {
        let message = format!("the address `{}` cannot be used: {e}: check HATCHET_CLIENT_HOST_PORT", config.host_port);
        ClientError::new(ErrorKind::Config, message)
    };
    let scheme = if config.tls == Tls::None { "http" } else { "https" };
    let origin: Uri = format!("{scheme}://{}", config.host_port).parse().map_err(|e| bad(&e))?;
    let endpoint = Endpoint::from_shared(format!("http://{}", config.host_port))
        .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
        .map_err(|e| bad(&e))?
        .origin(origin)
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .http2_max_header_list_size(MAX_HEADERS);
    Ok(endpoint)
}

/// The messages of a call that answers with a stream, the call's own failure among them.
///
/// An engine may send its response headers with the first message only, so the call is a part of the stream: whoever
/// waited for it alone would wait for a message. It is sent when the stream is first polled.
pub(in crate::hatchet) fn response_messages<T: Send + 'static>(
    call: impl Future<Output = Result<Response<Streaming<T>>, Status>> + Send + 'static,
) -> BoxStream<'static, Result<T, Status>> {
    stream::once(call).map_ok(Response::into_inner).try_flatten().boxed()
}
