//! What tasks log, up to a bound.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{State, Timestamp, model::LogLine};
use crate::engine::persistence::tracked::Kept;
use crate::hatchet::wire::RunId;

/// How bad a line can be.
pub(crate) const LEVELS: [&str; 4] = ["DEBUG", "INFO", "WARN", "ERROR"];

/// Lines kept for one task; the oldest go first. Ours: enough to read, and a loop that logs cannot fill the memory.
const LINES_PER_TASK: usize = 1000;

/// Bytes kept for all tasks together; the oldest lines go first.
const BYTES: usize = 64 << 20;

/// All lines, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    pub(crate) lines: Kept<BTreeMap<u64, LogLine>>,
    by_task: HashMap<RunId, VecDeque<u64>>,
    bytes: usize,
    count: u64,
}

impl Logs {
    fn keep(&mut self, line: LogLine) {
        self.count += 1;
        self.file(self.count, &line);
        self.lines.insert(self.count, line);
    }

    /// Puts back a line that was kept.
    pub(crate) fn restore(&mut self, at: u64, line: LogLine) {
        self.count = self.count.max(at);
        self.file(at, &line);
        self.lines.restore(at, line);
    }

    fn file(&mut self, at: u64, line: &LogLine) {
        self.bytes += size(line);
        self.by_task.entry(line.task).or_default().push_back(at);
    }

    fn drop_line(&mut self, at: u64) {
        let Some(line) = self.lines.remove(&at) else { return };
        self.bytes -= size(&line);
        // It is the first of its task: lines go in the order in which they came.
        if let Some(of) = self.by_task.get_mut(&line.task) {
            of.pop_front();
            if of.is_empty() {
                self.by_task.remove(&line.task);
            }
        }
    }

    /// Drops the lines of a task.
    pub(crate) fn forget(&mut self, task: RunId) {
        for at in self.by_task.remove(&task).into_iter().flatten() {
            if let Some(line) = self.lines.remove(&at) {
                self.bytes -= size(&line);
            }
        }
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
        at: Timestamp,
    ) -> bool {
        let Some(task) = self.tasks.get(&id) else { return false };
        let attempt = attempt.unwrap_or(task.attempt);
        self.logs.keep(LogLine { task: id, at, message, level, metadata, attempt });
        if let Some(of) = self.logs.by_task.get(&id).filter(|of| of.len() > LINES_PER_TASK)
            && let Some(first) = of.front().copied()
        {
            self.logs.drop_line(first);
        }
        while self.logs.bytes > BYTES
            && let Some(first) = self.logs.lines.first_key_value().map(|(at, _)| *at)
        {
            self.logs.drop_line(first);
        }
        true
    }

    /// The lines of a task, in the order in which they came.
    pub(crate) fn lines(&self, id: RunId) -> impl DoubleEndedIterator<Item = &LogLine> {
        self.logs.by_task.get(&id).into_iter().flatten().filter_map(|at| self.logs.lines.get(at))
    }
}
