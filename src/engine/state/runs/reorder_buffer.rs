//! Puts the stream chunks of an attempt in the order of their indexes.
//!
//! A chunk whose predecessors have all been released is released at once. A later one is buffered until the gap before
//! it is filled, until the gap has lasted for [`Timings::chunk_gap`](crate::engine::Timings::chunk_gap), or until the
//! attempt ends. A chunk that arrives after its gap was given up is released late rather than dropped.

use std::{collections::BTreeMap, sync::Arc};

use crate::engine::state::time::TimerKey;

/// Chunks that may be buffered for one task; then the gap is given up. Bounds the memory; our choice.
const MAX_BUFFERED: usize = 1000;

/// The chunks of the current attempt that wait for earlier ones.
#[derive(Debug, Default)]
pub(crate) struct ReorderBuffer {
    /// Index of the chunk to release next.
    next: i64,
    buffered: BTreeMap<i64, Arc<str>>,
    /// Gives the gap up; set while chunks are buffered.
    pub(crate) timer: Option<TimerKey>,
    /// The attempt began before a restart, and what it has streamed until then is unknown.
    is_resumed: bool,
}

/// Chunks with their indexes, in the order of release.
pub(crate) type Released = Vec<(i64, Arc<str>)>;

impl ReorderBuffer {
    /// The buffer of an attempt that goes on after a restart: the first chunk to arrive counts as the next one.
    pub(crate) fn resumed() -> Self {
        Self { is_resumed: true, ..Self::default() }
    }

    /// Adds a chunk and returns the chunks that may be released now.
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

    /// Gives up waiting and returns all buffered chunks.
    pub(crate) fn flush(&mut self) -> Released {
        if let Some((last, _)) = self.buffered.last_key_value() {
            self.next = last.saturating_add(1);
        }
        std::mem::take(&mut self.buffered).into_iter().collect()
    }

    /// Whether a chunk waits for an earlier one.
    pub(crate) fn has_gap(&self) -> bool {
        !self.buffered.is_empty()
    }
}
