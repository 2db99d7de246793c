//! What has been heard on a connection: bytes that arrive are a sign of life, whatever they belong to.
//!
//! A large message takes its time on a slow link, and a small answer queues behind it. Who took that silence for a
//! dead connection would leave it, begin the message anew on another one, and so on for ever.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{
    net::TcpStream,
    time::{error::Elapsed, timeout},
};
use tokio_util::io::InspectReader;
use tonic::codegen::{Service, http::Uri};

/// Counts what arrives on one connection, piece by piece.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Arc<AtomicU64>);

impl Heard {
    pub(super) fn pieces(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn more(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Awaits a call until nothing has arrived on the connection for `limit`.
    pub(crate) async fn while_heard<T>(&self, limit: Duration, call: impl Future<Output = T>) -> Result<T, Elapsed> {
        tokio::pin!(call);
        let mut before = self.pieces();
        loop {
            let silent = match timeout(limit, &mut call).await {
                Ok(answer) => return Ok(answer),
                Err(silent) => silent,
            };
            let now = self.pieces();
            if now == before {
                return Err(silent);
            }
            before = now;
        }
    }
}

/// Makes connections on which is counted what arrives.
#[derive(Clone)]
pub(super) struct Dial {
    tcp: HttpConnector,
    heard: Heard,
}

impl Dial {
    pub(super) fn new(heard: Heard) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, heard }
    }
}

/// Is shown what is read.
type Look = Box<dyn FnMut(&[u8]) + Send>;

impl Service<Uri> for Dial {
    type Response = TokioIo<InspectReader<TcpStream, Look>>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let heard = self.heard.clone();
        let look: Look = Box::new(move |read| {
            if !read.is_empty() {
                heard.more();
            }
        });
        self.tcp.call(uri).map_ok(|io| TokioIo::new(InspectReader::new(io.into_inner(), look))).boxed()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_goes_on_while_anything_arrives_and_no_longer() {
        let (heard, limit) = (Heard::default(), Duration::from_secs(1));
        let slow = heard.clone();
        let arriving = async move {
            for _ in 0..20 {
                sleep(limit / 2).await;
                slow.more();
            }
            "whole"
        };
        assert_eq!(heard.while_heard(limit, arriving).await.ok(), Some("whole"));
        let since = Instant::now();
        assert!(heard.while_heard(limit, std::future::pending::<()>()).await.is_err());
        assert_eq!(since.elapsed(), limit);
    }
}
