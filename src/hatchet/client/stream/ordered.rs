//! Events with their chunks in order, and none of them delayed for long.

use std::{collections::VecDeque, time::Duration};

use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use super::{RunEvent, reorder_buffer::ReorderBuffer};

/// Longest time that a chunk is buffered for a missing predecessor. A real engine disorders chunks only within one batch
/// of events, and a subscription that starts late must not wait for chunks that were sent before.
const LONGEST_DELAY: Duration = Duration::from_millis(200);

/// The events of one stream, in order.
pub(super) struct OrderedEvents<'a, S, E> {
    /// Each event, and whether the engine closes the stream after it.
    wire: S,
    buffer: &'a mut ReorderBuffer,
    /// When the first of the buffered chunks was buffered. Later chunks do not extend the delay.
    buffered_since: Option<Instant>,
    ready: VecDeque<RunEvent>,
    /// The stream is over, for this reason if it broke.
    ended: Option<Option<E>>,
}

impl<'a, E, S: Stream<Item = Result<(bool, RunEvent), E>> + Unpin> OrderedEvents<'a, S, E> {
    /// The buffer outlives the stream, because the numbers continue in the next one.
    pub(super) fn new(wire: S, buffer: &'a mut ReorderBuffer) -> Self {
        Self { wire, buffer, buffered_since: None, ready: VecDeque::new(), ended: None }
    }

    /// The next event; after the last one the error that broke the stream, if one did. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Result<RunEvent, E>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(ended) = &mut self.ended {
                return ended.take().map(Err);
            }
            self.buffered_since = self.buffer.has_chunks().then(|| self.buffered_since.unwrap_or_else(Instant::now));
            let flush_at = self.buffered_since.map(|since| since + LONGEST_DELAY);
            let ended = tokio::select! {
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
            self.ended = ended;
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
    async fn chunk_is_delayed_for_its_predecessor_by_a_limit() {
        let mut buffer = ReorderBuffer::default();
        let (wire, mut events) = wire(&mut buffer);
        send(&wire, 1).await;
        let begun = Instant::now();
        let just_before = LONGEST_DELAY - Duration::from_millis(1);
        assert!(timeout(just_before, events.next()).await.is_err(), "its predecessor may come");
        // Later chunks do not extend the delay.
        send(&wire, 3).await;
        let missed = RunEvent { kind: RunEventKind::Missed { chunks: 1, before: 1 }, ..chunk(1) };
        assert_eq!(events.next().await, Some(Ok(missed)));
        assert_eq!(begun.elapsed(), LONGEST_DELAY);
        assert_eq!(events.next().await, Some(Ok(chunk(1))));
        assert_eq!(begun.elapsed(), LONGEST_DELAY, "all buffered chunks are released together");
        let missed = RunEvent { kind: RunEventKind::Missed { chunks: 1, before: 3 }, ..chunk(3) };
        assert_eq!(events.next().await, Some(Ok(missed)));
        assert_eq!(events.next().await, Some(Ok(chunk(3))));
        // The next gap has its own delay.
        send(&wire, 5).await;
        assert!(timeout(just_before, events.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn predecessor_in_time_comes_first() {
        let mut buffer = ReorderBuffer::default();
        let (wire, mut events) = wire(&mut buffer);
        send(&wire, 1).await;
        assert!(timeout(LONGEST_DELAY / 2, events.next()).await.is_err());
        send(&wire, 0).await;
        assert_eq!(events.next().await, Some(Ok(chunk(0))));
        assert_eq!(events.next().await, Some(Ok(chunk(1))));
    }

    #[tokio::test(start_paused = true)]
    async fn numbers_continue_after_a_broken_stream() {
        let mut buffer = ReorderBuffer::default();
        for index in [0, 1] {
            let (wire, mut events) = wire(&mut buffer);
            send(&wire, index).await;
            assert_eq!(events.next().await, Some(Ok(chunk(index))), "nothing is missing before it");
            wire.send(Err("broke")).await.unwrap();
            assert_eq!(events.next().await, Some(Err("broke")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn buffered_chunks_come_before_the_end() {
        for end in [Err("broke"), Ok((true, chunk(9)))] {
            let mut buffer = ReorderBuffer::default();
            let (wire, mut events) = wire(&mut buffer);
            send(&wire, 1).await;
            let broke = end.as_ref().err().copied();
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
            assert_eq!(last, broke);
            assert_eq!(indexes, if broke.is_some() { vec![1] } else { vec![1, 9] });
            assert_eq!(events.next().await, None, "the end is final");
        }
    }
}
