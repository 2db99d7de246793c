//! Reorders the stream chunks of an attempt by their indexes.
//!
//! A chunk whose predecessors have all been released is released immediately. A later chunk is buffered until the gap
//! before it is filled, until the gap has lasted for [`Timings::chunk_gap`](crate::engine::Timings::chunk_gap), or
//! until the attempt finishes. A chunk that arrives after its gap has timed out is released late instead of being
//! dropped.

use std::{collections::BTreeMap, sync::Arc};

use crate::engine::state::time::TimerKey;

/// Maximum number of buffered chunks of a task; a further chunk releases all of them. Not a limit of Hatchet: it bounds
/// the memory.
const MAX_BUFFERED: usize = 1000;

/// The chunks of the current attempt behind a gap.
#[derive(Debug, Default)]
pub(crate) struct ReorderBuffer {
    /// Index of the chunk to release next.
    next: i64,
    buffered: BTreeMap<i64, Arc<str>>,
    /// Ends the wait for the gap; set while chunks are buffered.
    pub(crate) timer: Option<TimerKey>,
    /// Whether the attempt started before a restart, so that the index of its next chunk is unknown.
    is_resumed: bool,
}

/// Chunks with their indexes, in the order of release.
pub(crate) type Released = Vec<(i64, Arc<str>)>;

impl ReorderBuffer {
    /// The buffer of an attempt that continues after a restart: the first chunk to arrive counts as the next chunk.
    pub(crate) fn resumed() -> Self {
        Self { is_resumed: true, ..Self::default() }
    }

    /// Adds a chunk and returns the chunks to release now.
    pub(crate) fn insert(&mut self, index: i64, text: Arc<str>) -> Released {
        if std::mem::take(&mut self.is_resumed) {
            self.next = index;
        }
        if index > self.next {
            self.buffered.insert(index, text);
            return if self.buffered.len() > MAX_BUFFERED { self.flush() } else { Vec::new() };
        }
        let mut released = vec![(index, text)];
        if index == self.next {
            self.next = index.saturating_add(1);
            while let Some(text) = self.buffered.remove(&self.next) {
                released.push((self.next, text));
                self.next = self.next.saturating_add(1);
            }
        }
        released
    }

    /// Skips all gaps and returns all buffered chunks.
    pub(crate) fn flush(&mut self) -> Released {
        if let Some((last, _)) = self.buffered.last_key_value() {
            self.next = last.saturating_add(1);
        }
        std::mem::take(&mut self.buffered).into_iter().collect()
    }

    /// Whether chunks are buffered.
    pub(crate) fn has_gap(&self) -> bool {
        !self.buffered.is_empty()
    }
}
