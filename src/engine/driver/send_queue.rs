//! One stream's queue of messages, bounded in number and in bytes: whoever puts something in never waits.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_util::Stream;
use tokio::sync::futures::OwnedNotified;
use tonic::Status;

use crate::engine::persistence::barrier::CommitBarrier;

/// The queue. The engine puts in, one [`QueueReader`] takes out.
pub(crate) struct SendQueue<T> {
    inner: Mutex<Inner<T>>,
    gate: Arc<CommitBarrier>,
    max_count: usize,
    max_bytes: usize,
}

struct Inner<T> {
    letters: VecDeque<Letter<T>>,
    bytes: usize,
    waker: Option<Waker>,
    end: Option<End>,
}

/// A message with its size, and the batch at which it may go out.
struct Letter<T> {
    message: T,
    bytes: usize,
    due: u64,
}

/// How a stream ends after what is still in it.
enum End {
    Quietly,
    With(Status),
}

/// The reader was too slow: the message comes back.
#[derive(Debug)]
pub(crate) struct Full<T>(pub(crate) T);

impl<T> SendQueue<T> {
    pub(crate) fn new(gate: &Arc<CommitBarrier>, max_count: usize, max_bytes: usize) -> Arc<Self> {
        let inner = Inner { letters: VecDeque::new(), bytes: 0, waker: None, end: None };
        Arc::new(Self { inner: Mutex::new(inner), gate: gate.clone(), max_count, max_bytes })
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Nothing panics while it is locked; if it did, the queue would still be whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something of about `bytes` in. One message always fits, however large. What comes after the end is
    /// dropped.
    pub(crate) fn put(&self, message: T, bytes: usize) -> Result<(), Full<T>> {
        let mut inner = self.lock();
        if inner.end.is_some() {
            return Ok(());
        }
        let over = inner.letters.len() >= self.max_count || inner.bytes + bytes > self.max_bytes;
        if (over || self.gate.is_crowded(bytes)) && !inner.letters.is_empty() {
            return Err(Full(message));
        }
        inner.letters.push_back(Letter { message, bytes, due: self.gate.due() });
        inner.bytes += bytes;
        self.gate.wait_unread(bytes);
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    /// Ends the stream when what is in it has been read.
    pub(crate) fn close(&self) {
        self.end(End::Quietly);
    }

    /// Ends the stream with an error; what is in it is dropped.
    pub(crate) fn fail(&self, status: Status) {
        drop(self.unread());
        self.end(End::With(status));
    }

    /// Takes out what no one has read.
    pub(crate) fn unread(&self) -> Vec<T> {
        let mut inner = self.lock();
        self.gate.leave_unread(std::mem::take(&mut inner.bytes));
        inner.letters.drain(..).map(|letter| letter.message).collect()
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

    /// The batch that the first message waits for.
    fn held(&self) -> Option<u64> {
        self.lock().letters.front().map(|letter| letter.due).filter(|due| !self.gate.is_open(*due))
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Option<Result<T, Status>>> {
        let mut inner = self.lock();
        if let Some(letter) = inner.letters.pop_front() {
            inner.bytes -= letter.bytes;
            self.gate.leave_unread(letter.bytes);
            return Poll::Ready(Some(Ok(letter.message)));
        }
        match inner.end.take() {
            None => {
                inner.waker = Some(context.waker().clone());
                Poll::Pending
            }
            Some(End::Quietly) => {
                inner.end = Some(End::Quietly);
                Poll::Ready(None)
            }
            Some(End::With(status)) => {
                inner.end = Some(End::Quietly);
                Poll::Ready(Some(Err(status)))
            }
        }
    }
}

impl<T> Drop for SendQueue<T> {
    fn drop(&mut self) {
        drop(self.unread());
    }
}

/// The stream of what is put in. When it is dropped, because the client has gone, the engine is told.
pub(crate) struct QueueReader<T> {
    mailbox: Arc<SendQueue<T>>,
    /// While the first message may not go out yet.
    held: Option<Pin<Box<OwnedNotified>>>,
    gone: Option<Box<dyn FnOnce() + Send>>,
}

impl<T> QueueReader<T> {
    pub(crate) fn new(mailbox: Arc<SendQueue<T>>, gone: impl FnOnce() + Send + 'static) -> Self {
        Self { mailbox, held: None, gone: Some(Box::new(gone)) }
    }
}

impl<T> Stream for QueueReader<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { mailbox, held, .. } = &mut *self;
        while mailbox.held().is_some() {
            let moves = held.get_or_insert_with(|| Box::pin(mailbox.gate.moves()));
            match moves.as_mut().poll(context) {
                // Asked once more: it may have opened before the wait began.
                Poll::Pending if mailbox.held().is_some() => return Poll::Pending,
                Poll::Pending => {}
                Poll::Ready(()) => *held = None,
            }
        }
        *held = None;
        mailbox.poll(context)
    }
}

impl<T> Drop for QueueReader<T> {
    fn drop(&mut self) {
        if let Some(gone) = self.gone.take() {
            gone();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt};

    use super::*;

    #[test]
    fn bounds_order_and_ends() {
        let mailbox = SendQueue::new(&Arc::default(), 2, 10);
        let mut reader = QueueReader::new(mailbox.clone(), || {});
        assert!(mailbox.put(1, 100).is_ok(), "one always fits");
        assert!(mailbox.put(2, 1).is_err(), "bytes");
        assert_eq!(reader.next().now_or_never().flatten().and_then(Result::ok), Some(1));
        assert!(mailbox.put(3, 1).is_ok() && mailbox.put(4, 1).is_ok() && mailbox.put(5, 1).is_err());
        mailbox.close();
        assert!(mailbox.put(6, 1).is_ok(), "dropped");
        let rest: Vec<_> = reader.by_ref().map(Result::ok).collect().now_or_never().unwrap();
        assert_eq!(rest, [Some(3), Some(4)]);
    }

    #[test]
    fn a_message_waits_until_what_it_says_is_kept() {
        let gate = Arc::new(CommitBarrier::default());
        let mailbox = SendQueue::new(&gate, 9, 99);
        let mut reader = QueueReader::new(mailbox.clone(), || {});
        let mut next = || reader.next().now_or_never().map(|next| next.map(Result::ok));
        mailbox.put(1, 1).unwrap();
        gate.set_due(1);
        mailbox.put(2, 1).unwrap();
        gate.set_due(2);
        mailbox.put(3, 1).unwrap();
        mailbox.close();
        assert_eq!((next(), next()), (Some(Some(Some(1))), None));
        gate.open(1);
        assert_eq!((next(), next()), (Some(Some(Some(2))), None));
        gate.open(2);
        assert_eq!((next(), next()), (Some(Some(Some(3))), Some(None)));
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let gate = Arc::new(CommitBarrier::default());
        gate.set_due(1);
        let mailbox = SendQueue::new(&gate, 9, 99);
        let mut reader = QueueReader::new(mailbox.clone(), || {});
        mailbox.put(1, 1).unwrap();
        let (read, ()) = tokio::join!(reader.next(), async {
            tokio::task::yield_now().await;
            gate.open(1);
        });
        assert_eq!(read.and_then(Result::ok), Some(1));
    }

    #[test]
    fn an_error_comes_instead_of_the_rest_and_the_end_is_told() {
        let mailbox = SendQueue::new(&Arc::default(), 2, 10);
        let (told, was_told) = std::sync::mpsc::channel();
        let mut reader = QueueReader::new(mailbox.clone(), move || told.send(()).unwrap());
        mailbox.put(1, 1).unwrap();
        mailbox.fail(Status::resource_exhausted("slow"));
        assert!(reader.next().now_or_never().flatten().is_some_and(|r| r.is_err()));
        assert!(reader.next().now_or_never().unwrap().is_none());
        drop(reader);
        was_told.try_recv().unwrap();
    }

    #[test]
    fn all_streams_together_are_bounded_and_a_reader_is_not_held_up() {
        let gate = Arc::new(CommitBarrier::default());
        let (slow, fast) = (SendQueue::new(&gate, 10, usize::MAX), SendQueue::new(&gate, 10, usize::MAX));
        slow.put(1, 500 << 20).unwrap();
        assert!(slow.put(2, 500 << 20).is_err(), "all");
        let mut reader = QueueReader::new(fast.clone(), || {});
        for n in 0..3 {
            fast.put(n, 500 << 20).unwrap();
            assert_eq!(reader.next().now_or_never().flatten().and_then(Result::ok), Some(n));
        }
        drop(slow);
        assert!(fast.put(0, 1).is_ok() && fast.put(1, 500 << 20).is_ok(), "what is dropped does not count");
    }
}
