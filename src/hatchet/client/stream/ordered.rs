//! Orders the chunks of a stream of events, with a bounded delay.

use std::{collections::VecDeque, time::Duration};

use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use super::{RunEvent, reorder_buffer::ReorderBuffer};

/// Maximum time for which a chunk is buffered until its predecessor arrives. A real engine disorders chunks only within
/// one batch of events, and a subscription that starts late never receives the earlier chunks.
const MAX_DELAY: Duration = Duration::from_millis(200);

/// The events of one stream, in order.
pub(super) struct OrderedEvents<'a, S, E> {
    /// Each event, and whether the engine closes the stream after it.
    wire: S,
    buffer: &'a mut ReorderBuffer,
    /// The time at which the first buffered chunk arrived. Later chunks do not extend the delay.
    buffered_since: Option<Instant>,
    ready: VecDeque<RunEvent>,
    /// The stream has ended, with this error if it broke.
    end: Option<Option<E>>,
}

impl<'a, E, S: Stream<Item = Result<(bool, RunEvent), E>> + Unpin> OrderedEvents<'a, S, E> {
    /// Orders the events of `wire`. The buffer outlives it, because the numbers of chunks continue in the next stream.
    pub(super) fn new(wire: S, buffer: &'a mut ReorderBuffer) -> Self {
        Self { wire, buffer, buffered_since: None, ready: VecDeque::new(), end: None }
    }

    /// Returns the next event; after the last event, the error if the stream broke. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Result<RunEvent, E>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(end) = &mut self.end {
                return end.take().map(Err);
            }
            self.buffered_since = self.buffer.has_chunks().then(|| self.buffered_since.unwrap_or_else(Instant::now));
            let flush_at = self.buffered_since.map(|since| since + MAX_DELAY);
            let end = tokio::select! {
                () = sleep_until(flush_at.unwrap_or_else(Instant::now)), if flush_at.is_some() => None,
                next = self.wire.next() => match next {
                    Some(Ok((is_last, event))) => {
                        self.ready.extend(self.buffer.push(event));
                        if !is_last {
                            continue;
                        }
                        Some(None)
                    }
                    Some(Err(error)) => Some(Some(error)),
                    None => Some(None),
                },
            };
            self.ready.extend(self.buffer.flush());
            self.end = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::mpsc, time::timeout};
    use tokio_stream::wrappers::ReceiverStream;

    use super::{super::RunEventKind, *};

    type Wire = mpsc::Sender<Result<(bool, RunEvent), &'static str>>;

    type Events<'a> = OrderedEvents<'a, ReceiverStream<Result<(bool, RunEvent), &'static str>>, &'static str>;

    fn wire(buffer: &mut ReorderBuffer) -> (Wire, Events<'_>) {
        let (sender, receiver) = mpsc::channel(16);
        (sender, OrderedEvents::new(ReceiverStream::new(receiver), buffer))
    }

    fn chunk(index: i64) -> RunEvent {
        let kind = RunEventKind::Chunk { text: String::new(), index: Some(index) };
        RunEvent { run: "r".to_owned(), retry_count: None, kind }
    }

    async fn send(wire: &Wire, index: i64) {
        wire.send(Ok((false, chunk(index)))).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn chunk_without_predecessor_is_delayed_by_limit() {
        let mut buffer = ReorderBuffer::default();
        let (wire, mut events) = wire(&mut buffer);
        send(&wire, 1).await;
        let started = Instant::now();
        let just_before = MAX_DELAY - Duration::from_millis(1);
        assert!(timeout(just_before, events.next()).await.is_err(), "the predecessor may still arrive");
        // Later chunks do not extend the delay.
        send(&wire, 3).await;
        let missed = RunEvent { kind: RunEventKind::Missed { chunks: 1, before: 1 }, ..chunk(1) };
        assert_eq!(events.next().await, Some(Ok(missed)));
        assert_eq!(started.elapsed(), MAX_DELAY);
        assert_eq!(events.next().await, Some(Ok(chunk(1))));
        assert_eq!(started.elapsed(), MAX_DELAY, "all buffered chunks are released together");
        let missed = RunEvent { kind: RunEventKind::Missed { chunks: 1, before: 3 }, ..chunk(3) };
        assert_eq!(events.next().await, Some(Ok(missed)));
        assert_eq!(events.next().await, Some(Ok(chunk(3))));
        // The next gap has its own delay.
        send(&wire, 5).await;
        assert!(timeout(just_before, events.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn predecessor_within_limit_comes_first() {
        let mut buffer = ReorderBuffer::default();
        let (wire, mut events) = wire(&mut buffer);
        send(&wire, 1).await;
        assert!(timeout(MAX_DELAY / 2, events.next()).await.is_err());
        send(&wire, 0).await;
        assert_eq!(events.next().await, Some(Ok(chunk(0))));
        assert_eq!(events.next().await, Some(Ok(chunk(1))));
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_continue_after_stream_breaks() {
        let mut buffer = ReorderBuffer::default();
        for index in [0, 1] {
            let (wire, mut events) = wire(&mut buffer);
            send(&wire, index).await;
            assert_eq!(events.next().await, Some(Ok(chunk(index))), "no chunk is missing");
            wire.send(Err("broke")).await.unwrap();
            assert_eq!(events.next().await, Some(Err("broke")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn buffered_chunks_precede_the_end() {
        for end in [Err("broke"), Ok((true, chunk(9)))] {
            let mut buffer = ReorderBuffer::default();
            let (wire, mut events) = wire(&mut buffer);
            send(&wire, 1).await;
            let error = end.as_ref().err().copied();
            wire.send(end).await.unwrap();
            let mut indexes = Vec::new();
            let last = loop {
                match events.next().await {
                    Some(Ok(RunEvent { kind: RunEventKind::Chunk { index, .. }, .. })) => indexes.extend(index),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Some(error),
                    None => break None,
                }
            };
            assert_eq!(last, error);
            assert_eq!(indexes, if error.is_some() { vec![1] } else { vec![1, 9] });
            assert_eq!(events.next().await, None, "the end is final");
        }
    }
}
