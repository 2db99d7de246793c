//! The settings of a client, with the names and defaults of the official SDKs.
//!
//! [`Sources`] collects the settings as text: flags, environment, `.env` files. [`ClientConfig`] is their validated form.

mod address;
mod discover;
mod dotenv;
mod proxies;
mod route;
mod server_url;
mod sources;
mod tls;
mod token;

use std::{fmt, sync::Arc};

use self::address::{host_port, is_loopback};
pub(super) use self::{address::authority, proxies::Proxy};
pub use self::{
    discover::embedded_folder,
    proxies::Proxies,
    sources::{ENV_FILES, Source, Sources, parse_integer},
    tls::Tls,
    token::{Token, token_claims},
};
pub(in crate::hatchet) use self::{route::Route, server_url::ServerUrl};
use super::error::ClientError;
use crate::hatchet::{
    system::Handshake,
    wire::{DEFAULT_MAX_MESSAGE, TenantId},
};

/// The settings of a connection to an engine. Made by [`ClientConfig::from_sources`] or
/// [`ClientConfig::from_handshake`].
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The client token.
    pub token: Token,
    /// The token's tenant.
    pub tenant: TenantId,
    /// `host:port` of the gRPC services.
    pub host_port: String,
    /// Base URL of the REST API, if known, without a trailing slash.
    pub server_url: Option<String>,
    /// Prefix of workflow and worker names, including its trailing `_`; empty for none.
    pub namespace: String,
    /// How the connection is secured.
    pub tls: Tls,
    /// The proxies of the environment.
    pub proxies: Proxies,
    /// Largest message that is received, in bytes. Default 4 MiB.
    pub max_recv_message: usize,
    /// Largest message that is sent, in bytes. Default 4 MiB.
    pub max_send_message: usize,
    /// Where the token came from, for messages.
    pub token_source: Source,
    /// Finds the engine again after it restarted. Only for an engine that was found by its handshake file.
    pub rediscovery: Option<Rediscovery>,
}

/// Reads a handshake file again: the engine that wrote it may have restarted with another address and token.
#[derive(Clone)]
pub struct Rediscovery(Arc<dyn Fn() -> Option<Handshake> + Send + Sync>);

impl Rediscovery {
    /// `read` returns the current content of the file, or `None` if no engine is running. It is called from async code, so
    /// it must not take longer than reading a small file.
    pub fn new(read: impl Fn() -> Option<Handshake> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }
}

impl fmt::Debug for Rediscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rediscovery")
    }
}

impl ClientConfig {
    /// Reads the settings. The addresses in the token are used unless a variable names others.
    pub fn from_sources(sources: &Sources) -> Result<Self, ClientError> {
        let Some((token, token_source)) = sources.get("HATCHET_CLIENT_TOKEN") else {
            return Err(ClientError::config(
                "no token: set HATCHET_CLIENT_TOKEN (in the environment or a .env file) to connect to a Hatchet engine, \
                 or pass --embedded to use the engine that comes with this program",
            ));
        };
        let claims = token_claims(token, token_source)?;
        // As in the Go SDK, the nil UUID stands for none.
        let tenant = sources.value("HATCHET_CLIENT_TENANT_ID").filter(|id| *id != uuid::Uuid::nil().to_string());
        let tenant = tenant.unwrap_or(&claims.sub).parse().map_err(|e| {
            ClientError::config(format!(
                "the token's tenant cannot be used: {e}: check HATCHET_CLIENT_TOKEN and HATCHET_CLIENT_TENANT_ID"
            ))
        })?;
        let address = sources.value("HATCHET_CLIENT_HOST_PORT").or(claims.grpc_broadcast_address.as_deref());
        let Some(address) = address else {
            return Err(ClientError::config(
                "the token names no address: set HATCHET_CLIENT_HOST_PORT to the engine's host:port",
            ));
        };
        let server_url = sources
            .value("HATCHET_CLIENT_SERVER_URL")
            .or_else(|| sources.value("HATCHET_CLIENT_API_URL"))
            .or(claims.server_url.as_deref())
            .map(ServerUrl::normalized)
            .transpose()?;
        let config = Self {
            token: Token::new(token),
            tenant,
            host_port: host_port(address)?,
            server_url,
            namespace: namespace(sources.value("HATCHET_CLIENT_NAMESPACE").unwrap_or_default())?,
            tls: Tls::from_sources(sources)?,
            proxies: Proxies::from_sources(sources),
            max_recv_message: message_size(sources, "HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH")?,
            max_send_message: message_size(sources, "HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH")?,
            token_source: token_source.clone(),
            rediscovery: None,
        };
        // Fails on an invalid proxy URL.
        config.route()?;
        config.rest_route()?;
        Ok(config)
    }

    /// The settings of an engine on this machine, from its handshake file: plaintext, with its own addresses. Namespace,
    /// proxies and message sizes come from the sources.
    pub fn from_handshake(handshake: &Handshake, sources: &Sources) -> Result<Self, ClientError> {
        let claims = token_claims(&handshake.token, &Source::Handshake)?;
        let tenant = claims.sub.parse();
        Ok(Self {
            token: Token::new(&handshake.token),
            tenant: tenant
                .map_err(|e| ClientError::config(format!("the handshake file's tenant cannot be used: {e}")))?,
            host_port: host_port(&handshake.grpc_address)?,
            server_url: Some(handshake.api_url.as_str())
                .filter(|url| !url.is_empty())
                .or(claims.server_url.as_deref().filter(|url| !url.is_empty()))
                .map(ServerUrl::normalized)
                .transpose()?,
            namespace: namespace(sources.value("HATCHET_CLIENT_NAMESPACE").unwrap_or_default())?,
            tls: Tls::None,
            proxies: Proxies::from_sources(sources),
            max_recv_message: message_size(sources, "HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH")?,
            max_send_message: message_size(sources, "HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH")?,
            token_source: Source::Handshake,
            rediscovery: None,
        })
    }

    /// Reads the handshake file again. `None` if its address and token are those of these settings.
    pub(super) fn rediscover(&self) -> Option<Self> {
        let found = (self.rediscovery.as_ref()?.0)()?;
        if found.token == self.token.expose() && host_port(&found.grpc_address).ok()? == self.host_port {
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

    /// The host of `host_port`, without brackets.
    pub fn host(&self) -> &str {
        let host = self.host_port.rsplit_once(':').map_or(self.host_port.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The route to the gRPC services.
    pub(super) fn route(&self) -> Result<Route, ClientError> {
        let port = self.host_port.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default();
        self.route_to_host(self.host(), port, self.tls != Tls::None)
    }

    /// The route to a REST address.
    pub(in crate::hatchet) fn route_to(&self, url: &ServerUrl) -> Result<Route, ClientError> {
        self.route_to_host(&url.host, url.port, url.tls)
    }

    fn route_to_host(&self, host: &str, port: u16, tls: bool) -> Result<Route, ClientError> {
        Ok(Route { host: host.to_owned(), port, proxy: self.proxies.find(host, port, tls)? })
    }

    /// The route to the REST API, if its address is known.
    fn rest_route(&self) -> Result<Option<Route>, ClientError> {
        let Some(url) = &self.server_url else { return Ok(None) };
        self.route_to(&ServerUrl::parse(url)?).map(Some)
    }

    /// Describes the proxies on the way to the engine, with their variables. `None` if no proxy is used.
    pub fn proxy(&self) -> Option<String> {
        let describe = |to: &str, route: Option<Route>| Some(format!("{to} through {}", route?.proxy?));
        let both = [describe("gRPC", self.route().ok()), describe("REST", self.rest_route().ok().flatten())];
        let described: Vec<String> = both.into_iter().flatten().collect();
        (!described.is_empty()).then(|| described.join(", "))
    }

    /// Fails if REST would send the token over the network unencrypted, unless the settings allow that.
    pub(in crate::hatchet) fn check_rest_is_private(&self) -> Result<(), ClientError> {
        let Some(url) = &self.server_url else { return Ok(()) };
        let parsed = ServerUrl::parse(url)?;
        if parsed.tls || self.tls == Tls::None || is_loopback(&parsed.host) {
            return Ok(());
        }
        Err(ClientError::config(format!(
            "the token would go to {url} unencrypted: set HATCHET_CLIENT_SERVER_URL to an https:// address (without a scheme \
             it means http://), or \
             HATCHET_CLIENT_TLS_STRATEGY=none if the network between is your own"
        )))
    }
}

/// Reads a namespace: lower case, with one trailing `_`, as in the Python SDK.
fn namespace(text: &str) -> Result<String, ClientError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let lower = text.to_lowercase();
    if !lower.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) {
        let rule = "use letters, digits, `.`, `-` and `_` only";
        return Err(ClientError::config(format!("HATCHET_CLIENT_NAMESPACE is `{text}`: {rule}")));
    }
    Ok(if lower.ends_with('_') { lower } else { lower + "_" })
}

/// Reads a message size in bytes. As in gRPC, -1 means no limit but gRPC's own, which is 4 GiB.
fn message_size(sources: &Sources, name: &str) -> Result<usize, ClientError> {
    let Some(text) = sources.value(name) else { return Ok(DEFAULT_MAX_MESSAGE) };
    match parse_integer(text) {
        Some(-1) => Ok(u32::MAX as usize),
        Some(bytes) if bytes > 0 => Ok(usize::try_from(bytes).unwrap_or(usize::MAX)),
        Some(_) | None => Err(ClientError::config(format!(
            "{name} is `{text}`: set it to a number of bytes, such as {DEFAULT_MAX_MESSAGE}, or to -1 for no limit"
        ))),
    }
}

#[cfg(test)]
mod tests;
