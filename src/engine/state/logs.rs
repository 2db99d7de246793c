//! What tasks log, up to a bound.

use std::collections::VecDeque;

use super::{Moment, State, model::LogLine};
use crate::hatchet::wire::RunId;

/// Lines kept for one task; the oldest go first. Ours: enough to read, and a loop that logs cannot fill the memory.
const LINES_PER_TASK: usize = 1000;

/// Bytes kept for all tasks together; the oldest lines go first.
const BYTES: usize = 64 << 20;

/// Entries in the order of all lines, those of lines that are already gone among them.
const ENTRIES: usize = 500_000;

/// How much is kept, and in which order it goes.
#[derive(Debug, Default)]
pub(super) struct Budget {
    bytes: usize,
    count: u64,
    order: VecDeque<(RunId, u64)>,
}

impl Budget {
    pub(super) fn forget(&mut self, lines: &VecDeque<LogLine>) {
        self.bytes -= lines.iter().map(size).sum::<usize>();
    }
}

fn size(line: &LogLine) -> usize {
    // The record itself counts too, or empty lines would cost nothing.
    line.message.len() + line.metadata.len() + size_of::<LogLine>()
}

impl State {
    /// Keeps a line. Answers whether there is such a task.
    pub(crate) fn put_log(
        &mut self,
        id: RunId,
        message: String,
        level: &'static str,
        metadata: String,
        attempt: Option<i32>,
        now: Moment,
    ) -> bool {
        let Some(task) = self.tasks.get_mut(&id) else { return false };
        self.logs.count += 1;
        let seq = self.logs.count;
        let line = LogLine { seq, at: now, message, level, metadata, attempt: attempt.unwrap_or(task.attempt) };
        self.logs.bytes += size(&line);
        self.logs.order.push_back((id, seq));
        task.logs.push_back(line);
        if task.logs.len() > LINES_PER_TASK
            && let Some(old) = task.logs.pop_front()
        {
            self.logs.bytes -= size(&old);
        }
        self.trim_logs();
        true
    }

    /// Drops the oldest lines of all while there are too many; entries of lines that went before are passed over.
    fn trim_logs(&mut self) {
        let stale = |tasks: &std::collections::HashMap<RunId, super::model::Task>, (id, seq): (RunId, u64)| {
            tasks.get(&id).and_then(|t| t.logs.front()).is_none_or(|line| line.seq != seq)
        };
        while let Some(first) = self.logs.order.front().copied() {
            let gone = stale(&self.tasks, first);
            if !gone && self.logs.bytes <= BYTES && self.logs.order.len() <= ENTRIES {
                return;
            }
            self.logs.order.pop_front();
            if !gone && let Some(line) = self.tasks.get_mut(&first.0).and_then(|t| t.logs.pop_front()) {
                self.logs.bytes -= size(&line);
            }
        }
    }
}
