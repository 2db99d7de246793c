//! Opens TCP connections with or without TLS.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, future::BoxFuture};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::either::Either;
use tonic::codegen::{Service, http::Uri};

use super::{
    super::{
        config::Route,
        error::ClientError,
        liveness::{Activity, CountedStream},
    },
    error::ConnectError,
    tcp, tunnel,
};

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::hatchet) enum Protocol {
    /// HTTP/2, for gRPC. A TLS server must accept it (ALPN).
    Http2,
    Http1,
}

/// A TCP connection with byte counters, with or without TLS.
pub(in crate::hatchet::transport) type Stream = Either<CountedStream<TcpStream>, TlsStream<CountedStream<TcpStream>>>;

/// Opens a TCP connection to the server, through the proxy if the route has one.
pub(in crate::hatchet::transport) async fn open(route: &Route) -> Result<TcpStream, ConnectError> {
    match &route.proxy {
        None => tcp::connect(&route.host, route.port).await,
        Some(proxy) => tunnel::open(proxy, &route.host, route.port).await,
    }
}

/// Opens connections on one route. Cheap to clone.
#[derive(Clone)]
pub(in crate::hatchet) struct Dialer {
    route: Route,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    protocol: Protocol,
}

impl Dialer {
    /// Creates a dialer. `server_name` is the name that the certificate must have; default: the route's host.
    pub(in crate::hatchet) fn new(
        route: Route,
        tls: Option<&rustls::ClientConfig>,
        server_name: Option<&str>,
        protocol: Protocol,
    ) -> Result<Self, ClientError> {
        let secure = |tls: &rustls::ClientConfig| {
            let name = server_name.unwrap_or(&route.host);
            let name = ServerName::try_from(name.to_owned()).map_err(|_| {
                ClientError::config(format!(
                    "invalid TLS server name \"{name}\": set HATCHET_CLIENT_TLS_SERVER_NAME to the name in the certificate"
                ))
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

    /// Opens a new connection, whose bytes are counted below TLS.
    pub(in crate::hatchet::transport) async fn dial(&self, activity: &Activity) -> Result<Stream, ConnectError> {
        let stream = activity.count_bytes(open(&self.route).await?);
        let Some((connector, name)) = &self.tls else { return Ok(Either::Left(stream)) };
        let stream = connector.connect(name.clone(), stream).await.map_err(ConnectError::Tls)?;
        if self.protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(ConnectError::NotHttp2);
        }
        Ok(Either::Right(stream))
    }
}

/// Opens the connections of a gRPC channel, and records their activity.
#[derive(Clone)]
pub(in crate::hatchet::transport) struct Connector {
    dialer: Dialer,
    activity: Activity,
}

impl Connector {
    pub(in crate::hatchet::transport) fn new(dialer: Dialer, activity: Activity) -> Self {
        Self { dialer, activity }
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
        let Self { dialer, activity } = self.clone();
        async move {
            activity.set_dialing();
            let stream = dialer.dial(&activity).await?;
            activity.set_connected();
            Ok(TokioIo::new(stream))
        }
        .boxed()
    }
}
