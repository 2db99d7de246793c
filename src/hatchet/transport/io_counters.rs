//! Byte counters on a socket.
//!
//! They count below TLS and HTTP/2, so they show whether the peer is alive and whether the link is busy, whatever the
//! bytes belong to.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{InspectReader, InspectWriter};

/// The byte counters of one connection. Clones share them.
#[derive(Debug, Clone, Default)]
pub(in crate::hatchet) struct IoCounters(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    received: AtomicU64,
    sent: AtomicU64,
}

/// A stream whose bytes are counted.
pub(super) type CountedStream<T> = InspectReader<InspectWriter<T, Observer>, Observer>;

/// Is called with all bytes that pass.
type Observer = Box<dyn FnMut(&[u8]) + Send>;

impl IoCounters {
    /// Bytes received. Only the peer can have sent them.
    pub(super) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Bytes that the operating system has accepted for sending. On a dead link it accepts some too, until its buffer is
    /// full.
    pub(super) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    pub(super) fn add_received(&self, bytes: usize) {
        self.0.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn add_sent(&self, bytes: usize) {
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts the bytes of a stream from now on.
    pub(super) fn count<T: AsyncRead + AsyncWrite>(&self, stream: T) -> CountedStream<T> {
        let (reads, writes) = (self.clone(), self.clone());
        let on_read: Observer = Box::new(move |bytes| reads.add_received(bytes.len()));
        let on_write: Observer = Box::new(move |bytes| writes.add_sent(bytes.len()));
        InspectReader::new(InspectWriter::new(stream, on_write), on_read)
    }
}
