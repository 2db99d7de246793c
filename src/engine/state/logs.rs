//! Log lines of tasks.
//!
//! Lines are retained up to a limit for each task and a limit for all; the oldest are removed first.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::time::Timestamp;
use crate::{
    engine::persistence::{
        row::RowKey,
        tracked::{Stored, Tracked},
    },
    hatchet::wire::RunId,
};

/// The levels of log lines.
pub(crate) const LEVELS: [&str; 4] = ["DEBUG", "INFO", "WARN", "ERROR"];

/// Lines retained for each task. Not a limit of Hatchet: more than a person reads, and a task that logs in a loop does
/// not displace the lines of all other tasks.
const MAX_LINES_PER_TASK: usize = 1000;

/// Bytes retained for all tasks: 64 MiB, not a limit of Hatchet.
const MAX_BYTES: usize = 64 << 20;

/// A log line of a task.
#[derive(Debug, Clone)]
pub(crate) struct LogLine {
    pub(crate) task: RunId,
    pub(crate) at: Timestamp,
    pub(crate) message: String,
    /// One of [`LEVELS`], as on the wire.
    pub(crate) level: &'static str,
    /// A JSON object, or empty.
    pub(crate) metadata: String,
    pub(crate) attempt: i32,
}

/// All retained lines, by their number.
///
/// Invariant: `by_task` lists exactly the numbers in `lines`, in their order.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    pub(super) lines: Tracked<BTreeMap<u64, LogLine>>,
    by_task: HashMap<RunId, VecDeque<u64>>,
    bytes: usize,
    last: u64,
}

impl Logs {
    /// Adds a line, and removes the oldest lines beyond the limits.
    pub(crate) fn insert(&mut self, line: LogLine) {
        let task = line.task;
        self.last += 1;
        self.index(self.last, &line);
        self.lines.insert(self.last, line);
        if let Some(lines) = self.by_task.get(&task).filter(|lines| lines.len() > MAX_LINES_PER_TASK)
            && let Some(first) = lines.front().copied()
        {
            self.remove(first);
        }
        while self.bytes > MAX_BYTES
            && let Some(first) = self.lines.first_key_value().map(|(seq, _)| *seq)
        {
            self.remove(first);
        }
    }

    /// Restores a stored line.
    pub(crate) fn restore(&mut self, seq: u64, line: LogLine) {
        self.last = self.last.max(seq);
        self.index(seq, &line);
        self.lines.restore(seq, line);
    }

    /// The lines of a task in the order of arrival.
    pub(crate) fn of_task(&self, task: RunId) -> impl DoubleEndedIterator<Item = &LogLine> {
        self.by_task.get(&task).into_iter().flatten().filter_map(|seq| self.lines.get(seq))
    }

    /// Removes all lines of a task.
    pub(crate) fn remove_task(&mut self, task: RunId) {
        for seq in self.by_task.remove(&task).into_iter().flatten() {
            if let Some(line) = self.lines.remove(&seq) {
                self.bytes -= bytes(&line);
            }
        }
    }

    fn index(&mut self, seq: u64, line: &LogLine) {
        self.bytes += bytes(line);
        self.by_task.entry(line.task).or_default().push_back(seq);
    }

    /// Removes a line, which must be the oldest of its task.
    fn remove(&mut self, seq: u64) {
        let Some(line) = self.lines.remove(&seq) else { return };
        self.bytes -= bytes(&line);
        if let Some(lines) = self.by_task.get_mut(&line.task) {
            lines.pop_front();
            if lines.is_empty() {
                self.by_task.remove(&line.task);
            }
        }
    }
}

/// Memory of a line. Includes the record itself, so that the number of empty lines is limited too.
fn bytes(line: &LogLine) -> usize {
    line.message.len() + line.metadata.len() + size_of::<LogLine>()
}

impl Stored<u64> for LogLine {
    fn row_key(&self, seq: &u64) -> RowKey {
        RowKey::Number(*seq)
    }

    fn bytes(&self) -> usize {
        // Log lines do not count towards the limit on the state: `MAX_BYTES` limits them.
        0
    }
}
