//! Puts a run's chunks back in order.
//!
//! A real engine restores it only for those who subscribe by run id; by metadata, chunks arrive in any order.

use std::collections::{BTreeMap, HashMap};

use super::{RunEvent, RunEventKind};

/// Chunks of one run that wait for an earlier one; more than these are handed on as they are.
const MOST_EARLY: usize = 1_000;
/// Runs whose numbers are kept. The end of a run takes it off, but an end may get lost, and a chunk may come after it; of
/// more runs than these, the half that has been silent longest is forgotten.
const MOST_RUNS: usize = 2_000;

/// Chunks that came early, by run.
#[derive(Default)]
pub(super) struct ChunkOrder {
    runs: HashMap<String, Run>,
    /// Counts the chunks.
    clock: u64,
}

#[derive(Default)]
struct Run {
    /// The number that comes next in this attempt.
    next: i64,
    early: BTreeMap<i64, RunEvent>,
    /// The clock at its last chunk.
    touched: u64,
}

impl ChunkOrder {
    /// Takes an event, and gives what is to be handed on now.
    pub(super) fn take(&mut self, event: RunEvent) -> Vec<RunEvent> {
        match &event.kind {
            RunEventKind::Chunk { index: Some(index), .. } => {
                let index = *index;
                self.clock += 1;
                let run = self.runs.entry(event.run.clone()).or_default();
                run.touched = self.clock;
                let mut events = run.chunk(index, event);
                if self.runs.len() > MOST_RUNS {
                    events.extend(self.forget_half());
                }
                events
            }
            // The attempt is over: what is missing will not come, and the next one counts from 0.
            RunEventKind::Completed
            | RunEventKind::Failed { .. }
            | RunEventKind::Cancelled
            | RunEventKind::TimedOut
            | RunEventKind::RunEnded => {
                let mut events = self.runs.remove(&event.run).map(|mut run| run.flush()).unwrap_or_default();
                events.push(event);
                events
            }
            RunEventKind::Created
            | RunEventKind::Chunk { index: None, .. }
            | RunEventKind::Missed { .. }
            | RunEventKind::Gap
            | RunEventKind::Unknown { .. } => vec![event],
        }
    }

    /// Whether something waits for an earlier chunk.
    pub(super) fn is_waiting(&self) -> bool {
        self.runs.values().any(|run| !run.early.is_empty())
    }

    /// Gives up on what is missing.
    pub(super) fn flush(&mut self) -> Vec<RunEvent> {
        self.runs.values_mut().flat_map(Run::flush).collect()
    }

    fn forget_half(&mut self) -> Vec<RunEvent> {
        let mut touched: Vec<u64> = self.runs.values().map(|run| run.touched).collect();
        let (_, median, _) = touched.select_nth_unstable(MOST_RUNS / 2);
        let old = self.runs.extract_if(|_, run| run.touched < *median);
        old.flat_map(|(_, mut run)| run.flush()).collect()
    }
}

impl Run {
    fn chunk(&mut self, index: i64, event: RunEvent) -> Vec<RunEvent> {
        if index > self.next {
            self.early.insert(index, event);
            return if self.early.len() > MOST_EARLY { self.flush() } else { Vec::new() };
        }
        if index < self.next && index > 0 {
            // One that was given up on.
            return vec![event];
        }
        let mut events = Vec::new();
        if index < self.next {
            // A new attempt, whose predecessor's end was not told.
            events = self.flush();
        }
        self.next = index.saturating_add(1);
        events.push(event);
        while let Some(event) = self.early.remove(&self.next) {
            self.next = self.next.saturating_add(1);
            events.push(event);
        }
        events
    }

    /// Gives what came early, with a word wherever something is missing, and goes on behind it.
    fn flush(&mut self) -> Vec<RunEvent> {
        let mut events = Vec::new();
        for (index, event) in std::mem::take(&mut self.early) {
            if index > self.next {
                let kind = RunEventKind::Missed { chunks: index.saturating_sub(self.next), before: index };
                events.push(RunEvent { run: event.run.clone(), retry_count: event.retry_count, kind });
            }
            self.next = index.saturating_add(1);
            events.push(event);
        }
        events
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
        assert_eq!(events[0].kind, RunEventKind::Missed { chunks: 2, before: 2 });
        assert_eq!((indexes(&events), events.len()), (vec![2], 3));
        assert_eq!(indexes(&order.take(chunk(0))), [0]);
        assert!(!order.is_waiting());
    }

    #[test]
    fn after_a_gap_was_given_up_the_rest_flows() {
        let mut order = ChunkOrder::default();
        order.take(chunk(5));
        assert_eq!(indexes(&order.flush()), [5]);
        assert_eq!(indexes(&order.take(chunk(6))), [6]);
        let late = order.take(chunk(3));
        assert_eq!((indexes(&late), late.len()), (vec![3], 1), "late, but not lost");
        let next = order.take(chunk(7));
        assert_eq!((indexes(&next), next.len()), (vec![7], 1), "and what was late makes no gap");
    }

    #[test]
    fn each_gap_is_said_once_with_its_size() {
        let mut order = ChunkOrder::default();
        for index in [0, 1, 4, 5, 9] {
            order.take(chunk(index));
        }
        let missed = |events: Vec<RunEvent>| {
            events.into_iter().filter_map(|event| match event.kind {
                RunEventKind::Missed { chunks, before } => Some((chunks, before)),
                _ => None,
            })
        };
        assert_eq!(missed(order.flush()).collect::<Vec<_>>(), [(2, 4), (3, 9)]);
        assert_eq!(missed(order.take(end())).count(), 0);
    }

    #[test]
    fn runs_whose_end_was_never_told_are_not_kept_for_ever() {
        let mut order = ChunkOrder::default();
        let mut handed_on = 0;
        for run in 0..MOST_RUNS * 5 {
            // Each holds a chunk back.
            handed_on += indexes(&order.take(RunEvent { run: run.to_string(), ..chunk(1) })).len();
            assert!(order.runs.len() <= MOST_RUNS);
        }
        handed_on += indexes(&order.flush()).len();
        assert_eq!(handed_on, MOST_RUNS * 5, "forgotten, and not lost");
        assert!(order.runs.contains_key(&(MOST_RUNS * 5 - 1).to_string()), "the youngest stay");
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
