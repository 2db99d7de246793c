//! What has happened to a task, step by step, for whoever wants to look.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{Moment, State, attempt::AttemptEvent, model::Task};
use crate::hatchet::wire::{RunId, WorkerId};

/// Marks kept for one task. Ours: the last dozen attempts.
const MARKS: usize = 64;

/// One step of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) at: Moment,
    pub(crate) attempt: i32,
    pub(crate) what: What,
}

/// What it was, in Hatchet's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
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

/// The last steps of a task, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    marks: VecDeque<Mark>,
    /// How many went before them.
    pub(super) gone: u64,
}

impl Trail {
    /// One that goes on after so many steps that are not kept.
    pub(super) fn after(gone: u64) -> Self {
        Self { gone, ..Self::default() }
    }

    pub(super) fn push(&mut self, mark: Mark) {
        if self.marks.is_empty() {
            // Most queued tasks have one.
            self.marks.reserve_exact(1);
        }
        if self.marks.len() >= MARKS {
            self.marks.pop_front();
            self.gone += 1;
        }
        self.marks.push_back(mark);
    }

    /// Each with its number in the whole of the task's life.
    pub(crate) fn numbered(&self) -> impl DoubleEndedIterator<Item = (u64, &Mark)> {
        self.marks.iter().enumerate().map(|(at, mark)| (self.gone + at as u64, mark))
    }
}

impl Task {
    pub(super) fn mark(&mut self, what: What, now: Moment) {
        self.trail.push(Mark { at: now, attempt: self.attempt, what });
    }
}

impl State {
    /// Marks a step where one is made, before the attempt's number changes.
    pub(super) fn mark(&mut self, id: RunId, what: What, now: Moment) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.mark(what, now);
        }
    }
}

/// How an attempt that did not complete is marked.
pub(super) fn end_of(event: &AttemptEvent, error: &Arc<str>) -> What {
    match event {
        AttemptEvent::TimedOut => What::TimedOut(error.clone()),
        AttemptEvent::NotTaken => What::NotTaken,
        AttemptEvent::Cancelled | AttemptEvent::ParentLost => What::Cancelled,
        AttemptEvent::Skipped => What::Skipped,
        AttemptEvent::Completed(_) => What::Finished,
        AttemptEvent::Failed { .. }
        | AttemptEvent::WorkerLost
        | AttemptEvent::Assigned
        | AttemptEvent::BackOffOver
        | AttemptEvent::Replayed
        | AttemptEvent::Released => What::Failed(error.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_numbers_stay() {
        let mut trail = Trail::default();
        for n in 0..100 {
            trail.push(Mark { at: Moment(n), attempt: 0, what: What::Queued });
        }
        let kept: Vec<(u64, u64)> = trail.numbered().map(|(n, mark)| (n, mark.at.0)).collect();
        assert_eq!((kept.len(), kept[0], kept[MARKS - 1]), (MARKS, (36, 36), (99, 99)));
    }
}
