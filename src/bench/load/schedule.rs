//! The schedule of submissions: the order and the times of runs.
//!
//! Without a rate (closed loop), the tasks take turns: each submits one batch as soon as a call has returned. With a
//! rate (open loop), run `n` is due `n / rate` seconds after the start, regardless of the engine. The runs that are due
//! within [`BATCH_WINDOW`] share a call for each task. Runs of a failed call are queued again after [`RETRY_DELAY`].

use std::collections::VecDeque;

use crate::bench::{plan::LoadPlan, record::Micros};

/// Maximum number of concurrent calls without a rate.
const MAX_CALLS: usize = 4;
/// Maximum number of concurrent calls with a rate: enough for calls of half a second at 30 calls per second.
const MAX_CALLS_AT_RATE: usize = 16;
/// Period over which due runs are collected into a call, with a rate: 20 ms.
const BATCH_WINDOW: Micros = 20_000;
/// Delay before the runs of a failed call are sent again: 500 ms.
const RETRY_DELAY: Micros = 500_000;

/// Runs of a task for a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Batch {
    /// Index of the task in the plan.
    pub(super) task: usize,
    /// Indexes of the runs.
    pub(super) indexes: Vec<usize>,
    /// Time at which each run was due.
    pub(super) due: Vec<Micros>,
}

/// The runs that are not sent yet.
#[derive(Debug)]
pub(super) struct Schedule {
    tasks: usize,
    runs: usize,
    batch: usize,
    /// Microseconds between two runs, with a rate.
    interval: Option<f64>,
    /// Number of runs that have been queued, in the order of submission: index 0 of each task, then index 1, and so on.
    next: usize,
    queued: VecDeque<Batch>,
    /// Batches to send again, each with its earliest time.
    retries: VecDeque<(Micros, Batch)>,
}

impl Schedule {
    pub(super) fn new(plan: &LoadPlan) -> Self {
        Self {
            tasks: plan.tasks.len(),
            runs: plan.runs,
            batch: plan.batch,
            interval: plan.rate.map(|rate| 1e6 / rate),
            next: 0,
            queued: VecDeque::new(),
            retries: VecDeque::new(),
        }
    }

    /// Takes the next batch, if a batch is due and fewer calls than the maximum are in flight.
    pub(super) fn next_batch(&mut self, now: Micros, calls_in_flight: usize) -> Option<Batch> {
        if calls_in_flight >= self.max_calls() {
            return None;
        }
        if self.retries.front().is_some_and(|(due, _)| *due <= now) {
            return self.retries.pop_front().map(|(_, batch)| batch);
        }
        if self.queued.is_empty() {
            match self.interval {
                Some(interval) => self.queue_due(now, interval),
                None => self.queue_batches(now),
            }
        }
        self.queued.pop_front()
    }

    fn max_calls(&self) -> usize {
        if self.interval.is_some() { MAX_CALLS_AT_RATE } else { MAX_CALLS }
    }

    /// The earliest time at which [`Self::next_batch`] may return another batch. `None` if it returns no other batch
    /// before a call has returned, so that a caller that waits for this time never waits for a time in the past.
    pub(super) fn next_due(&self, now: Micros, calls_in_flight: usize) -> Option<Micros> {
        if calls_in_flight >= self.max_calls() {
            return None;
        }
        let retry = self.retries.front().map(|(due, _)| *due);
        let due = self.interval.filter(|_| self.next < self.total()).map(|interval| {
            let due = (self.next as f64 * interval) as Micros;
            due.max(now) + BATCH_WINDOW
        });
        retry.into_iter().chain(due).min()
    }

    /// Queues the batch of a failed call again. Splits it in halves, since a call that is too large for a link fails
    /// like a broken connection.
    pub(super) fn retry(&mut self, mut batch: Batch, now: Micros) {
        if batch.indexes.len() > 1 {
            let half = batch.indexes.len() / 2;
            let second =
                Batch { task: batch.task, indexes: batch.indexes.split_off(half), due: batch.due.split_off(half) };
            self.retries.push_back((now + RETRY_DELAY, batch));
            batch = second;
        }
        self.retries.push_back((now + RETRY_DELAY, batch));
    }

    /// Whether every run has been taken.
    pub(super) fn is_empty(&self) -> bool {
        self.next >= self.total() && self.queued.is_empty() && self.retries.is_empty()
    }

    fn total(&self) -> usize {
        self.tasks * self.runs
    }

    /// Queues a batch of each task.
    fn queue_batches(&mut self, now: Micros) {
        let first = self.next / self.tasks;
        let last = (first + self.batch).min(self.runs);
        for task in (0..self.tasks).filter(|_| first < last) {
            let indexes: Vec<usize> = (first..last).collect();
            self.queued.push_back(Batch { task, due: vec![now; indexes.len()], indexes });
        }
        self.next = last * self.tasks;
    }

    /// Queues the runs that are due, at most a batch of each task.
    fn queue_due(&mut self, now: Micros, interval: f64) {
        let due = (now as f64 / interval) as usize + 1;
        let last = due.min(self.total()).min(self.next + self.batch * self.tasks);
        for task in 0..self.tasks {
            let runs = (self.next..last).filter(|run| run % self.tasks == task);
            let (indexes, due): (Vec<_>, Vec<_>) =
                runs.map(|run| (run / self.tasks, (run as f64 * interval) as Micros)).unzip();
            if !indexes.is_empty() {
                self.queued.push_back(Batch { task, indexes, due });
            }
        }
        self.next = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::plan::test_plan;

    fn schedule(tasks: usize, runs: usize, batch: usize, rate: Option<f64>) -> Schedule {
        let tasks = vec![("t", "default"); tasks];
        Schedule::new(&LoadPlan { runs, batch, rate, ..test_plan(&tasks) })
    }

    fn all(schedule: &mut Schedule, now: Micros) -> Vec<(usize, Vec<usize>)> {
        std::iter::from_fn(|| schedule.next_batch(now, 0)).map(|batch| (batch.task, batch.indexes)).collect()
    }

    #[test]
    fn tasks_take_turns_by_batch_without_a_rate() {
        let mut schedule = schedule(2, 5, 2, None);
        assert_eq!(schedule.next_batch(0, MAX_CALLS), None);
        let expected = [(0, vec![0, 1]), (1, vec![0, 1]), (0, vec![2, 3]), (1, vec![2, 3]), (0, vec![4]), (1, vec![4])];
        assert_eq!(all(&mut schedule, 0), expected);
        assert!(schedule.is_empty());
    }

    #[test]
    fn runs_are_sent_when_due_with_a_rate() {
        let mut schedule = schedule(2, 3, 100, Some(10.0));
        assert_eq!(all(&mut schedule, 0), [(0, vec![0])]);
        assert_eq!(schedule.next_due(0, 0), Some(120_000));
        let late = schedule.next_batch(350_000, 0).unwrap();
        assert_eq!((late.task, late.indexes, late.due), (0, vec![1], vec![200_000]));
        assert_eq!(all(&mut schedule, 350_000), [(1, vec![0, 1])]);
        assert_eq!(all(&mut schedule, 10_000_000), [(0, vec![2]), (1, vec![2])]);
        assert!(schedule.is_empty());
    }

    #[test]
    fn retried_batch_is_sent_again_after_the_delay() {
        let mut schedule = schedule(1, 1, 1, None);
        let batch = schedule.next_batch(0, 0).unwrap();
        schedule.retry(batch.clone(), 0);
        assert!(!schedule.is_empty());
        assert_eq!((schedule.next_batch(RETRY_DELAY - 1, 0), schedule.next_due(0, 0)), (None, Some(RETRY_DELAY)));
        assert_eq!(schedule.next_batch(RETRY_DELAY, 0), Some(batch));
    }

    #[test]
    fn retry_waits_while_maximum_calls_are_in_flight() {
        for (rate, max_calls) in [(None, MAX_CALLS), (Some(1.0), MAX_CALLS_AT_RATE)] {
            let mut schedule = schedule(1, 1, 1, rate);
            let batch = schedule.next_batch(0, 0).unwrap();
            schedule.retry(batch, 0);
            let late = RETRY_DELAY * 10;
            assert_eq!((schedule.next_due(late, max_calls), schedule.next_batch(late, max_calls)), (None, None));
            assert_eq!(schedule.next_due(late, max_calls - 1), Some(RETRY_DELAY));
        }
    }
}
