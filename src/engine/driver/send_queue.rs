//! The send queue of a stream: bounded in messages and in bytes, so that appending a message never blocks.
//!
//! A message is sent only after the batch that it reports is committed. A client that reads too slowly fills its queue
//! and is disconnected with RESOURCE_EXHAUSTED; it never slows the engine or another stream down.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use tokio::sync::futures::OwnedNotified;
use tonic::Status;

use crate::engine::persistence::barrier::CommitBarrier;

/// Bytes that may be queued in all streams together: 512 MiB, not a limit of Hatchet. Beyond that each stream may queue
/// one message.
const MAX_TOTAL_BYTES: usize = 512 << 20;

/// The shared state of all send queues of an engine.
#[derive(Debug, Default)]
pub(crate) struct SendQueues {
    barrier: Arc<CommitBarrier>,
    /// Bytes queued in all streams.
    bytes: AtomicUsize,
}

impl SendQueues {
    pub(crate) fn new(barrier: &Arc<CommitBarrier>) -> Arc<Self> {
        Arc::new(Self { barrier: barrier.clone(), bytes: AtomicUsize::new(0) })
    }

    /// A queue for one stream, with its limits in messages and bytes.
    pub(crate) fn open<T>(self: &Arc<Self>, max_count: usize, max_bytes: usize) -> Arc<SendQueue<T>> {
        let inner = Inner { messages: VecDeque::new(), bytes: 0, waker: None, end: None };
        Arc::new(SendQueue { inner: Mutex::new(inner), shared: self.clone(), max_count, max_bytes })
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.bytes.load(Ordering::Relaxed).saturating_add(bytes) <= MAX_TOTAL_BYTES
    }
}

/// The send queue of one stream. The driver appends messages, and one [`QueueReader`] takes them out.
pub(crate) struct SendQueue<T> {
    inner: Mutex<Inner<T>>,
    shared: Arc<SendQueues>,
    max_count: usize,
    max_bytes: usize,
}

struct Inner<T> {
    messages: VecDeque<Message<T>>,
    bytes: usize,
    waker: Option<Waker>,
    end: Option<End>,
}

/// A queued message, with its size and the batch it waits for.
struct Message<T> {
    content: T,
    bytes: usize,
    batch: u64,
}

/// The end of the stream after the queued messages.
enum End {
    Ok,
    Error(Status),
}

/// The queue is full; the message is returned.
#[derive(Debug)]
pub(crate) struct QueueFull<T>(pub(crate) T);

impl<T> SendQueue<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Nothing panics while it is locked; if it did, the queue would still be consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a message of about `bytes`. An empty queue takes any message, however large. Messages after the end are
    /// dropped.
    pub(crate) fn push(&self, content: T, bytes: usize) -> Result<(), QueueFull<T>> {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return Ok(());
        }
        let is_full = inner.messages.len() >= self.max_count || inner.bytes + bytes > self.max_bytes;
        if (is_full || !self.shared.has_room(bytes)) && !inner.messages.is_empty() {
            return Err(QueueFull(content));
        }
        inner.messages.push_back(Message { content, bytes, batch: self.shared.barrier.pending() });
        inner.bytes += bytes;
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    /// Ends the stream after the queued messages.
    pub(crate) fn close(&self) {
        self.end(End::Ok);
    }

    /// Ends the stream with an error; the queued messages are dropped.
    pub(crate) fn fail(&self, status: Status) {
        drop(self.drain());
        self.end(End::Error(status));
    }

    /// Takes out all queued messages.
    pub(crate) fn drain(&self) -> Vec<T> {
        let mut inner = self.lock();
        self.shared.bytes.fetch_sub(std::mem::take(&mut inner.bytes), Ordering::Relaxed);
        inner.messages.drain(..).map(|message| message.content).collect()
    }

    fn end(&self, end: End) {
        let mut inner = self.lock();
        if inner.end.is_none() {
            inner.end = Some(end);
        }
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }

    /// Whether the first message waits for its batch.
    fn is_withheld(&self) -> bool {
        let batch = self.lock().messages.front().map(|message| message.batch);
        batch.is_some_and(|batch| !self.shared.barrier.is_committed(batch))
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        let mut inner = self.lock();
        if let Some(message) = inner.messages.pop_front() {
            inner.bytes -= message.bytes;
            self.shared.bytes.fetch_sub(message.bytes, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(message.content)));
        }
        match inner.end.take() {
            None => {
                inner.waker = Some(context.waker().clone());
                Poll::Pending
            }
            Some(End::Ok) => {
                inner.end = Some(End::Ok);
                Poll::Ready(None)
            }
            Some(End::Error(status)) => {
                inner.end = Some(End::Ok);
                Poll::Ready(Some(Err(status)))
            }
        }
    }
}

impl<T> Drop for SendQueue<T> {
    fn drop(&mut self) {
        drop(self.drain());
    }
}

/// The stream of a send queue's messages. Dropping it, as when the client disconnects, calls `on_drop`.
pub(crate) struct QueueReader<T> {
    queue: Arc<SendQueue<T>>,
    /// The next progress of the commit barrier. `Some` while the first message is withheld.
    progress: Option<Pin<Box<OwnedNotified>>>,
    on_drop: Option<Box<dyn FnOnce() + Send>>,
}

impl<T> QueueReader<T> {
    pub(crate) fn new(queue: Arc<SendQueue<T>>, on_drop: impl FnOnce() + Send + 'static) -> Self {
        Self { queue, progress: None, on_drop: Some(Box::new(on_drop)) }
    }
}

impl<T> Stream for QueueReader<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { queue, progress, .. } = &mut *self;
        while queue.is_withheld() {
            let notified = progress.get_or_insert_with(|| Box::pin(queue.shared.barrier.progress()));
            match notified.as_mut().poll(context) {
                // Checked again: the batch may have been committed before the wait was registered.
                Poll::Pending if queue.is_withheld() => return Poll::Pending,
                Poll::Pending => {}
                Poll::Ready(()) => *progress = None,
            }
        }
        *progress = None;
        queue.poll(context)
    }
}

impl<T> Drop for QueueReader<T> {
    fn drop(&mut self) {
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    fn queues() -> Arc<SendQueues> {
        SendQueues::new(&Arc::default())
    }

    #[test]
    fn queue_is_bounded_ordered_and_closed() {
        let queue = queues().open(2, 10);
        let mut reader = QueueReader::new(queue.clone(), || {});
        assert!(queue.push(1, 100).is_ok(), "an empty queue takes any message");
        assert!(queue.push(2, 1).is_err(), "bytes");
        assert_eq!(reader.next().now_or_never().flatten().and_then(Result::ok), Some(1));
        assert!(queue.push(3, 1).is_ok() && queue.push(4, 1).is_ok() && queue.push(5, 1).is_err());
        queue.close();
        assert!(queue.push(6, 1).is_ok(), "dropped");
        let rest: Vec<_> = reader.by_ref().map(Result::ok).collect().now_or_never().unwrap();
        assert_eq!(rest, [Some(3), Some(4)]);
    }

    #[test]
    fn message_is_withheld_until_its_batch_is_committed() {
        let barrier = Arc::new(CommitBarrier::default());
        let queues = SendQueues::new(&barrier);
        let queue = queues.open(9, 99);
        let mut reader = QueueReader::new(queue.clone(), || {});
        let mut next = || reader.next().now_or_never().map(|next| next.map(Result::ok));
        queue.push(1, 1).unwrap();
        barrier.set_pending(1);
        queue.push(2, 1).unwrap();
        barrier.set_pending(2);
        queue.push(3, 1).unwrap();
        queue.close();
        assert_eq!((next(), next()), (Some(Some(Some(1))), None));
        barrier.commit(1);
        assert_eq!((next(), next()), (Some(Some(Some(2))), None));
        barrier.commit(2);
        assert_eq!((next(), next()), (Some(Some(Some(3))), Some(None)));
    }

    #[tokio::test]
    async fn waiting_reader_is_woken_by_a_commit() {
        let barrier = Arc::new(CommitBarrier::default());
        let queues = SendQueues::new(&barrier);
        barrier.set_pending(1);
        let queue = queues.open(9, 99);
        let mut reader = QueueReader::new(queue.clone(), || {});
        queue.push(1, 1).unwrap();
        let (read, ()) = tokio::join!(reader.next(), async {
            tokio::task::yield_now().await;
            barrier.commit(1);
        });
        assert_eq!(read.and_then(Result::ok), Some(1));
    }

    #[test]
    fn failed_queue_drops_messages_and_reports_reader_drop() {
        let queue = queues().open(2, 10);
        let (dropped, is_dropped) = std::sync::mpsc::channel();
        let mut reader = QueueReader::new(queue.clone(), move || dropped.send(()).unwrap());
        queue.push(1, 1).unwrap();
        queue.fail(Status::resource_exhausted("slow"));
        assert!(reader.next().now_or_never().flatten().is_some_and(|r| r.is_err()));
        assert!(reader.next().now_or_never().unwrap().is_none());
        drop(reader);
        is_dropped.try_recv().unwrap();
    }

    #[test]
    fn total_bytes_are_bounded_without_blocking_other_streams() {
        let barrier = Arc::new(CommitBarrier::default());
        let queues = SendQueues::new(&barrier);
        let (slow, fast) = (queues.open(10, usize::MAX), queues.open(10, usize::MAX));
        slow.push(1, 500 << 20).unwrap();
        assert!(slow.push(2, 500 << 20).is_err(), "all");
        let mut reader = QueueReader::new(fast.clone(), || {});
        for n in 0..3 {
            fast.push(n, 500 << 20).unwrap();
            assert_eq!(reader.next().now_or_never().flatten().and_then(Result::ok), Some(n));
        }
        drop(slow);
        assert!(fast.push(0, 1).is_ok() && fast.push(1, 500 << 20).is_ok(), "dropped messages do not count");
    }
}
