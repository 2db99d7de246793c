//! The log lines of a run while it is followed.
//!
//! The engine has no stream of log lines, so they are polled over REST. A worker sends lines in parallel and retries
//! them, so a line can arrive after a later one: each poll overlaps the previous one by [`OVERLAP`].

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep, sleep_until};

use crate::hatchet::{
    client::{ClientError, RestClient, StoredLogLine},
    wire::RunId,
};

/// Interval of the polls: 1 s.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time for which a worker retries to send a line: 10 s.
const OVERLAP: Duration = Duration::from_secs(10);
/// Time for which the last poll is retried: 3 s. The REST store of a real engine may not know a new task yet.
const LAST_TIMEOUT: Duration = Duration::from_secs(3);
/// Delay between these retries: 250 ms.
const LAST_INTERVAL: Duration = Duration::from_millis(250);

type Lines = Result<Vec<StoredLogLine>, ClientError>;

/// Reads the log lines of task runs, each once.
pub(super) struct LogReader {
    rest: RestClient,
    tasks: Vec<RunId>,
    new: NewLines,
    due: Instant,
    /// The current poll. Stored, so that dropping [`LogReader::next`] does not cancel it.
    poll: Option<BoxFuture<'static, Lines>>,
}

impl LogReader {
    pub(super) fn new(rest: RestClient, tasks: Vec<RunId>) -> Self {
        Self { rest, tasks, new: NewLines::default(), due: Instant::now() + INTERVAL, poll: None }
    }

    /// Waits for new lines. A failed poll is followed by the next one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Vec<StoredLogLine> {
        loop {
            let poll = match &mut self.poll {
                Some(poll) => poll,
                None => {
                    sleep_until(self.due).await;
                    self.poll.insert(Box::pin(read(self.rest.clone(), self.tasks.clone(), self.new.since())))
                }
            };
            let lines = poll.await;
            self.poll = None;
            self.due = Instant::now() + INTERVAL;
            let new = self.new.take(lines.unwrap_or_default());
            if !new.is_empty() {
                return new;
            }
        }
    }

    /// Reads the remaining lines of tasks that have finished. A worker sends all lines of an attempt before its
    /// outcome.
    pub(super) async fn last(mut self) -> Lines {
        let give_up = Instant::now() + LAST_TIMEOUT;
        loop {
            match read(self.rest.clone(), self.tasks.clone(), self.new.since()).await {
                Ok(lines) => return Ok(self.new.take(lines)),
                Err(error) if Instant::now() + LAST_INTERVAL > give_up => return Err(error),
                Err(_) => sleep(LAST_INTERVAL).await,
            }
        }
    }
}

async fn read(rest: RestClient, tasks: Vec<RunId>, since: Option<SystemTime>) -> Lines {
    let mut lines = Vec::new();
    for task in tasks {
        lines.extend(rest.log_lines(task, since).await?);
    }
    lines.sort_by_key(StoredLogLine::time);
    Ok(lines)
}

/// Distinguishes new lines from those of earlier polls.
#[derive(Default)]
struct NewLines {
    /// The time of the latest line.
    latest: Option<SystemTime>,
    /// How often each line within [`OVERLAP`] of the latest was read. Lines have no id.
    seen: HashMap<(Option<SystemTime>, u32, String), usize>,
}

impl NewLines {
    /// The time after which lines are read.
    fn since(&self) -> Option<SystemTime> {
        self.latest?.checked_sub(OVERLAP)
    }

    /// Returns the new ones of the lines after [`NewLines::since`].
    fn take(&mut self, lines: Vec<StoredLogLine>) -> Vec<StoredLogLine> {
        let mut now = HashMap::new();
        let mut new = Vec::new();
        for line in lines {
            let key = (line.time(), line.attempt, line.message.clone());
            let count = now.entry(key.clone()).or_insert(0_usize);
            *count += 1;
            if *count > self.seen.get(&key).copied().unwrap_or(0) {
                self.seen.insert(key, *count);
                self.latest = self.latest.max(line.time());
                new.push(line);
            }
        }
        let since = self.since();
        self.seen.retain(|(time, ..), _| since.is_none() || *time > since);
        new
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(second: u64, message: &str) -> StoredLogLine {
        let time = prost_types::Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).to_string();
        serde_json::from_value(json!({ "createdAt": time, "message": message, "level": "INFO", "attempt": 1 })).unwrap()
    }

    fn texts(lines: &[StoredLogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[test]
    fn each_line_is_new_once() {
        let mut new = NewLines::default();
        assert_eq!(new.since(), None);
        let mut all = vec![line(100, "a"), line(100, "a"), line(101, "b")];
        assert_eq!(texts(&new.take(all.clone())), ["a", "a", "b"]);
        assert!(new.take(all.clone()).is_empty());
        // A late line, and a third line with the same time and text.
        all.extend([line(99, "late"), line(100, "a"), line(120, "c")]);
        assert_eq!(texts(&new.take(all)), ["late", "a", "c"]);
        assert_eq!(new.since(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(110)));
        assert_eq!(new.seen.len(), 1, "lines before the overlap are not stored");
        assert!(new.take(vec![line(120, "c")]).is_empty());
    }
}
