//! Connections to a server, for gRPC and REST alike: proxy, TCP, TLS.

mod http;
mod proxy;
mod tls;

use std::{
    error::Error as StdError,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;
use tonic::codegen::{Service, http::Uri};

pub use self::proxy::Proxies;
pub(in crate::hatchet) use self::{
    http::{HttpError, exchange},
    proxy::{Proxy, VARIABLES as PROXY_VARIABLES},
    tls::SharedTls,
};
use super::{
    error::{ClientError, ErrorKind},
    io_counters::{Counted, Traffic},
};

/// The protocol spoken on a connection, by its name in TLS (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hatchet) enum Protocol {
    /// HTTP/2, for gRPC. A TLS server must agree to it.
    Http2,
    /// HTTP/1.1, for REST.
    Http1,
}

/// A server's address and the proxy on the way there, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hatchet) struct Route {
    /// Without brackets.
    host: String,
    port: u16,
    proxy: Option<Proxy>,
}

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub(in crate::hatchet) enum ConnectError {
    #[error("the address cannot be used")]
    Address(#[from] tonic::codegen::http::Error),
    #[error("no connection to the address")]
    Tcp(#[source] Box<dyn StdError + Send + Sync>),
    #[error("{0}")]
    Proxy(String),
    #[error("no TLS with the server")]
    Tls(#[source] std::io::Error),
    #[error("the server does not offer HTTP/2 over TLS, so it is not a gRPC port")]
    NotHttp2,
}

/// A TCP connection with counters, with or without TLS on it.
pub(in crate::hatchet) type Stream = Either<Counted<TcpStream>, TlsStream<Counted<TcpStream>>>;

impl Route {
    /// The route to a host, whose name or address has no brackets.
    pub(in crate::hatchet) fn new(host: &str, port: u16, proxy: Option<Proxy>) -> Self {
        Self { host: host.to_owned(), port, proxy }
    }

    pub(in crate::hatchet) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Opens a TCP connection to the server, through a tunnel of the proxy where there is one.
    pub(in crate::hatchet) async fn open(&self) -> Result<TcpStream, ConnectError> {
        match &self.proxy {
            None => tcp(&self.host, self.port).await,
            Some(proxy) => proxy.tunnel(&self.host, self.port).await,
        }
    }
}

/// `host:port`, an IPv6 address in brackets.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Splits `host[:port]`, and takes an IPv6 address out of its brackets. None if there is no host, or no such port.
pub(in crate::hatchet) fn split_authority(text: &str, default_port: u16) -> Option<(&str, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().filter(|port| *port != 0)?),
        Some(_) | None => (text, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then_some((host, port))
}

/// Connects to the first address of a host that answers.
async fn tcp(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let uri = Uri::builder().scheme("http").authority(authority(host, port)).path_and_query("/").build()?;
    let connected = connector.call(uri).await.map_err(|e| ConnectError::Tcp(Box::new(e)))?;
    Ok(connected.into_inner())
}

/// Whether a host is this machine, by its name or address alone: no name is looked up.
pub(in crate::hatchet) fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.parse::<IpAddr>().map_or_else(
        |_| host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
        |address| address.to_canonical().is_loopback(),
    )
}

/// Makes connections on one route. Cheap to clone.
#[derive(Clone)]
pub(in crate::hatchet) struct Dialer {
    route: Route,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    protocol: Protocol,
}

impl Dialer {
    /// `server_name` is the name that the certificate must have, instead of the host's.
    pub(in crate::hatchet) fn new(
        route: Route,
        tls: Option<&rustls::ClientConfig>,
        server_name: Option<&str>,
        protocol: Protocol,
    ) -> Result<Self, ClientError> {
        let secure = |tls: &rustls::ClientConfig| {
            let name = server_name.unwrap_or(&route.host);
            let name = ServerName::try_from(name.to_owned()).map_err(|_| {
                let message = format!("`{name}` cannot be in a certificate: set HATCHET_CLIENT_TLS_SERVER_NAME");
                ClientError::new(ErrorKind::Config, message)
            })?;
            let mut tls = tls.clone();
            tls.alpn_protocols = vec![match protocol {
                Protocol::Http2 => b"h2".to_vec(),
                Protocol::Http1 => b"http/1.1".to_vec(),
            }];
            Ok((TlsConnector::from(Arc::new(tls)), name))
        };
        let tls = tls.map(secure).transpose()?;
        Ok(Self { route, tls, protocol })
    }

    /// A new connection, whose bytes are counted below TLS.
    pub(in crate::hatchet) async fn dial(&self, traffic: &Traffic) -> Result<Stream, ConnectError> {
        let stream = traffic.counted(self.route.open().await?);
        let Some((connector, name)) = &self.tls else { return Ok(Either::Left(stream)) };
        let stream = connector.connect(name.clone(), stream).await.map_err(ConnectError::Tls)?;
        if self.protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(ConnectError::NotHttp2);
        }
        Ok(Either::Right(stream))
    }
}

/// Makes the connections of a channel, and counts their bytes together.
#[derive(Clone)]
pub(in crate::hatchet) struct Connector {
    dialer: Dialer,
    traffic: Traffic,
}

impl Connector {
    pub(in crate::hatchet) fn new(dialer: Dialer, traffic: Traffic) -> Self {
        Self { dialer, traffic }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { dialer, traffic } = self.clone();
        async move { dialer.dial(&traffic).await.map(TokioIo::new) }.boxed()
    }
}

/// The operating system's error behind an error, if there is one.
pub(in crate::hatchet) fn io_source<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a std::io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The innermost cause of an error in words: those around it only say that something failed.
pub(in crate::hatchet) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_by_name_or_address() {
        for host in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", "LocalHost", "localhost.", "a.localhost"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["0.0.0.0", "128.0.0.1", "engine", "localhost.example", "notlocalhost", "::2"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
