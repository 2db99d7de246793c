//! The settings of a client, with the names and defaults of the official SDKs.
//!
//! [`Sources`] collects the settings as text from flags, the environment and `.env` files. [`ClientConfig`] is their
//! validated form.

mod address;
mod discover;
mod dotenv;
mod invalid;
mod proxies;
mod route;
mod server_url;
mod sources;
mod tls;
mod token;

use std::path::PathBuf;

pub(super) use self::{address::format_authority, proxies::Proxy};
use self::{
    address::{is_loopback, parse_host_port},
    invalid::invalid_setting,
};
pub(crate) use self::{
    discover::embedded_folder,
    sources::{ENV_FILES, parse_integer},
    token::token_claims,
};
pub use self::{
    proxies::Proxies,
    sources::{Source, Sources},
    tls::Tls,
    token::Token,
};
pub(in crate::hatchet) use self::{route::Route, server_url::ServerUrl};
use super::error::ClientError;
use crate::hatchet::{
    system::Handshake,
    wire::{DEFAULT_MAX_MESSAGE, TenantId},
};

/// The settings of a connection to an engine. Returned by [`ClientConfig::discover`], [`ClientConfig::from_sources`],
/// [`ClientConfig::from_handshake`] and [`ClientConfig::from_engine_folder`].
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The bearer token of all calls. Its claims name the tenant and the addresses.
    pub token: Token,
    /// The tenant that the token belongs to, which REST paths contain.
    pub tenant: TenantId,
    /// `host:port` of the gRPC services.
    pub host_port: String,
    /// Base URL of the REST API, if known, without a trailing slash.
    pub server_url: Option<String>,
    /// Prefix of workflow and worker names, including its trailing `_`; empty for none.
    pub namespace: String,
    /// TLS or plaintext, and the certificates.
    pub tls: Tls,
    /// HTTP proxies, from `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    pub proxies: Proxies,
    /// Maximum size of a received message in bytes. Default: 4 MiB.
    pub max_recv_message: usize,
    /// Maximum size of a sent message in bytes. Default: 4 MiB.
    pub max_send_message: usize,
    /// Origin of the token, for messages.
    pub token_source: Source,
    /// Folder of the embedded engine whose handshake file is read again when the engine cannot be reached or refuses
    /// the token. It may have restarted with another address and token. `None` for an engine with a fixed address.
    pub engine_folder: Option<PathBuf>,
}

impl ClientConfig {
    /// Reads and validates the settings. Variables override the addresses in the token.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](super::ErrorKind::Config) for a missing token or an invalid setting.
    pub fn from_sources(sources: &Sources) -> Result<Self, ClientError> {
        let Some((token, token_source)) = sources.get("HATCHET_CLIENT_TOKEN") else {
            return Err(ClientError::config(
                "no token is set. Set HATCHET_CLIENT_TOKEN (in the environment or a .env file) to connect to a Hatchet engine, \
                 or pass --embedded to use the engine that comes with this program",
            ));
        };
        let claims = token_claims(token, token_source)?;
        // As in the Go SDK, the nil UUID means that no tenant is set.
        let tenant = sources.value("HATCHET_CLIENT_TENANT_ID").filter(|id| *id != uuid::Uuid::nil().to_string());
        let tenant = tenant.unwrap_or(&claims.sub).parse().map_err(|e| {
            ClientError::config(format!("{e}. Check HATCHET_CLIENT_TOKEN and HATCHET_CLIENT_TENANT_ID"))
        })?;
        let address = sources.value("HATCHET_CLIENT_HOST_PORT").or(claims.grpc_broadcast_address.as_deref());
        let Some(address) = address else {
            return Err(ClientError::config(
                "the token contains no address. Set HATCHET_CLIENT_HOST_PORT to the engine's host:port",
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
            host_port: parse_host_port(address)?,
            server_url,
            namespace: parse_namespace(sources.value("HATCHET_CLIENT_NAMESPACE").unwrap_or_default())?,
            tls: Tls::from_sources(sources)?,
            proxies: Proxies::from_sources(sources),
            max_recv_message: read_message_size(sources, "HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH")?,
            max_send_message: read_message_size(sources, "HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH")?,
            token_source: token_source.clone(),
            engine_folder: None,
        };
        // Fails on an invalid proxy URL.
        config.route()?;
        config.rest_route()?;
        Ok(config)
    }

    /// The settings of an engine on this machine: addresses and token from its handshake file, without TLS. Namespace,
    /// proxies and message sizes come from the sources.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](super::ErrorKind::Config) for an invalid setting or handshake.
    pub fn from_handshake(handshake: &Handshake, sources: &Sources) -> Result<Self, ClientError> {
        let claims = token_claims(&handshake.token, &Source::Handshake)?;
        let tenant = claims.sub.parse();
        Ok(Self {
            token: Token::new(&handshake.token),
            tenant: tenant.map_err(|e| ClientError::config(format!("reading the handshake file failed: {e}")))?,
            host_port: parse_host_port(&handshake.grpc_address)?,
            server_url: Some(handshake.api_url.as_str())
                .filter(|url| !url.is_empty())
                .or(claims.server_url.as_deref().filter(|url| !url.is_empty()))
                .map(ServerUrl::normalized)
                .transpose()?,
            namespace: parse_namespace(sources.value("HATCHET_CLIENT_NAMESPACE").unwrap_or_default())?,
            tls: Tls::None,
            proxies: Proxies::from_sources(sources),
            max_recv_message: read_message_size(sources, "HATCHET_CLIENT_GRPC_MAX_RECV_MESSAGE_LENGTH")?,
            max_send_message: read_message_size(sources, "HATCHET_CLIENT_GRPC_MAX_SEND_MESSAGE_LENGTH")?,
            token_source: Source::Handshake,
            engine_folder: None,
        })
    }

    /// Reads the handshake file again. `None` if no engine runs on the folder, or these settings are still valid for
    /// it.
    ///
    /// Each start of an engine writes a new token, and an engine that keeps its key accepts the earlier tokens, too. So
    /// a new token at the same address matters only if the engine has refused the current token.
    pub(super) fn rediscover(&self, token_is_refused: bool) -> Option<Self> {
        let found = Handshake::find(self.engine_folder.as_ref()?).ok()??;
        let Self { token, tenant, host_port, server_url, .. } =
            Self::from_handshake(&found, &Sources::default()).ok()?;
        let is_same_engine = (&tenant, &host_port, &server_url) == (&self.tenant, &self.host_port, &self.server_url);
        if is_same_engine && !(token_is_refused && token.expose() != self.token.expose()) {
            return None;
        }
        Some(Self { token, tenant, host_port, server_url, ..self.clone() })
    }

    /// Prefixes a workflow's or worker's name with the namespace, unless it already has that prefix.
    pub fn namespaced(&self, name: &str) -> String {
        if self.namespace.is_empty() || name.starts_with(&self.namespace) {
            name.to_owned()
        } else {
            format!("{}{name}", self.namespace)
        }
    }

    /// Whether the engine is on this machine. Only checks the address, without resolving a name.
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

    /// Describes the proxies through which the engine is reached, with their variables. `None` if no proxy is used.
    pub fn proxy(&self) -> Option<String> {
        let describe = |target: &str, route: Option<Route>| Some(format!("{target} through {}", route?.proxy?));
        let both = [describe("gRPC", self.route().ok()), describe("REST", self.rest_route().ok().flatten())];
        let described: Vec<String> = both.into_iter().flatten().collect();
        (!described.is_empty()).then(|| described.join(", "))
    }

    /// Fails if REST would send the token over the network unencrypted, unless the settings also allow gRPC to send it
    /// unencrypted.
    pub(in crate::hatchet) fn check_rest_is_private(&self) -> Result<(), ClientError> {
        let Some(url) = &self.server_url else { return Ok(()) };
        let parsed = ServerUrl::parse(url)?;
        if parsed.tls || self.tls == Tls::None || is_loopback(&parsed.host) {
            return Ok(());
        }
        Err(ClientError::config(format!(
            "the token would go to {url} unencrypted. Set HATCHET_CLIENT_SERVER_URL to an https:// address (the default \
             scheme is http://), or HATCHET_CLIENT_TLS_STRATEGY=none if the network is trusted"
        )))
    }
}

/// Parses a namespace. As in the Python SDK, it is converted to lower case and gets a trailing `_`.
fn parse_namespace(text: &str) -> Result<String, ClientError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    let lower = text.to_lowercase();
    if !lower.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')) {
        return Err(invalid_setting("HATCHET_CLIENT_NAMESPACE", text, "use only letters, digits, `.`, `-` and `_`"));
    }
    Ok(if lower.ends_with('_') { lower } else { lower + "_" })
}

/// Parses a message size in bytes. As in gRPC, -1 means only gRPC's own limit of 4 GiB.
fn read_message_size(sources: &Sources, name: &str) -> Result<usize, ClientError> {
    let Some(text) = sources.value(name) else { return Ok(DEFAULT_MAX_MESSAGE) };
    match parse_integer(text) {
        Some(-1) => Ok(u32::MAX as usize),
        Some(bytes) if bytes > 0 => Ok(usize::try_from(bytes).unwrap_or(usize::MAX)),
        Some(_) | None => {
            let rule = format!("set it to a number of bytes, such as {DEFAULT_MAX_MESSAGE}, or to -1 for no limit");
            Err(invalid_setting(name, text, rule))
        }
    }
}

#[cfg(test)]
mod tests;
