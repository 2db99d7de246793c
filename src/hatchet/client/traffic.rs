//! What moves on a connection, counted on the socket: whoever waits for an answer can see whether the other side lives
//! and whether the link is busy, whatever the bytes belong to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::{FutureExt as _, TryFutureExt as _, future::BoxFuture};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::net::TcpStream;
use tokio_util::io::{InspectReader, InspectWriter};
use tonic::codegen::{Service, http::Uri};

/// Counts the bytes of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Traffic(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    arrived: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// Bytes that have arrived: only the other side can have sent them.
    pub(super) fn arrived(&self) -> u64 {
        self.0.arrived.load(Ordering::Relaxed)
    }

    /// Bytes that this side's system has taken. On a busy link that is as many as the link carries; on a dead one it
    /// takes some as well.
    pub(super) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    pub(super) fn arrive(&self, bytes: usize) {
        self.0.arrived.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn send(&self, bytes: usize) {
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// Makes connections on which is counted.
#[derive(Clone)]
pub(super) struct Dial {
    tcp: HttpConnector,
    traffic: Traffic,
}

impl Dial {
    pub(super) fn new(traffic: Traffic) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Self { tcp, traffic }
    }
}

/// Is shown what passes.
type Look = Box<dyn FnMut(&[u8]) + Send>;

impl Service<Uri> for Dial {
    type Response = TokioIo<InspectReader<InspectWriter<TcpStream, Look>, Look>>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.tcp.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (reads, writes) = (self.traffic.clone(), self.traffic.clone());
        let read: Look = Box::new(move |bytes| reads.arrive(bytes.len()));
        let written: Look = Box::new(move |bytes| writes.send(bytes.len()));
        let watched = |io: TokioIo<TcpStream>| {
            TokioIo::new(InspectReader::new(InspectWriter::new(io.into_inner(), written), read))
        };
        self.tcp.call(uri).map_ok(watched).boxed()
    }
}
