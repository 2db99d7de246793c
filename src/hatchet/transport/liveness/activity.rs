//! The activity on a connection: its phase, its byte counters, and its outstanding calls.
//!
//! Bytes are counted on the socket, below TLS and HTTP/2. So they show whether the peer is alive and whether the link
//! is busy, independently of the call that they belong to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::Instant,
};
use tokio_util::io::{InspectReader, InspectWriter};

/// The activity of one connection. Clones share it.
#[derive(Clone)]
pub(in crate::hatchet::transport) struct Activity(Arc<Inner>);

struct Inner {
    created: Instant,
    received: AtomicU64,
    sent: AtomicU64,
    /// Value of `sent` when the last byte was received.
    sent_at_last_received: AtomicU64,
    /// Microseconds from `created` to the last received byte.
    last_received: AtomicU64,
    /// Whether the next byte ends [`Phase::Silent`]. Cheaper to read for each byte than `phase`.
    is_silent: AtomicBool,
    phase: watch::Sender<Phase>,
    calls: watch::Sender<Calls>,
}

/// Phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not connected yet, or reconnecting.
    Dialing,
    /// Connected at this time, and nothing was received since then. An HTTP/2 peer sends its settings immediately.
    Silent(Instant),
    /// The peer has sent something.
    Receiving,
}

/// Calls and streams that wait for a response or its end.
#[derive(Debug, Clone, Copy)]
struct Calls {
    outstanding: usize,
    /// Time at which `outstanding` was last 0.
    since: Instant,
}

impl Default for Activity {
    fn default() -> Self {
        let now = Instant::now();
        Self(Arc::new(Inner {
            created: now,
            received: AtomicU64::default(),
            sent: AtomicU64::default(),
            sent_at_last_received: AtomicU64::default(),
            last_received: AtomicU64::default(),
            is_silent: AtomicBool::default(),
            phase: watch::Sender::new(Phase::Dialing),
            calls: watch::Sender::new(Calls { outstanding: 0, since: now }),
        }))
    }
}

impl Activity {
    /// Records that a connection is being opened.
    pub(in crate::hatchet::transport) fn set_dialing(&self) {
        self.0.is_silent.store(false, Ordering::Relaxed);
        self.0.phase.send_replace(Phase::Dialing);
    }

    /// Records that a connection was opened.
    pub(in crate::hatchet::transport) fn set_connected(&self) {
        self.0.phase.send_replace(Phase::Silent(Instant::now()));
        self.0.is_silent.store(true, Ordering::Relaxed);
    }

    /// Bytes received.
    pub(in crate::hatchet::transport) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// Bytes that the operating system has accepted for sending.
    pub(super) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Bytes that the operating system has accepted for sending since the last byte was received. The peer may not have
    /// received them yet.
    pub(super) fn sent_since_received(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed).saturating_sub(self.0.sent_at_last_received.load(Ordering::Relaxed))
    }

    /// Time of the last received byte; the time of creation if nothing was received.
    pub(super) fn last_received(&self) -> Instant {
        self.0.created + Duration::from_micros(self.0.last_received.load(Ordering::Relaxed))
    }

    pub(super) fn add_received(&self, bytes: usize) {
        // A read of 0 bytes is the end of the stream.
        if bytes == 0 {
            return;
        }
        let since_created = u64::try_from(self.0.created.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.last_received.store(since_created, Ordering::Relaxed);
        self.0.sent_at_last_received.store(self.0.sent.load(Ordering::Relaxed), Ordering::Relaxed);
        self.0.received.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.0.is_silent.swap(false, Ordering::Relaxed) {
            self.0.phase.send_replace(Phase::Receiving);
        }
    }

    pub(super) fn add_sent(&self, bytes: usize) {
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The current phase.
    pub(super) fn phase(&self) -> Phase {
        *self.0.phase.borrow()
    }

    /// Waits until the phase differs from this phase.
    pub(super) async fn wait_for_phase_end(&self, phase: Phase) {
        // Fails only if the sender is dropped, which `self` holds.
        let _ = self.0.phase.subscribe().wait_for(|now| *now != phase).await;
    }

    /// Waits until a call is outstanding, and returns the time since which at least one call has been.
    pub(super) async fn wait_until_busy(&self) -> Instant {
        let mut calls = self.0.calls.subscribe();
        // Fails only if the sender is dropped, as above.
        calls.wait_for(|calls| calls.outstanding > 0).await.map_or_else(|_| Instant::now(), |calls| calls.since)
    }

    /// Whether a call is outstanding.
    pub(super) fn is_busy(&self) -> bool {
        self.0.calls.borrow().outstanding > 0
    }

    /// Records a call, which is outstanding until the returned guard is dropped.
    pub(in crate::hatchet::transport) fn begin_call(&self) -> OutstandingCall {
        self.0.calls.send_modify(|calls| {
            if calls.outstanding == 0 {
                calls.since = Instant::now();
            }
            calls.outstanding += 1;
        });
        OutstandingCall(self.clone())
    }

    /// Wraps a stream to count its bytes.
    pub(in crate::hatchet::transport) fn count_bytes<T: AsyncRead + AsyncWrite>(&self, stream: T) -> CountedStream<T> {
        let (reads, writes) = (self.clone(), self.clone());
        let on_read: Observer = Box::new(move |bytes| reads.add_received(bytes.len()));
        let on_write: Observer = Box::new(move |bytes| writes.add_sent(bytes.len()));
        InspectReader::new(InspectWriter::new(stream, on_write), on_read)
    }
}

/// A guard for a call whose response has not ended.
pub(in crate::hatchet::transport) struct OutstandingCall(Activity);

impl Drop for OutstandingCall {
    fn drop(&mut self) {
        self.0.0.calls.send_modify(|calls| calls.outstanding -= 1);
    }
}

/// A stream whose bytes are counted.
pub(in crate::hatchet::transport) type CountedStream<T> = InspectReader<InspectWriter<T, Observer>, Observer>;

/// Receives all bytes that are read or written.
type Observer = Box<dyn FnMut(&[u8]) + Send>;
