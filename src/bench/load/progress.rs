//! Counts runs during a benchmark, for its [`Observer`](crate::bench::Observer).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::histogram::Histogram;
use crate::{
    bench::{
        observer::{Progress, TaskProgress},
        plan::LoadPlan,
    },
    hatchet::wire::RunStatus,
};

/// Period over which the rate and the remaining time are computed: 5 s.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// Computes counts, latencies and rates of all tasks.
#[derive(Debug)]
pub(super) struct ProgressCounter {
    pub(super) progress: Progress,
    /// Times from a run's due time until the benchmark was notified of its finish, by task.
    latencies: Vec<Histogram>,
    started: Instant,
    /// Number of finished runs at each update within [`RATE_WINDOW`].
    finished: VecDeque<(Instant, usize)>,
}

impl ProgressCounter {
    pub(super) fn new(plan: &LoadPlan) -> Self {
        let task = |name: &str| TaskProgress { name: name.to_owned(), total: plan.runs, ..TaskProgress::default() };
        let tasks: Vec<TaskProgress> = plan.tasks.iter().map(|t| task(&t.name)).collect();
        Self {
            latencies: vec![Histogram::default(); tasks.len()],
            progress: Progress { tasks, ..Progress::default() },
            started: Instant::now(),
            finished: VecDeque::new(),
        }
    }

    /// Counts a finished run. `micros` is the time from its due time until the benchmark was notified of its finish;
    /// `None` if this benchmark did not start it.
    pub(super) fn run_finished(&mut self, task: usize, status: RunStatus, micros: Option<i64>) {
        let progress = &mut self.progress.tasks[task];
        match status {
            RunStatus::Completed => progress.completed += 1,
            RunStatus::Cancelled => progress.cancelled += 1,
            RunStatus::Failed | RunStatus::Queued | RunStatus::Running | RunStatus::Evicted | RunStatus::Unknown(_) => {
                progress.failed += 1;
            }
        }
        if let Some(micros) = micros {
            self.latencies[task].add(micros);
        }
    }

    /// Computes rates, percentiles and the remaining time.
    pub(super) fn update(&mut self) -> &Progress {
        let now = Instant::now();
        let finished: usize = self.progress.tasks.iter().map(TaskProgress::finished).sum();
        let total: usize = self.progress.tasks.iter().map(|task| task.total).sum();
        self.finished.push_back((now, finished));
        while self.finished.len() > 2 && self.finished.front().is_some_and(|(time, _)| now - *time > RATE_WINDOW) {
            self.finished.pop_front();
        }
        let (since, before) =
            self.finished.front().filter(|(time, _)| *time < now).copied().unwrap_or((self.started, 0));
        let seconds = (now - since).as_secs_f64();
        self.progress.rate = if seconds > 0.0 { (finished - before) as f64 / seconds } else { 0.0 };
        self.progress.remaining = Duration::try_from_secs_f64((total - finished) as f64 / self.progress.rate).ok();
        self.progress.elapsed = now - self.started;
        for (task, latency) in self.progress.tasks.iter_mut().zip(&self.latencies) {
            task.percentiles = latency.percentiles([0.5, 0.95, 0.99]);
        }
        &self.progress
    }
}
