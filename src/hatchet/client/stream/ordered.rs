//! Events of runs with their chunks in order, and none of them held for long.

use std::{collections::VecDeque, time::Duration};

use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use super::{RunEvent, reorder::ChunkOrder};

/// A chunk whose predecessor is missing is held this long and then handed on: the disorder of a real engine lies within
/// one batch of events, and one who attaches late must not wait for what was sent before.
const PATIENCE: Duration = Duration::from_millis(200);

/// What comes from the wire, put in order.
pub(super) struct InOrder<'a, S, E> {
    /// Each event with whether the engine hangs up after it.
    wire: S,
    order: &'a mut ChunkOrder,
    /// Since when a chunk is held. Later ones do not put its end off.
    held: Option<Instant>,
    ready: VecDeque<RunEvent>,
    ended: Option<Option<E>>,
}

impl<'a, E, S: Stream<Item = Result<(bool, RunEvent), E>> + Unpin> InOrder<'a, S, E> {
    /// `order` outlives the stream, since the numbers go on in the next one.
    pub(super) fn new(wire: S, order: &'a mut ChunkOrder) -> Self {
        Self { wire, order, held: None, ready: VecDeque::new(), ended: None }
    }

    /// The next event; after the last one what broke the stream, if it broke. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<Result<RunEvent, E>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if let Some(ended) = &mut self.ended {
                return ended.take().map(Err);
            }
            self.held = self.order.is_waiting().then(|| self.held.unwrap_or_else(Instant::now));
            let given_up = async {
                match self.held {
                    Some(since) => sleep_until(since + PATIENCE).await,
                    None => std::future::pending().await,
                }
            };
            let ended = tokio::select! {
                () = given_up => None,
                next = self.wire.next() => match next {
                    Some(Ok((hangup, event))) => {
                        self.ready.extend(self.order.take(event));
                        if !hangup {
                            continue;
                        }
                        Some(None)
                    }
                    Some(Err(error)) => Some(Some(error)),
                    None => Some(None),
                },
            };
            self.ready.extend(self.order.flush());
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

    type Events<'a> = InOrder<'a, ReceiverStream<Result<(bool, RunEvent), &'static str>>, &'static str>;

    fn wire(order: &mut ChunkOrder) -> (Wire, Events<'_>) {
        let (sender, receiver) = mpsc::channel(16);
        (sender, InOrder::new(ReceiverStream::new(receiver), order))
    }

    fn chunk(index: i64) -> RunEvent {
        let kind = RunEventKind::Chunk { text: String::new(), index: Some(index) };
        RunEvent { run: "r".to_owned(), retry_count: None, kind }
    }

    async fn send(wire: &Wire, index: i64) {
        wire.send(Ok((false, chunk(index)))).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_chunk_is_held_for_its_predecessor_and_no_longer() {
        let mut order = ChunkOrder::default();
        let (wire, mut events) = wire(&mut order);
        send(&wire, 1).await;
        let begun = Instant::now();
        let just_before = PATIENCE - Duration::from_millis(1);
        assert!(timeout(just_before, events.next()).await.is_err(), "its predecessor may come");
        // Others that come do not put the end off.
        send(&wire, 3).await;
        let missed = RunEvent { kind: RunEventKind::Missed { chunks: 1, before: 1 }, ..chunk(1) };
        assert_eq!(events.next().await, Some(Ok(missed)));
        assert_eq!(begun.elapsed(), PATIENCE);
        assert_eq!(events.next().await, Some(Ok(chunk(1))));
        assert_eq!(begun.elapsed(), PATIENCE, "all that is held is handed on together");
        let missed = RunEvent { kind: RunEventKind::Missed { chunks: 1, before: 3 }, ..chunk(3) };
        assert_eq!(events.next().await, Some(Ok(missed)));
        assert_eq!(events.next().await, Some(Ok(chunk(3))));
        // The next gap has its own time.
        send(&wire, 5).await;
        assert!(timeout(just_before, events.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_comes_in_time_is_put_before_it() {
        let mut order = ChunkOrder::default();
        let (wire, mut events) = wire(&mut order);
        send(&wire, 1).await;
        assert!(timeout(PATIENCE / 2, events.next()).await.is_err());
        send(&wire, 0).await;
        assert_eq!(events.next().await, Some(Ok(chunk(0))));
        assert_eq!(events.next().await, Some(Ok(chunk(1))));
    }

    #[tokio::test(start_paused = true)]
    async fn the_numbers_go_on_over_a_broken_stream() {
        let mut order = ChunkOrder::default();
        for index in [0, 1] {
            let (wire, mut events) = wire(&mut order);
            send(&wire, index).await;
            assert_eq!(events.next().await, Some(Ok(chunk(index))), "nothing is missing before it");
            wire.send(Err("broke")).await.unwrap();
            assert_eq!(events.next().await, Some(Err("broke")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_comes_before_the_end() {
        for end in [Err("broke"), Ok((true, chunk(9)))] {
            let mut order = ChunkOrder::default();
            let (wire, mut events) = wire(&mut order);
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
            assert_eq!(events.next().await, None, "and that was all");
        }
    }
}
