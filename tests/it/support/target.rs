//! The engine under test.

use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, Sources},
    system::Handshake,
    wire::{
        Claims,
        proto::{
            dispatcher_client::DispatcherClient, events_service_client::EventsServiceClient,
            v1::admin_service_client::AdminServiceClient, workflow_service_client::WorkflowServiceClient,
        },
    },
};
use tokio::sync::{Mutex, MutexGuard};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, ClientTlsConfig, Endpoint},
};
use uuid::Uuid;

use super::{Rest, embedded::Embedded};

/// Adds the `authorization` header to each call, if it has a value.
#[derive(Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// The transport of every stub.
pub type AuthenticatedChannel = InterceptedService<Channel, Bearer>;

pub type Dispatcher = DispatcherClient<AuthenticatedChannel>;

pub struct Target {
    pub tenant: String,
    pub token: String,
    pub rest: Rest,
    endpoint: Endpoint,
    channel: Channel,
    namespace: String,
    embedded: Option<Embedded>,
    failure_lock: Option<MutexGuard<'static, ()>>,
}

impl Target {
    /// The embedded engine, started for this test, in a folder with `HATCHET_TEST_TARGET=durable`. With
    /// `HATCHET_TEST_TARGET=real` the engine that the environment names.
    pub async fn start() -> Self {
        match std::env::var("HATCHET_TEST_TARGET").as_deref() {
            Ok("real") => Self::connect(&real(), None),
            Ok("embedded" | "durable") | Err(_) => Self::embedded(Embedded::start().await),
            Ok(other) => panic!("HATCHET_TEST_TARGET is `{other}`: expected `embedded`, `durable` or `real`"),
        }
    }

    /// The target of a test whose tasks fail. On a real engine only one such test runs at a time: failures in one batch
    /// share their `retries` there (v0.101), so concurrent tests would see additional attempts.
    pub async fn for_failures() -> Self {
        static LOCK: Mutex<()> = Mutex::const_new(());
        let mut target = Self::start().await;
        if !target.is_embedded() {
            target.failure_lock = Some(LOCK.lock().await);
        }
        target
    }

    pub fn embedded(engine: Embedded) -> Self {
        let handshake = engine.handshake();
        Self::connect(&handshake, Some(engine))
    }

    /// Connects to a running engine without TLS.
    #[cfg(feature = "durable")]
    pub fn at(handshake: &Handshake) -> Self {
        Self::connect_by("http", handshake, None)
    }

    /// `HOST:PORT` of the gRPC services.
    #[cfg(feature = "durable")]
    pub fn address(&self) -> String {
        self.endpoint.uri().authority().map(ToString::to_string).unwrap_or_default()
    }

    fn connect(handshake: &Handshake, embedded: Option<Embedded>) -> Self {
        let tls = embedded.is_none() && std::env::var("HATCHET_CLIENT_TLS_STRATEGY").as_deref() != Ok("none");
        Self::connect_by(if tls { "https" } else { "http" }, handshake, embedded)
    }

    fn connect_by(scheme: &str, handshake: &Handshake, embedded: Option<Embedded>) -> Self {
        let tls = scheme == "https";
        let mut endpoint = Endpoint::from_shared(format!("{scheme}://{}", handshake.grpc_address)).unwrap();
        if tls {
            endpoint = endpoint.tls_config(ClientTlsConfig::new().with_enabled_roots()).unwrap();
        }
        Self {
            tenant: handshake.tenant_id.clone(),
            token: handshake.token.clone(),
            rest: Rest::new(&handshake.api_url, &handshake.token),
            channel: endpoint.connect_lazy(),
            endpoint,
            namespace: format!("conf-{}", &Uuid::new_v4().simple().to_string()[..12]),
            embedded,
            failure_lock: None,
        }
    }

    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// The socket address of the gRPC services.
    pub fn embedded_address(&self) -> std::net::SocketAddr {
        self.endpoint.uri().authority().unwrap().as_str().parse().unwrap()
    }

    /// Adds a prefix that is unique to this test.
    pub fn name(&self, base: &str) -> String {
        format!("{}-{base}", self.namespace)
    }

    pub fn endpoint(&self) -> Endpoint {
        self.endpoint.clone()
    }

    /// Creates a transport with this `authorization` header, or without one.
    pub fn channel_as(&self, authorization: Option<&str>) -> AuthenticatedChannel {
        let bearer = Bearer(authorization.map(|value| value.parse().unwrap()));
        InterceptedService::new(self.channel.clone(), bearer)
    }

    /// Creates an authenticated transport over the given connection.
    pub fn channel_over(&self, channel: Channel) -> AuthenticatedChannel {
        InterceptedService::new(channel, Bearer(Some(self.authorization().parse().unwrap())))
    }

    pub fn authorization(&self) -> String {
        format!("bearer {}", self.token)
    }

    /// Creates an authenticated transport over the connection of this target.
    pub fn channel(&self) -> AuthenticatedChannel {
        self.channel_over(self.channel.clone())
    }

    /// Creates this project's client for the engine.
    pub fn client(&self) -> Client {
        self.client_in("")
    }

    /// Creates this project's client for the engine, with a namespace.
    pub fn client_in(&self, namespace: &str) -> Client {
        let tls = self.endpoint.uri().scheme_str() == Some("https");
        let sources = Sources::from_pairs([
            ("HATCHET_CLIENT_TOKEN", self.token.as_str()),
            ("HATCHET_CLIENT_HOST_PORT", self.endpoint.uri().authority().unwrap().as_str()),
            ("HATCHET_CLIENT_SERVER_URL", self.rest.base()),
            ("HATCHET_CLIENT_TLS_STRATEGY", if tls { "tls" } else { "none" }),
            ("HATCHET_CLIENT_NAMESPACE", namespace),
        ]);
        Client::new(ClientConfig::from_sources(&sources).unwrap()).unwrap()
    }

    pub fn dispatcher(&self) -> Dispatcher {
        DispatcherClient::new(self.channel())
    }

    pub fn workflows(&self) -> WorkflowServiceClient<AuthenticatedChannel> {
        WorkflowServiceClient::new(self.channel())
    }

    pub fn admin(&self) -> AdminServiceClient<AuthenticatedChannel> {
        AdminServiceClient::new(self.channel())
    }

    pub fn events(&self) -> EventsServiceClient<AuthenticatedChannel> {
        EventsServiceClient::new(self.channel())
    }
}

/// Reads the addresses and the token of a real engine from the environment.
fn real() -> Handshake {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let token = var("HATCHET_CLIENT_TOKEN").expect("HATCHET_TEST_TARGET=real needs HATCHET_CLIENT_TOKEN");
    let claims = Claims::read_unverified(&token).expect("HATCHET_CLIENT_TOKEN");
    Handshake {
        grpc_address: var("HATCHET_CLIENT_HOST_PORT")
            .or(claims.grpc_broadcast_address)
            .expect("set HATCHET_CLIENT_HOST_PORT: the token names no address"),
        api_url: var("HATCHET_CLIENT_SERVER_URL")
            .or(claims.server_url)
            .expect("set HATCHET_CLIENT_SERVER_URL: the token names no address"),
        tenant_id: claims.sub,
        token,
    }
}
