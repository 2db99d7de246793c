//! Puts a run's chunks back in order.
//!
//! A real engine restores it only for those who subscribe by run id; by metadata, chunks arrive in any order.

use std::collections::{BTreeMap, HashMap};

use super::{RunEvent, RunEventKind};

/// Chunks of one run that wait for an earlier one; more than these are handed on as they are.
const MOST_EARLY: usize = 1_000;

/// Chunks that came early, by run.
#[derive(Default)]
pub(super) struct ChunkOrder(HashMap<String, Run>);

#[derive(Default)]
struct Run {
    /// The number that comes next in this attempt.
    next: i64,
    early: BTreeMap<i64, RunEvent>,
}

impl ChunkOrder {
    /// Takes an event, and gives what is to be handed on now.
    pub(super) fn take(&mut self, event: RunEvent) -> Vec<RunEvent> {
        match &event.kind {
            RunEventKind::Chunk { index: Some(index), .. } => {
                let index = *index;
                self.0.entry(event.run.clone()).or_default().chunk(index, event)
            }
            // The attempt is over: what is missing will not come, and the next one counts from 0.
            RunEventKind::Completed
            | RunEventKind::Failed { .. }
            | RunEventKind::Cancelled
            | RunEventKind::TimedOut
            | RunEventKind::RunEnded => {
                let mut events = self.0.remove(&event.run).map(Run::flush).unwrap_or_default();
                events.push(event);
                events
            }
            RunEventKind::Created
            | RunEventKind::Chunk { index: None, .. }
            | RunEventKind::Gap
            | RunEventKind::Unknown { .. } => vec![event],
        }
    }

    /// Whether something waits for an earlier chunk.
    pub(super) fn is_waiting(&self) -> bool {
        self.0.values().any(|run| !run.early.is_empty())
    }

    /// Gives up on what is missing.
    pub(super) fn flush(&mut self) -> Vec<RunEvent> {
        self.0.values_mut().flat_map(|run| std::mem::take(run).flush_and_keep(run)).collect::<Vec<_>>()
    }
}

impl Run {
    fn chunk(&mut self, index: i64, event: RunEvent) -> Vec<RunEvent> {
        if index > self.next {
            self.early.insert(index, event);
            if self.early.len() <= MOST_EARLY {
                return Vec::new();
            }
            return std::mem::take(self).flush_and_keep(self);
        }
        if index < self.next && index > 0 {
            // One that was given up on.
            return vec![event];
        }
        let mut events = Vec::new();
        if index < self.next {
            // A new attempt, whose predecessor's end was not told.
            events = std::mem::take(self).flush();
        }
        self.next = index + 1;
        events.push(event);
        while let Some(event) = self.early.remove(&self.next) {
            self.next += 1;
            events.push(event);
        }
        events
    }

    fn flush(self) -> Vec<RunEvent> {
        self.early.into_values().collect()
    }

    /// The same, and goes on behind what was given.
    fn flush_and_keep(self, rest: &mut Self) -> Vec<RunEvent> {
        rest.next = self.early.last_key_value().map_or(self.next, |(last, _)| last + 1);
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk(index: i64) -> RunEvent {
        let kind = RunEventKind::Chunk { text: index.to_string(), index: Some(index) };
        RunEvent { run: "r".to_owned(), retry_count: None, kind }
    }

    fn end() -> RunEvent {
        RunEvent { run: "r".to_owned(), retry_count: None, kind: RunEventKind::Failed { error: String::new() } }
    }

    fn indexes(events: &[RunEvent]) -> Vec<i64> {
        let index = |event: &RunEvent| match event.kind {
            RunEventKind::Chunk { index, .. } => index,
            _ => None,
        };
        events.iter().filter_map(index).collect()
    }

    #[test]
    fn a_gap_is_given_up_at_the_end_of_the_attempt_and_the_next_counts_from_0() {
        let mut order = ChunkOrder::default();
        assert_eq!(indexes(&order.take(chunk(2))), [] as [i64; 0]);
        assert!(order.is_waiting());
        let events = order.take(end());
        assert_eq!((indexes(&events), events.len()), (vec![2], 2));
        assert_eq!(indexes(&order.take(chunk(0))), [0]);
        assert!(!order.is_waiting());
    }

    #[test]
    fn after_a_gap_was_given_up_the_rest_flows() {
        let mut order = ChunkOrder::default();
        order.take(chunk(5));
        assert_eq!(indexes(&order.flush()), [5]);
        assert_eq!(indexes(&order.take(chunk(6))), [6]);
        assert_eq!(indexes(&order.take(chunk(3))), [3], "late, but not lost");
    }

    proptest! {
        #[test]
        fn any_order_comes_out_in_order(mut sent in Just((0..30_i64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut order = ChunkOrder::default();
            let mut received = Vec::new();
            for index in sent.drain(..) {
                received.extend(indexes(&order.take(chunk(index))));
            }
            prop_assert_eq!(received, (0..30).collect::<Vec<_>>());
            prop_assert!(!order.is_waiting());
        }
    }
}
