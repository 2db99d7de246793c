//! Adds stream chunks and log lines to tasks.

use std::sync::Arc;

use crate::{
    engine::state::{
        effect::{Effect, TaskEvent},
        logs::LogLine,
        machine::State,
        runs::{Phase, Released},
        time::{ClockReading, Timer, Timestamp},
    },
    hatchet::wire::RunId,
};

impl State {
    /// Adds a chunk to a task's stream and returns whether the task exists. A chunk without an index is released
    /// immediately, the others in the order of their indexes; see
    /// [`ReorderBuffer`](crate::engine::state::runs::ReorderBuffer). Chunks of a task that has finished are dropped.
    pub(crate) fn put_chunk(&mut self, id: RunId, text: Arc<str>, index: Option<i64>, now: ClockReading) -> bool {
        let Some(task) = self.runs.task_mut_untracked(id) else { return false };
        match task.phase {
            Phase::Completed(_) | Phase::Failed(_) | Phase::Cancelled(_) => return true,
            Phase::Waiting(_) | Phase::Unadmitted | Phase::Queued(_) | Phase::BackOff | Phase::Running(_) => {}
        }
        let Some(index) = index else {
            self.emit_chunk(id, text, None);
            return true;
        };
        let buffer = task.chunks.get_or_insert_default();
        let released = buffer.insert(index, text);
        if !buffer.has_gap() {
            self.timers.cancel(buffer.timer.take());
        } else if buffer.timer.is_none() {
            buffer.timer = Some(self.timers.set(now.plus(self.timings.chunk_gap), Timer::Chunks(id)));
        }
        self.emit_chunks(id, released);
        true
    }

    /// Releases all buffered chunks of a task, as the gap before them has timed out.
    pub(super) fn flush_chunks(&mut self, id: RunId) {
        let Some(buffer) = self.runs.task_mut_untracked(id).and_then(|task| task.chunks.as_deref_mut()) else { return };
        let (timer, released) = (buffer.timer.take(), buffer.flush());
        self.timers.cancel(timer);
        self.emit_chunks(id, released);
    }

    /// Ends the stream of an attempt: releases its buffered chunks. The indexes of the next attempt start at 0.
    pub(super) fn end_chunks(&mut self, id: RunId) {
        self.flush_chunks(id);
        if let Some(task) = self.runs.task_mut_untracked(id) {
            task.chunks = None;
        }
    }

    fn emit_chunks(&mut self, id: RunId, chunks: Released) {
        for (index, text) in chunks {
            self.emit_chunk(id, text, Some(index));
        }
    }

    fn emit_chunk(&mut self, id: RunId, text: Arc<str>, index: Option<i64>) {
        let Some(task) = self.runs.task(id) else { return };
        let event = TaskEvent::Chunk { text, index };
        self.effects.push_back(Effect::NotifyTask { task: id, run: task.run, attempt: task.attempt, event });
    }

    /// Adds a log line and returns whether the task exists. The default of `attempt` is the current attempt.
    pub(crate) fn put_log(
        &mut self,
        id: RunId,
        message: String,
        level: &'static str,
        metadata: String,
        attempt: Option<i32>,
        at: Timestamp,
    ) -> bool {
        let Some(task) = self.runs.task(id) else { return false };
        let attempt = attempt.unwrap_or(task.attempt);
        self.logs.insert(LogLine { task: id, at, message, level, metadata, attempt });
        true
    }

    /// The log lines of a task in the order of arrival.
    pub(crate) fn lines(&self, id: RunId) -> impl DoubleEndedIterator<Item = &LogLine> {
        self.logs.of_task(id)
    }
}
