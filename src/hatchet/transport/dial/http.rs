//! HTTP/1.1 requests, each on a separate connection.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{pin, time::timeout};
use tonic::codegen::http::{Request, Response};

use super::{super::liveness::Activity, dialer::Dialer, error::ConnectError};
use crate::hatchet::wire::readable_duration;

/// Timeout from the connection's first packet to the response's last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a response body in bytes. The largest response in use is a page of 1,000 runs, about 2 MiB.
const MAX_RESPONSE: usize = 16 << 20;

/// The reason why there is no response.
#[derive(Debug, thiserror::Error)]
pub(in crate::hatchet) enum HttpError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no complete response within {}", readable_duration(TIMEOUT))]
    Timeout,
    #[error("the response is larger than {} MiB", MAX_RESPONSE >> 20)]
    TooLarge,
    #[error("the connection broke")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Sends a request and reads the whole response: at most [`MAX_RESPONSE`] bytes, within [`TIMEOUT`]. Does not follow
/// redirects. The request's URI is the path alone.
pub(in crate::hatchet) async fn exchange(
    dialer: &Dialer,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, HttpError> {
    timeout(TIMEOUT, exchange_without_timeout(dialer, request)).await.unwrap_or(Err(HttpError::Timeout))
}

async fn exchange_without_timeout(
    dialer: &Dialer,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>, HttpError> {
    let broken = |e: hyper::Error| HttpError::Broken(Box::new(e));
    let stream = dialer.dial(&Activity::default()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let exchange = async move {
        let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
        let body = Limited::new(body, MAX_RESPONSE)
            .collect()
            .await
            .map_err(|e| if e.is::<LengthLimitError>() { HttpError::TooLarge } else { HttpError::Broken(e) })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    pin!(exchange);
    // The exchange makes progress only while the connection is polled. Both end with this call.
    pin!(connection);
    match select(exchange, connection).await {
        Either::Left((response, _)) => response,
        // The peer closed the connection, so the whole response has arrived.
        Either::Right((closed, exchange)) => exchange.await.map_err(|e| match closed {
            Ok(()) => e,
            Err(closed) => broken(closed),
        }),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        time::Instant,
    };

    use super::{
        super::{super::config::Route, dialer::Protocol},
        *,
    };

    /// Sends a request to a server that runs `serve` on its only connection, and returns the response.
    async fn served<F: Future<Output = ()>>(serve: impl FnOnce(TcpStream) -> F) -> Result<Response<Bytes>, HttpError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let route = Route { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port(), proxy: None };
        let dialer = Dialer::new(route, None, None, Protocol::Http1).unwrap();
        let request = Request::get("/").header("host", "x").body(Full::default()).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            serve(stream).await;
            // The response ends the test.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            response = exchange(&dialer, request) => response,
            () = server => unreachable!(),
        }
    }

    #[tokio::test]
    async fn response_without_length_is_read_until_close() {
        let response = served(async |mut stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nwhole").await.unwrap();
        });
        assert_eq!(response.await.unwrap().body().as_ref(), b"whole");
    }

    #[tokio::test]
    async fn endless_response_is_refused_at_size_limit() {
        let mut sent = 0;
        let response = served(async |mut stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while stream.write_all(&[b'x'; 1 << 16]).await.is_ok() {
                sent += 1 << 16;
            }
        });
        let error = response.await.unwrap_err();
        assert!(matches!(error, HttpError::TooLarge), "{error:?}");
        // The operating system's buffers hold the difference.
        assert!(sent < MAX_RESPONSE + (16 << 20), "{sent}");
    }

    #[tokio::test]
    async fn endless_head_is_refused() {
        let response = served(async |mut stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            while stream.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await.is_ok() {}
        });
        let error = response.await.unwrap_err();
        assert!(matches!(error, HttpError::Broken(_)), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_response_ends_at_timeout() {
        for partial in [&b""[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"] {
            let started = Instant::now();
            let error = served(async |mut stream| {
                stream.write_all(partial).await.unwrap();
                std::future::pending().await
            });
            let error = error.await.unwrap_err();
            assert!(matches!(error, HttpError::Timeout), "{error:?}");
            assert!((TIMEOUT..TIMEOUT * 2).contains(&started.elapsed()), "{:?}", started.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_response_ends_at_timeout() {
        let started = Instant::now();
        let error = served(async |mut stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        assert!(matches!(error.await.unwrap_err(), HttpError::Timeout));
        assert!((TIMEOUT..TIMEOUT * 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    }
}
