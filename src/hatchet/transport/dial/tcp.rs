//! TCP connections, directly or through a proxy.

use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::TcpStream;
use tonic::codegen::{Service as _, http::Uri};

use super::{super::config::format_authority, error::ConnectError};

/// Connects to the first address of a host that accepts the connection.
pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let uri = Uri::builder().scheme("http").authority(format_authority(host, port)).path_and_query("/").build()?;
    let connected = connector.call(uri).await.map_err(|e| ConnectError::Tcp(Box::new(e)))?;
    Ok(TokioIo::into_inner(connected))
}
