//! Restores the order of stream chunks.
//!
//! A real engine preserves the order only for subscriptions by run id; by metadata, chunks arrive in any order. Each
//! chunk has a number within its attempt, from 0. A chunk that arrives before its predecessor is buffered until the
//! predecessor arrives or counts as missing: at the end of the attempt, over [`MAX_BUFFERED`] chunks, or when the
//! caller flushes. Each gap is reported once as [`RunEventKind::Missed`]. Each chunk is released exactly once, even if
//! it arrives late.

use std::collections::{BTreeMap, HashMap};

use super::{RunEvent, RunEventKind};

/// Maximum number of buffered chunks of a run. The next chunk flushes the run.
const MAX_BUFFERED: usize = 1_000;
/// Maximum number of tracked runs. The end of a run removes it, but the end can be lost, or be followed by a chunk.
/// Over this number, the least recently used half of the runs is flushed and removed.
const MAX_RUNS: usize = 2_000;

/// Chunks that arrived before their predecessors, by run.
#[derive(Default)]
pub(super) struct ReorderBuffer {
    runs: HashMap<String, Run>,
    /// Number of chunks so far.
    clock: u64,
}

#[derive(Default)]
struct Run {
    /// The number of the next chunk of this attempt.
    next: i64,
    buffered: BTreeMap<i64, RunEvent>,
    /// The clock at the last chunk.
    last_used: u64,
}

impl ReorderBuffer {
    /// Adds an event, and returns the events that can be released.
    pub(super) fn push(&mut self, event: RunEvent) -> Vec<RunEvent> {
        match &event.kind {
            RunEventKind::Chunk { index: Some(index), .. } => {
                let index = *index;
                self.clock += 1;
                let run = self.runs.entry(event.run.clone()).or_default();
                run.last_used = self.clock;
                let mut events = run.push(index, event);
                if self.runs.len() > MAX_RUNS {
                    events.extend(self.remove_half());
                }
                events
            }
            // The attempt has finished: missing chunks will not arrive, and the next attempt counts from 0.
            RunEventKind::Completed
            | RunEventKind::Failed { .. }
            | RunEventKind::Cancelled
            | RunEventKind::TimedOut
            | RunEventKind::RunFinished => {
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

    /// Whether a chunk is buffered.
    pub(super) fn has_chunks(&self) -> bool {
        self.runs.values().any(|run| !run.buffered.is_empty())
    }

    /// Returns the buffered chunks of all runs, with a [`RunEventKind::Missed`] for each gap.
    pub(super) fn flush(&mut self) -> Vec<RunEvent> {
        self.runs.values_mut().flat_map(Run::flush).collect()
    }

    fn remove_half(&mut self) -> Vec<RunEvent> {
        let mut last_used: Vec<u64> = self.runs.values().map(|run| run.last_used).collect();
        let (_, median, _) = last_used.select_nth_unstable(MAX_RUNS / 2);
        let old = self.runs.extract_if(|_, run| run.last_used < *median);
        old.flat_map(|(_, mut run)| run.flush()).collect()
    }
}

impl Run {
    fn push(&mut self, index: i64, event: RunEvent) -> Vec<RunEvent> {
        if index > self.next {
            self.buffered.insert(index, event);
            return if self.buffered.len() > MAX_BUFFERED { self.flush() } else { Vec::new() };
        }
        if index < self.next && index > 0 {
            // Reported as missing, and late.
            return vec![event];
        }
        let mut events = Vec::new();
        if index < self.next {
            // Chunk 0 of the next attempt. The end of the previous attempt was lost.
            events = self.flush();
        }
        self.next = index.saturating_add(1);
        events.push(event);
        while let Some(event) = self.buffered.remove(&self.next) {
            self.next = self.next.saturating_add(1);
            events.push(event);
        }
        events
    }

    /// Returns the buffered chunks, with a [`RunEventKind::Missed`] for each gap.
    fn flush(&mut self) -> Vec<RunEvent> {
        let mut events = Vec::new();
        for (index, event) in std::mem::take(&mut self.buffered) {
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
    fn end_of_attempt_reports_gap_and_restarts_numbers() {
        let mut buffer = ReorderBuffer::default();
        assert_eq!(indexes(&buffer.push(chunk(2))), [] as [i64; 0]);
        assert!(buffer.has_chunks());
        let events = buffer.push(end());
        assert_eq!(events[0].kind, RunEventKind::Missed { chunks: 2, before: 2 });
        assert_eq!((indexes(&events), events.len()), (vec![2], 3));
        assert_eq!(indexes(&buffer.push(chunk(0))), [0]);
        assert!(!buffer.has_chunks());
    }

    #[test]
    fn late_chunk_of_reported_gap_is_released() {
        let mut buffer = ReorderBuffer::default();
        buffer.push(chunk(5));
        assert_eq!(indexes(&buffer.flush()), [5]);
        assert_eq!(indexes(&buffer.push(chunk(6))), [6]);
        let late = buffer.push(chunk(3));
        assert_eq!((indexes(&late), late.len()), (vec![3], 1), "the late chunk is released");
        let next = buffer.push(chunk(7));
        assert_eq!((indexes(&next), next.len()), (vec![7], 1), "a late chunk creates no gap");
    }

    #[test]
    fn each_gap_is_reported_once_with_its_size() {
        let mut buffer = ReorderBuffer::default();
        for index in [0, 1, 4, 5, 9] {
            buffer.push(chunk(index));
        }
        let missed = |events: Vec<RunEvent>| {
            events.into_iter().filter_map(|event| match event.kind {
                RunEventKind::Missed { chunks, before } => Some((chunks, before)),
                _ => None,
            })
        };
        assert_eq!(missed(buffer.flush()).collect::<Vec<_>>(), [(2, 4), (3, 9)]);
        assert_eq!(missed(buffer.push(end())).count(), 0);
    }

    #[test]
    fn least_recently_used_runs_are_removed() {
        let mut buffer = ReorderBuffer::default();
        let mut released = 0;
        for run in 0..MAX_RUNS * 5 {
            // Each run has a buffered chunk.
            released += indexes(&buffer.push(RunEvent { run: run.to_string(), ..chunk(1) })).len();
            assert!(buffer.runs.len() <= MAX_RUNS);
        }
        released += indexes(&buffer.flush()).len();
        assert_eq!(released, MAX_RUNS * 5, "removed runs release their chunks");
        assert!(buffer.runs.contains_key(&(MAX_RUNS * 5 - 1).to_string()), "the latest run is tracked");
    }

    proptest! {
        #[test]
        fn any_order_is_restored(mut sent in Just((0..30_i64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut buffer = ReorderBuffer::default();
            let mut received = Vec::new();
            for index in sent.drain(..) {
                received.extend(indexes(&buffer.push(chunk(index))));
            }
            prop_assert_eq!(received, (0..30).collect::<Vec<_>>());
            prop_assert!(!buffer.has_chunks());
        }
    }
}
