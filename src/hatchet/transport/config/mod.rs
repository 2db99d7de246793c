//! A client's settings, read once, with the names and defaults of the official SDKs.

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

mod discover;
mod dotenv;
mod server_url;
mod sources;

pub use self::discover::engine_folder;
pub(in crate::hatchet) use self::server_url::ServerUrl;
pub use self::sources::{ENV_FILES, Source, Sources, parse_integer};
use super::{
    dial::{Proxies, Route, is_loopback},
    error::{ClientError, ErrorKind},
};
use crate::hatchet::{
    system::Handshake,
    wire::{Claims, DEFAULT_MAX_MESSAGE, TenantId},
};

/// Everything that is needed to reach an engine. Made by [`ClientConfig::from_sources`] or
/// [`ClientConfig::from_handshake`].
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The secret.
    pub token: Token,
    /// The token's tenant.
    pub tenant: TenantId,
    /// `host:port` of the gRPC services.
    pub host_port: String,
    /// Base URL of the REST part, where known, without a slash at its end.
    pub server_url: Option<String>,
    /// Prefix of workflow and worker names, with its `_`; empty for none.
    pub namespace: String,
    /// How the connection is secured.
    pub tls: Tls,
    /// The proxies of the environment.
    pub proxies: Proxies,
    /// Largest message taken, in bytes. Default 4 MiB.
    pub max_recv_message: usize,
    /// Largest message sent, in bytes. Default 4 MiB.
    pub max_send_message: usize,
    /// Where the token came from, for messages.
    pub token_source: Source,
    /// How to find the engine again when it has gone or refuses the token; only where it was found by a handshake file.
    pub rediscovery: Option<Rediscovery>,
}

/// Reads a handshake file again: the engine that wrote it may have come back at another address, with another token.
#[derive(Clone)]
pub struct Rediscovery(Arc<dyn Fn() -> Option<Handshake> + Send + Sync>);

impl Rediscovery {
    /// `read` gives what the file says now, or none where no engine runs. It is called from async code, so it must not
    /// take longer than a look at a small file.
    pub fn new(read: impl Fn() -> Option<Handshake> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl fmt::Debug for Rediscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rediscovery")
    }
}

/// A client token that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The secret, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// How the connection is secured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plaintext.
    None,
    /// The server shows a certificate, and with an identity so does the client (mTLS).
    On {
        /// A PEM file with the authorities to trust instead of the system's.
        root_ca: Option<PathBuf>,
        /// Name that the certificate must have; the host of `host_port` by default.
        server_name: Option<String>,
        /// PEM files of the client's certificate and key.
        identity: Option<(PathBuf, PathBuf)>,
    },
}

impl Tls {
    /// The strategy's name in the settings.
    pub fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::On { identity: None, .. } => "tls",
            Self::On { identity: Some(_), .. } => "mtls",
        }
    }

    /// The name that a server's certificate must have, where that is not the host's.
    pub(in crate::hatchet) fn server_name(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::On { server_name, .. } => server_name.as_deref(),
        }
    }
}

fn bad(message: impl Into<String>) -> ClientError {
    ClientError::new(ErrorKind::Config, message)
}

impl ClientConfig {
    /// Reads the settings; the addresses in the token count where no variable names others.
    pub fn from_sources(sources: &Sources) -> Result<Self, ClientError> {
        let Some((token, token_source)) = sources.get("HATCHET_CLIENT_TOKEN") else {
            return Err(bad(
                "no token: set HATCHET_CLIENT_TOKEN (in the environment or a .env file) to connect to a Hatchet engine, \
                 or pass --embedded to use the engine that comes with this program",
            ));
        };
        let claims = token_claims(token, token_source)?;
        // As in the Go SDK, the nil UUID stands for none.
        let named = sources.value("HATCHET_CLIENT_TENANT_ID").filter(|id| *id != uuid::Uuid::nil().to_string());
        let tenant = named.unwrap_or(&claims.sub);
        let tenant = tenant.parse().map_err(|e| {
            bad(format!(
                "the token's tenant cannot be used: {e}: check HATCHET_CLIENT_TOKEN and HATCHET_CLIENT_TENANT_ID"
            ))
        })?;
        let host_port = match sources.value("HATCHET_CLIENT_HOST_PORT").or(claims.grpc_broadcast_address.as_deref()) {
            Some(text) => host_port(text)?,
            None => {
                return Err(bad("the token names no address: set HATCHET_CLIENT_HOST_PORT to the engine's host:port"));
            }
        };
        let server_url = sources
            .value("HATCHET_CLIENT_SERVER_URL")
            .or_else(|| sources.value("HATCHET_CLIENT_API_URL"))
            .or(claims.server_url.as_deref())
            .map(ServerUrl::normalized)
            .transpose()?;
        let config = Self {
            token: Token(token.to_owned()),
            tenant,
            host_port,
            server_url,
            namespace: namespace(sources.value("HATCHET_CLIENT_NAMESPACE").unwrap_or_default())?,
            tls: tls(sources)?,
            proxies: Proxies::from_sources(sources),
            max_recv_message: size(sources, "HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH")?,
            max_send_message: size(sources, "HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH")?,
            token_source: token_source.clone(),
            rediscovery: None,
        };
        // A proxy that cannot be used is a wrong setting like any other.
        config.route()?;
        config.rest_route()?;
        Ok(config)
    }

    /// The settings of an engine on this machine, as its handshake file gives them: plaintext, its own addresses.
    /// Namespace and message sizes come from the sources all the same.
    pub fn from_handshake(handshake: &Handshake, sources: &Sources) -> Result<Self, ClientError> {
        let claims = token_claims(&handshake.token, &Source::Handshake)?;
        Ok(Self {
            token: Token(handshake.token.clone()),
            tenant: claims.sub.parse().map_err(|e| bad(format!("the handshake file's tenant cannot be used: {e}")))?,
            host_port: host_port(&handshake.grpc_address)?,
            server_url: Some(handshake.api_url.as_str())
                .filter(|url| !url.is_empty())
                .or(claims.server_url.as_deref().filter(|url| !url.is_empty()))
                .map(ServerUrl::normalized)
                .transpose()?,
            namespace: namespace(sources.value("HATCHET_CLIENT_NAMESPACE").unwrap_or_default())?,
            tls: Tls::None,
            proxies: Proxies::from_sources(sources),
            max_recv_message: size(sources, "HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH")?,
            max_send_message: size(sources, "HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH")?,
            token_source: Source::Handshake,
            rediscovery: None,
        })
    }

    /// The settings with what the handshake file says now, where that is something else.
    pub(in crate::hatchet) fn found_again(&self) -> Option<Self> {
        let found = (self.rediscovery.as_ref()?.0)()?;
        if found.token == self.token.0 && host_port(&found.grpc_address).ok()? == self.host_port {
            return None;
        }
        let now = Self::from_handshake(&found, &Sources::default()).ok()?;
        Some(Self {
            token: now.token,
            tenant: now.tenant,
            host_port: now.host_port,
            server_url: now.server_url,
            ..self.clone()
        })
    }

    /// A workflow's or worker's name with the namespace in front, unless it is there already.
    pub fn namespaced(&self, name: &str) -> String {
        if self.namespace.is_empty() || name.starts_with(&self.namespace) {
            name.to_owned()
        } else {
            format!("{}{name}", self.namespace)
        }
    }

    /// Whether the engine is on this machine, by its address alone: no name is looked up.
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.host())
    }

    /// The way to the gRPC services.
    pub(in crate::hatchet) fn route(&self) -> Result<Route, ClientError> {
        let port = self.host_port.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default();
        Ok(Route::new(self.host(), port, self.proxies.find(self.host(), port, self.tls != Tls::None)?))
    }

    /// The way to the REST part, where its address is known.
    pub(in crate::hatchet) fn rest_route(&self) -> Result<Option<Route>, ClientError> {
        let Some(url) = &self.server_url else { return Ok(None) };
        self.route_to(&ServerUrl::parse(url)?).map(Some)
    }

    /// The way to a REST address.
    pub(in crate::hatchet) fn route_to(&self, url: &ServerUrl) -> Result<Route, ClientError> {
        Ok(Route::new(&url.host, url.port, self.proxies.find(&url.host, url.port, url.tls)?))
    }

    /// The proxies on the way to the engine, with their variables, for people; none where no proxy is used.
    pub fn proxy(&self) -> Option<String> {
        let shown = |to: &str, route: Option<Route>| Some(format!("{to} through {}", route?.proxy()?));
        let both = [shown("gRPC", self.route().ok()), shown("REST", self.rest_route().ok().flatten())];
        let said: Vec<String> = both.into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    /// Fails where REST would take the token over the network unencrypted and the settings do not allow that.
    pub(in crate::hatchet) fn check_rest_is_private(&self) -> Result<(), ClientError> {
        let Some(url) = &self.server_url else { return Ok(()) };
        let parsed = ServerUrl::parse(url)?;
        if parsed.tls || self.tls == Tls::None || is_loopback(&parsed.host) {
            return Ok(());
        }
        Err(bad(format!(
            "the token would go to {url} unencrypted: set HATCHET_CLIENT_SERVER_URL to an https:// address, or \
             HATCHET_CLIENT_TLS_STRATEGY=none if the network between is your own"
        )))
    }

    /// The host of `host_port`, without brackets.
    pub fn host(&self) -> &str {
        let host = self.host_port.rsplit_once(':').map_or(self.host_port.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

/// What a token says of itself, if it can be used: shape and expiry, not the signature, which the engine checks.
pub fn token_claims(token: &str, source: &Source) -> Result<Claims, ClientError> {
    let again = "set HATCHET_CLIENT_TOKEN to a client token: it starts with `ey` and has two dots in it";
    if !token.starts_with("ey") {
        return Err(bad(format!(
            "the token from {source} is not a Hatchet client token (it does not start with `ey`): {again}"
        )));
    }
    let claims = Claims::read_unverified(token)
        .map_err(|e| bad(format!("the token from {source} is not a Hatchet client token ({e}): {again}")))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if let Some(exp) = claims.exp.filter(|exp| *exp <= now) {
        let when = prost_types::Timestamp { seconds: i64::try_from(exp).unwrap_or(i64::MAX), nanos: 0 };
        return Err(bad(format!(
            "the token from {source} expired at {when}: make a new one in Hatchet and set HATCHET_CLIENT_TOKEN"
        )));
    }
    Ok(claims)
}

/// `host:port`, with a scheme and a path taken off, and a port demanded.
fn host_port(text: &str) -> Result<String, ClientError> {
    let wrong = || bad(format!("HATCHET_CLIENT_HOST_PORT is `{text}`: set it to host:port, such as localhost:7070"));
    // gRPC's own form is dns:///host:port.
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest).trim_matches('/');
    let (host, port) = bare.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    // An IPv6 address needs its brackets, or its last group would be taken for the port.
    let open = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || port == 0 || open || host.contains(['/', ' ', '@']) {
        return Err(wrong());
    }
    Ok(format!("{host}:{port}"))
}

/// Lower-cased, with one `_` at its end, as the Python SDK does it.
fn namespace(text: &str) -> Result<String, ClientError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let lower = text.to_lowercase();
    if !lower.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) {
        return Err(bad(format!("HATCHET_CLIENT_NAMESPACE is `{text}`: use letters, digits, `.`, `-` and `_` only")));
    }
    Ok(if lower.ends_with('_') { lower } else { lower + "_" })
}

fn tls(sources: &Sources) -> Result<Tls, ClientError> {
    let file = |name: &str| sources.value(name).map(PathBuf::from);
    let on = |identity| Tls::On {
        root_ca: file("HATCHET_CLIENT_TLS_ROOT_CA_FILE"),
        server_name: sources.value("HATCHET_CLIENT_TLS_SERVER_NAME").map(str::to_owned),
        identity,
    };
    match sources.value("HATCHET_CLIENT_TLS_STRATEGY").map(str::to_ascii_lowercase).as_deref() {
        None | Some("tls") => Ok(on(None)),
        Some("none") => Ok(Tls::None),
        Some("mtls") => match (file("HATCHET_CLIENT_TLS_CERT_FILE"), file("HATCHET_CLIENT_TLS_KEY_FILE")) {
            (Some(cert), Some(key)) => Ok(on(Some((cert, key)))),
            _ => Err(bad(
                "HATCHET_CLIENT_TLS_STRATEGY is mtls: set HATCHET_CLIENT_TLS_CERT_FILE and HATCHET_CLIENT_TLS_KEY_FILE to \
                 the client's PEM files",
            )),
        },
        Some(other) => Err(bad(format!("HATCHET_CLIENT_TLS_STRATEGY is `{other}`: set it to tls, mtls or none"))),
    }
}

/// Bytes; -1 is gRPC's word for no limit but its own, which is 4 GiB.
fn size(sources: &Sources, name: &str) -> Result<usize, ClientError> {
    let Some(text) = sources.value(name) else { return Ok(DEFAULT_MAX_MESSAGE) };
    match parse_integer(text) {
        Some(-1) => Ok(u32::MAX as usize),
        Some(bytes) if bytes > 0 => Ok(usize::try_from(bytes).unwrap_or(usize::MAX)),
        Some(_) | None => Err(bad(format!(
            "{name} is `{text}`: set it to a number of bytes, such as {DEFAULT_MAX_MESSAGE}, or to -1 for no limit"
        ))),
    }
}

#[cfg(test)]
mod tests;
