//! What is shown while a benchmark runs.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    bench::{plan::Plan, summary::stats::Histogram},
    hatchet::wire::RunStatus,
};

/// The rate and the time left are those of the last seconds.
const WINDOW: Duration = Duration::from_secs(5);

/// Whoever watches a benchmark.
pub trait Observer {
    /// Where it stands, every second and at the end.
    fn progress(&mut self, progress: &Progress);
    /// Something worth knowing, in a line.
    fn note(&mut self, line: &str);
}

/// Where a benchmark stands.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// Since the start.
    pub elapsed: Duration,
    /// Each task.
    pub tasks: Vec<TaskProgress>,
    /// Runs that ended a second, lately.
    pub rate: f64,
    /// Until all have ended, at this rate.
    pub left: Option<Duration>,
    /// Slots in use and in all, of the workers that have the tasks, where the engine said so.
    pub slots: Option<(i64, i64)>,
}

/// Where the runs of a task stand.
#[derive(Debug, Clone, Default)]
pub struct TaskProgress {
    /// The name that was asked for.
    pub name: String,
    /// Runs in all.
    pub total: usize,
    /// Accepted by the engine: started, or duplicates.
    pub accepted: usize,
    /// Of these, duplicates of earlier runs.
    pub duplicates: usize,
    /// Refused by the engine.
    pub refused: usize,
    /// Ended well.
    pub completed: usize,
    /// Ended with an error.
    pub failed: usize,
    /// Cancelled, or not taken by a worker in time.
    pub cancelled: usize,
    /// The engine does not know of them, or does not say.
    pub lost: usize,
    /// Median from due to seen so far, in milliseconds, to 5 %; of runs that were started here.
    pub p50_ms: Option<f64>,
}

impl TaskProgress {
    /// Runs that nothing more is expected of.
    pub fn settled(&self) -> usize {
        self.completed + self.failed + self.cancelled + self.lost + self.refused
    }
}

/// Counts as the runs go.
#[derive(Debug)]
pub(in crate::bench) struct Tally {
    pub(in crate::bench) now: Progress,
    medians: Vec<Histogram>,
    begun: Instant,
    ends: VecDeque<(Instant, usize)>,
}

impl Tally {
    pub(in crate::bench) fn new(plan: &Plan) -> Self {
        let task = |name: &str| TaskProgress { name: name.to_owned(), total: plan.runs, ..TaskProgress::default() };
        let tasks: Vec<TaskProgress> = plan.tasks.iter().map(|t| task(&t.name)).collect();
        Self {
            medians: vec![Histogram::default(); tasks.len()],
            now: Progress { tasks, ..Progress::default() },
            begun: Instant::now(),
            ends: VecDeque::new(),
        }
    }

    pub(in crate::bench) fn ended(&mut self, task: usize, status: RunStatus, micros: Option<i64>) {
        let progress = &mut self.now.tasks[task];
        match status {
            RunStatus::Completed => progress.completed += 1,
            RunStatus::Cancelled => progress.cancelled += 1,
            RunStatus::Failed | RunStatus::Queued | RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_) => {
                progress.failed += 1;
            }
        }
        if let Some(micros) = micros {
            self.medians[task].add(micros);
        }
    }

    /// Brings rates and medians up to date.
    pub(in crate::bench) fn look(&mut self) -> &Progress {
        let now = Instant::now();
        let settled: usize = self.now.tasks.iter().map(TaskProgress::settled).sum();
        let total: usize = self.now.tasks.iter().map(|task| task.total).sum();
        self.ends.push_back((now, settled));
        while self.ends.len() > 2 && self.ends.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.ends.pop_front();
        }
        let (since, before) = self.ends.front().filter(|(at, _)| *at < now).copied().unwrap_or((self.begun, 0));
        let seconds = (now - since).as_secs_f64();
        self.now.rate = if seconds > 0.0 { (settled - before) as f64 / seconds } else { 0.0 };
        let left = (total - settled) as f64 / self.now.rate;
        self.now.left = Duration::try_from_secs_f64(left).ok();
        self.now.elapsed = now - self.begun;
        for (task, median) in self.now.tasks.iter_mut().zip(&self.medians) {
            task.p50_ms = median.median().map(|micros| micros / 1e3);
        }
        &self.now
    }
}
