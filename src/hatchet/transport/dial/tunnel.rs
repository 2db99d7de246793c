//! Tunnels through HTTP proxies (`CONNECT`).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    super::{
        config::{Proxy, format_authority},
        error::root_cause,
    },
    error::ConnectError,
    tcp::connect,
};
use crate::hatchet::wire::readable_duration;

/// Timeout of opening a tunnel. Shorter than the timeout of connecting as a whole, so that the error names the proxy.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Longest response head that is read, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Opens a connection through the proxy to a server.
pub(super) async fn open(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let target = format_authority(host, port);
    let tunnel = timeout(TIMEOUT, connect_through(proxy, &target)).await;
    tunnel.unwrap_or_else(|_| Err(format!("no response within {}", readable_duration(TIMEOUT)))).map_err(|reason| {
        ConnectError::Proxy(format!(
            "connecting to {target} through the proxy {proxy} failed: {reason}. Correct {}, or add \"{host}\" to NO_PROXY \
             to connect without a proxy",
            proxy.variable
        ))
    })
}

async fn connect_through(proxy: &Proxy, target: &str) -> Result<TcpStream, String> {
    let mut stream = connect(&proxy.host, proxy.port).await.map_err(|e| root_cause(&e))?;
    let head = request_tunnel(proxy, &mut stream, target).await.map_err(|e| e.to_string())?;
    let status = head.split(|byte| *byte == b'\r').next().map(String::from_utf8_lossy).unwrap_or_default();
    match status.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..)) {
        Some(accepted) if accepted.starts_with('2') => Ok(stream),
        Some(refused) if refused.starts_with("407") => Err(format!(
            "it requires {} user and password (407), as in http://user:password@host:port",
            if proxy.credentials.is_some() { "another" } else { "a" }
        )),
        Some(refused) => Err(format!("it responded with {}", refused.chars().take(100).collect::<String>())),
        None => Err("it is not an HTTP proxy".to_owned()),
    }
}

/// Sends the `CONNECT` request and returns the head of the response.
async fn request_tunnel(proxy: &Proxy, stream: &mut TcpStream, target: &str) -> std::io::Result<Vec<u8>> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(credentials) = &proxy.credentials {
        request += &format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(credentials));
    }
    request += "\r\n";
    stream.write_all(request.as_bytes()).await?;
    // Reads byte by byte, since bytes of the protocol inside the tunnel may follow immediately.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(stream.read_u8().await?);
    }
    if !head.ends_with(b"\r\n\r\n") {
        let reason = format!("the head of its response is longer than {MAX_HEAD} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, reason));
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn endless_response_head_is_refused() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let responding = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Ends when the client closes the connection.
            let mut response = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
            while stream.write_all(&response).await.is_ok() {
                response = vec![b'x'; 1024];
            }
        });
        let proxy = Proxy { variable: "HTTP_PROXY", host: "127.0.0.1".to_owned(), port, credentials: None };
        let error = open(&proxy, "engine.example", 7070).await.unwrap_err();
        assert!(error.to_string().contains("longer than"), "{error}");
        responding.await.unwrap();
    }
}
