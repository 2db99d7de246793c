//! What moves on a connection, counted on the socket: whoever waits for an answer can see whether the other side lives
//! and whether the link is busy, whatever the bytes belong to.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{InspectReader, InspectWriter};

/// Counts the bytes of one connection.
#[derive(Debug, Clone, Default)]
pub(in crate::hatchet) struct Traffic(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    arrived: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// Bytes that have arrived: only the other side can have sent them.
    pub(in crate::hatchet) fn arrived(&self) -> u64 {
        self.0.arrived.load(Ordering::Relaxed)
    }

    /// Bytes that this side's system has taken. On a busy link that is as many as the link carries; on a dead one it
    /// takes some as well.
    pub(in crate::hatchet) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    pub(in crate::hatchet) fn arrive(&self, bytes: usize) {
        self.0.arrived.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(in crate::hatchet) fn send(&self, bytes: usize) {
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A stream whose bytes are counted.
pub(in crate::hatchet) type Counted<T> = InspectReader<InspectWriter<T, Look>, Look>;

/// Is shown what passes.
type Look = Box<dyn FnMut(&[u8]) + Send>;

impl Traffic {
    /// Counts what passes on a stream from now on.
    pub(in crate::hatchet) fn counted<T: AsyncRead + AsyncWrite>(&self, stream: T) -> Counted<T> {
        let (reads, writes) = (self.clone(), self.clone());
        let read: Look = Box::new(move |bytes| reads.arrive(bytes.len()));
        let written: Look = Box::new(move |bytes| writes.send(bytes.len()));
        InspectReader::new(InspectWriter::new(stream, written), read)
    }
}
