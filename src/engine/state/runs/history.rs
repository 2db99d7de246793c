//! What has happened to a task, step by step, for whoever wants to look.

use std::{sync::Arc, time::Duration};

use prost::Message;

use crate::engine::persistence::records::{MarkHead, TrailHead};
use crate::engine::state::{ClockReading, State, Timestamp, attempt::AttemptEvent, model::Task};
use crate::hatchet::wire::{RunId, WorkerId};

/// Marks kept for one task. Ours: the last dozen attempts.
const MARKS: u32 = 64;

/// One step of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryEvent {
    pub(crate) at: Timestamp,
    pub(crate) attempt: i32,
    pub(crate) kind: HistoryEventKind,
}

/// What it was, in Hatchet's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HistoryEventKind {
    Queued,
    Assigned(WorkerId),
    /// The worker has said so.
    Started,
    /// The output is the task's own, for as long as it is its last attempt.
    Finished,
    Failed(Arc<str>),
    TimedOut(Arc<str>),
    /// No worker took it in time.
    NotTaken,
    Cancelled,
    /// The worker was lost, and another gets it.
    Reassigned,
    /// Another attempt follows, after this wait.
    Retrying(Duration),
    Replayed,
    /// There was nothing to do for it.
    Skipped,
    Refreshed(Duration),
    SlotReleased,
}

/// The last steps of a task, the oldest first: written down at once, small as they are kept, and read again only by
/// whoever looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    /// [`MarkHead`]s, each behind its length.
    written: Vec<u8>,
    count: u32,
    /// How many went before them.
    gone: u64,
}

impl Trail {
    pub(crate) fn push(&mut self, mark: &HistoryEvent) {
        if self.count >= MARKS {
            let mut rest = &self.written[..];
            if MarkHead::decode_length_delimited(&mut rest).is_ok() {
                let length = self.written.len() - rest.len();
                self.written.drain(..length);
                self.count -= 1;
                self.gone += 1;
            }
        }
        self.count += 1;
        let head = MarkHead::of(mark);
        self.written.reserve_exact(head.encoded_len() + 2);
        self.written.extend_from_slice(&head.encode_length_delimited_to_vec());
    }

    /// As it is kept.
    pub(crate) fn head(&self) -> TrailHead {
        TrailHead { written: self.written.clone(), count: self.count, gone: self.gone }
    }

    /// As it was kept.
    pub(crate) fn of(head: TrailHead) -> Self {
        Self { written: head.written, count: head.count, gone: head.gone }
    }

    /// Each with its number in the whole of the task's life. What cannot be read ends them.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u64, HistoryEvent)> {
        let mut rest = &self.written[..];
        let mark = move || {
            let head = if rest.is_empty() { None } else { MarkHead::decode_length_delimited(&mut rest).ok() };
            head?.mark().ok()
        };
        (self.gone..).zip(std::iter::from_fn(mark))
    }
}

impl Task {
    pub(crate) fn mark(&mut self, kind: HistoryEventKind, now: ClockReading) {
        self.history.push(&HistoryEvent { at: now.display, attempt: self.attempt, kind });
    }
}

impl State {
    /// Marks a step where one is made, before the attempt's number changes.
    pub(crate) fn mark(&mut self, id: RunId, what: HistoryEventKind, now: ClockReading) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.mark(what, now);
        }
    }
}

/// How an attempt that did not complete is marked.
pub(crate) fn end_of(event: &AttemptEvent, error: &Arc<str>) -> HistoryEventKind {
    match event {
        AttemptEvent::TimedOut => HistoryEventKind::TimedOut(error.clone()),
        AttemptEvent::NotTaken => HistoryEventKind::NotTaken,
        AttemptEvent::Cancelled | AttemptEvent::ParentLost => HistoryEventKind::Cancelled,
        AttemptEvent::Skipped => HistoryEventKind::Skipped,
        AttemptEvent::Completed(_) => HistoryEventKind::Finished,
        AttemptEvent::Failed { .. }
        | AttemptEvent::WorkerLost
        | AttemptEvent::Assigned
        | AttemptEvent::BackOffOver
        | AttemptEvent::Replayed
        | AttemptEvent::Released => HistoryEventKind::Failed(error.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_numbers_stay_over_a_restart() {
        let mut history = Trail::default();
        for n in 0..100 {
            history.push(&HistoryEvent { at: Timestamp(n), attempt: 0, kind: HistoryEventKind::Queued });
        }
        let history = Trail::of(history.head());
        let kept: Vec<(u64, u64)> = history.numbered().map(|(n, event)| (n, event.at.0)).collect();
        assert_eq!((kept.len(), kept[0], kept[63]), (64, (36, 36), (99, 99)));
    }

    #[test]
    fn every_step_is_read_as_it_was_written() {
        let wait = Duration::from_millis(1500);
        let all = [
            HistoryEventKind::Queued,
            HistoryEventKind::Assigned(WorkerId::from(uuid::Uuid::from_u128(7))),
            HistoryEventKind::Started,
            HistoryEventKind::Finished,
            HistoryEventKind::Failed("error".into()),
            HistoryEventKind::TimedOut("late".into()),
            HistoryEventKind::NotTaken,
            HistoryEventKind::Cancelled,
            HistoryEventKind::Reassigned,
            HistoryEventKind::Retrying(wait),
            HistoryEventKind::Replayed,
            HistoryEventKind::Skipped,
            HistoryEventKind::Refreshed(wait),
            HistoryEventKind::SlotReleased,
        ];
        let marks = all.map(|what| HistoryEvent { at: Timestamp(5), attempt: 3, kind: what });
        let mut history = Trail::default();
        marks.iter().for_each(|mark| history.push(mark));
        assert_eq!(history.numbered().map(|(_, mark)| mark).collect::<Vec<_>>(), marks);
    }
}
