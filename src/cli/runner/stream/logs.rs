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
    client::{ClientError, ErrorKind, RestClient, RunDetails, RunRef, StoredLogLine},
    wire::RunId,
};

/// Interval of the polls: 1 s.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time for which a worker retries to send a line: 10 s.
const OVERLAP: Duration = Duration::from_secs(10);
/// Time for which the last poll is retried, and an unknown task is no failure: 3 s. The REST store of a real engine may
/// not know a new task yet.
const LAST_TIMEOUT: Duration = Duration::from_secs(3);
/// Delay between these retries: 250 ms.
const LAST_INTERVAL: Duration = Duration::from_millis(250);

/// A log line of a run.
pub(in crate::cli::runner) struct RunLogLine {
    /// The name of the task that logged the line.
    pub(in crate::cli::runner) task: String,
    pub(in crate::cli::runner) line: StoredLogLine,
}

/// The tasks of a run, by name and id.
type Tasks = Vec<(String, RunId)>;

type Poll = Result<(Tasks, Vec<RunLogLine>), ClientError>;

/// Reads the log lines of a run, each once.
pub(in crate::cli::runner) struct LogReader {
    rest: RestClient,
    run: RunRef,
    /// The tasks that existed at the latest poll.
    tasks: Tasks,
    new: NewLines,
    due: Instant,
    /// Set while the polls fail.
    failing: Option<Failing>,
    /// The current poll. Stored, so that dropping [`LogReader::next`] does not cancel it.
    poll: Option<BoxFuture<'static, Poll>>,
}

/// A sequence of failed polls.
struct Failing {
    since: Instant,
    /// Whether the caller has its error.
    is_reported: bool,
}

impl LogReader {
    /// A reader of all lines of a run.
    pub(in crate::cli::runner) fn new(rest: RestClient, run: RunRef) -> Self {
        let (tasks, due) = (Tasks::new(), Instant::now() + INTERVAL);
        Self { rest, run, tasks, new: NewLines::default(), due, failing: None, poll: None }
    }

    /// A reader of the lines of a run with these details.
    pub(in crate::cli::runner) fn with_details(rest: RestClient, run: RunRef, details: &RunDetails) -> Self {
        Self { tasks: tasks_of(details), ..Self::new(rest, run) }
    }

    /// Whether the lines may be of several tasks.
    pub(in crate::cli::runner) fn has_several_tasks(&self) -> bool {
        !is_single_task(&self.tasks, self.run.id())
    }

    /// Waits for new lines. A failed poll is followed by the next one: of several failures in sequence, one is returned.
    /// Cancel-safe.
    pub(in crate::cli::runner) async fn next(&mut self) -> Result<Vec<RunLogLine>, ClientError> {
        loop {
            if self.poll.is_none() {
                sleep_until(self.due).await;
                self.poll = Some(Box::pin(self.read()));
            }
            let Some(poll) = &mut self.poll else { continue };
            let lines = poll.await;
            self.poll = None;
            self.due = Instant::now() + INTERVAL;
            match self.take(lines) {
                Ok(new) => {
                    self.failing = None;
                    if !new.is_empty() {
                        return Ok(new);
                    }
                }
                Err(error) if self.is_to_report(&error) => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Records a failed poll. Returns whether the caller gets its error.
    fn is_to_report(&mut self, error: &ClientError) -> bool {
        let failing = self.failing.get_or_insert_with(|| Failing { since: Instant::now(), is_reported: false });
        let may_be_new = error.kind() == ErrorKind::NotFound && failing.since.elapsed() < LAST_TIMEOUT;
        !may_be_new && !std::mem::replace(&mut failing.is_reported, true)
    }

    /// Reads the new lines so far. After the end of the run these are all remaining lines, since a worker sends all
    /// lines of an attempt before its outcome.
    pub(in crate::cli::runner) async fn read_new(&mut self) -> Result<Vec<RunLogLine>, ClientError> {
        self.poll = None;
        let give_up = Instant::now() + LAST_TIMEOUT;
        loop {
            let lines = self.read().await;
            match self.take(lines) {
                Ok(new) => return Ok(new),
                Err(error) if Instant::now() + LAST_INTERVAL > give_up => return Err(error),
                Err(_) => sleep(LAST_INTERVAL).await,
            }
        }
    }

    fn read(&self) -> impl Future<Output = Poll> + Send + use<> {
        read(self.rest.clone(), self.run.clone(), self.tasks.clone(), self.new.since())
    }

    /// Records the tasks of a poll, and returns its new lines.
    fn take(&mut self, poll: Poll) -> Result<Vec<RunLogLine>, ClientError> {
        let (tasks, lines) = poll?;
        self.tasks = tasks;
        Ok(self.new.take(lines))
    }
}

/// Reads the lines of all tasks after a time. A run of several tasks may have more tasks than at the previous poll.
async fn read(rest: RestClient, run: RunRef, mut tasks: Tasks, since: Option<SystemTime>) -> Poll {
    if !is_single_task(&tasks, run.id()) {
        tasks = tasks_of(&run.details().await?);
    }
    let mut lines = Vec::new();
    for (name, task) in &tasks {
        let of_task = rest.log_lines(*task, since).await?;
        lines.extend(of_task.into_iter().map(|line| RunLogLine { task: name.clone(), line }));
    }
    lines.sort_by_key(|line| line.line.time());
    Ok((tasks, lines))
}

fn tasks_of(details: &RunDetails) -> Tasks {
    details.tasks.iter().filter_map(|task| Some((task.name.clone(), task.id.parse().ok()?))).collect()
}

/// Whether these are the tasks of a run of a single task, which has the id of the run.
fn is_single_task(tasks: &Tasks, run: RunId) -> bool {
    matches!(tasks.as_slice(), [(_, task)] if *task == run)
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
    fn take(&mut self, lines: Vec<RunLogLine>) -> Vec<RunLogLine> {
        let mut now = HashMap::new();
        let mut new = Vec::new();
        for line in lines {
            let stored = &line.line;
            let key = (stored.time(), stored.attempt, stored.message.clone());
            let count = now.entry(key.clone()).or_insert(0_usize);
            *count += 1;
            if *count > self.seen.get(&key).copied().unwrap_or(0) {
                self.seen.insert(key, *count);
                self.latest = self.latest.max(stored.time());
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

    /// The texts of the lines that are new.
    fn take(new: &mut NewLines, lines: &[StoredLogLine]) -> Vec<String> {
        let lines = lines.iter().map(|line| RunLogLine { task: "task".to_owned(), line: line.clone() }).collect();
        new.take(lines).into_iter().map(|line| line.line.message).collect()
    }

    #[test]
    fn each_line_is_new_once() {
        let mut new = NewLines::default();
        assert_eq!(new.since(), None);
        let mut all = vec![line(100, "a"), line(100, "a"), line(101, "b")];
        assert_eq!(take(&mut new, &all), ["a", "a", "b"]);
        assert!(take(&mut new, &all).is_empty());
        // A late line, and a third line with the same time and text.
        all.extend([line(99, "late"), line(100, "a"), line(120, "c")]);
        assert_eq!(take(&mut new, &all), ["late", "a", "c"]);
        assert_eq!(new.since(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(110)));
        assert_eq!(new.seen.len(), 1, "lines before the overlap are not stored");
        assert!(take(&mut new, &[line(120, "c")]).is_empty());
    }
}
