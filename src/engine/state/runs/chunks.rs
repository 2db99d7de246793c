//! What tasks stream: chunks in the order of their index.

use std::{collections::BTreeMap, sync::Arc};

use crate::engine::state::{
    ClockReading, Effect, State, TaskEvent,
    model::Phase,
    timers::{Alarm, AlarmKey},
};
use crate::hatchet::wire::RunId;

/// Chunks that may wait for one task; then they go on without the missing ones. A bound on memory, ours.
const MAX_HELD: usize = 1000;

/// The chunks of the current attempt.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    next: i64,
    held: BTreeMap<i64, Arc<str>>,
    alarm: Option<AlarmKey>,
    /// The attempt began under an engine that is gone, and what it has streamed there is not known.
    is_resumed: bool,
}

impl Chunks {
    /// Those of an attempt that goes on after a restart: the first to come is taken for the next.
    pub(crate) fn resumed() -> Self {
        Self { is_resumed: true, ..Self::default() }
    }

    /// Whether a gap is being waited for.
    #[cfg(test)]
    pub(crate) fn waits(&self) -> bool {
        self.alarm.is_some()
    }
}

impl State {
    /// Passes a chunk on: without an index at once; else when all before it have gone, or when the gap has lasted
    /// too long, or at the end of the attempt. Answers whether there is such a task; one that has ended takes
    /// chunks too, and they go nowhere.
    pub(crate) fn put_chunk(&mut self, id: RunId, text: Arc<str>, index: Option<i64>, now: ClockReading) -> bool {
        let Some(task) = self.tasks.passing(&id) else { return false };
        match task.phase {
            Phase::Completed(_) | Phase::Failed(_) | Phase::Cancelled(_) => return true,
            Phase::Waiting(_) | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) => {}
        }
        let Some(index) = index else {
            self.emit(id, text, None);
            return true;
        };
        let chunks = task.chunks.get_or_insert_default();
        if std::mem::take(&mut chunks.is_resumed) {
            chunks.next = index;
        }
        if index > chunks.next {
            chunks.held.insert(index, text);
            if chunks.held.len() > MAX_HELD {
                self.flush_gap(id);
            } else if chunks.alarm.is_none() {
                chunks.alarm = Some(self.clock.set(now.plus(self.timings.chunk_gap), Alarm::Chunks(id)));
            }
            return true;
        }
        // One that comes after its gap was given up is late, but not lost.
        let is_next = index == chunks.next;
        self.emit(id, text, Some(index));
        if is_next {
            self.emit_following(id, index);
        }
        true
    }

    fn emit(&mut self, id: RunId, text: Arc<str>, index: Option<i64>) {
        let Some(task) = self.tasks.get(&id) else { return };
        let what = TaskEvent::Chunk { text, index };
        self.effects.push_back(Effect::Step { task: id, run: task.run, attempt: task.attempt, what });
    }

    fn chunks(&mut self, id: RunId) -> Option<&mut Chunks> {
        self.tasks.passing(&id)?.chunks.as_deref_mut()
    }

    fn emit_following(&mut self, id: RunId, gone: i64) {
        let mut next = gone.saturating_add(1);
        while let Some(text) = self.chunks(id).and_then(|chunks| chunks.held.remove(&next)) {
            self.emit(id, text, Some(next));
            next = next.saturating_add(1);
        }
        if let Some(chunks) = self.chunks(id) {
            chunks.next = next;
            if chunks.held.is_empty() {
                let alarm = chunks.alarm.take();
                self.clock.take_back(alarm);
            }
        }
    }

    /// Gives up waiting for the missing ones.
    pub(crate) fn flush_gap(&mut self, id: RunId) {
        let Some(chunks) = self.chunks(id) else { return };
        let (alarm, held) = (chunks.alarm.take(), std::mem::take(&mut chunks.held));
        if let Some((last, _)) = held.last_key_value() {
            chunks.next = last.saturating_add(1);
        }
        self.clock.take_back(alarm);
        for (index, text) in held {
            self.emit(id, text, Some(index));
        }
    }

    /// The attempt is over: nothing more will fill the gaps, and the next one counts from zero.
    pub(crate) fn flush_chunks(&mut self, id: RunId) {
        self.flush_gap(id);
        if let Some(task) = self.tasks.passing(&id) {
            task.chunks = None;
        }
    }
}
