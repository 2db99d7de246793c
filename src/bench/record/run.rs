//! The records of a benchmark's runs.
//!
//! All times are microseconds since the start of the benchmark. `due`, `submitted`, `accepted` and `seen` are read from
//! the local clock; `created`, `started` and `finished` come from the engine's clock over REST.
//!
//! States of a run's acceptance:
//!
//! ```text
//!                  ┌──────────────► Started ◄───────────┐ found later by its key or metadata
//!      Pending ────┼──────────────► Duplicate           │
//!                  ├──────────────► Refused             │
//!                  └─ no response ► Unanswered ─────────┘
//! ```
//!
//! A run that is found after its response was lost is `recovered`. Its creation time decides whether it is the
//! submitted run or an earlier run with the same key: see [`RunRecords::classify_recovered`].

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{
    bench::{keys::run_key, plan::LoadPlan},
    hatchet::wire::{RunId, RunStatus},
};

/// Microseconds since the start of the benchmark.
pub(in crate::bench) type Micros = i64;

/// The record of a run. Unknown values are `None`.
#[derive(Debug, Clone, Default)]
pub(in crate::bench) struct RunRecord {
    pub(in crate::bench) id: Option<RunId>,
    pub(in crate::bench) acceptance: Acceptance,
    /// Whether the response to its submission was lost and the run was found later.
    pub(in crate::bench) recovered: bool,
    /// Terminal status.
    pub(in crate::bench) status: Option<RunStatus>,
    /// Index of its error in [`RunRecords::errors`].
    pub(in crate::bench) error: Option<usize>,
    /// Time at which its submission was due. Latencies are measured from it.
    pub(in crate::bench) due: Micros,
    /// Time at which its submission was first sent. `None` if the submission certainly was not sent.
    pub(in crate::bench) submitted: Option<Micros>,
    /// Time at which the engine's response arrived.
    pub(in crate::bench) accepted: Option<Micros>,
    /// Time at which the engine created it.
    pub(in crate::bench) created: Option<Micros>,
    /// Time at which it started on a worker.
    pub(in crate::bench) started: Option<Micros>,
    /// Time at which the engine recorded its finish.
    pub(in crate::bench) finished: Option<Micros>,
    /// Time at which the benchmark was notified of its finish.
    pub(in crate::bench) seen: Option<Micros>,
}

/// The engine's response to the submission of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::bench) enum Acceptance {
    /// Not sent, or the response may still arrive.
    #[default]
    Pending,
    /// The response was lost: the run may have started.
    Unanswered,
    /// The run was started.
    Started,
    /// An earlier run with the same key is counted instead.
    Duplicate,
    /// The engine refused it.
    Refused,
}

impl Acceptance {
    /// The value in `runs.jsonl`.
    pub(in crate::bench) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "not submitted",
            Self::Unanswered => "unanswered",
            Self::Started => "started",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
        }
    }
}

/// The records of all runs, ordered by task and index.
#[derive(Debug)]
pub(in crate::bench) struct RunRecords {
    pub(in crate::bench) all: Vec<RunRecord>,
    /// Distinct error texts.
    pub(in crate::bench) errors: Vec<String>,
    error_index: HashMap<String, usize>,
    runs_per_task: usize,
}

/// Tolerated difference between the engine's clock and the local clock: 2 s.
const CLOCK_TOLERANCE: Micros = 2_000_000;
/// Maximum number of distinct error texts, which bounds the memory. Further texts count as `other errors`.
const MAX_ERRORS: usize = 200;
/// Maximum length of an error text, in characters.
const MAX_ERROR_CHARS: usize = 500;

impl RunRecords {
    pub(in crate::bench) fn new(plan: &LoadPlan) -> Self {
        Self::with_runs_per_task(vec![RunRecord::default(); plan.total()], plan.runs)
    }

    fn with_runs_per_task(all: Vec<RunRecord>, runs_per_task: usize) -> Self {
        Self { all, errors: Vec::new(), error_index: HashMap::new(), runs_per_task }
    }

    /// Position of a run in [`Self::all`].
    pub(in crate::bench) fn position(&self, task: usize, index: usize) -> usize {
        task * self.runs_per_task + index
    }

    /// Task and index of the run at a position.
    pub(in crate::bench) fn task_and_index(&self, position: usize) -> (usize, usize) {
        (position / self.runs_per_task, position % self.runs_per_task)
    }

    /// Returns the records of a task, ordered by index.
    pub(in crate::bench) fn of_task(&self, task: usize) -> &[RunRecord] {
        &self.all[task * self.runs_per_task..(task + 1) * self.runs_per_task]
    }

    /// Marks the runs that were sent and got no response as unanswered. Sets this error for unanswered runs without an
    /// error.
    pub(in crate::bench) fn mark_unanswered(&mut self, error: &str) {
        for position in 0..self.all.len() {
            let run = &mut self.all[position];
            if run.submitted.is_some() && run.acceptance == Acceptance::Pending {
                run.acceptance = Acceptance::Unanswered;
            }
            if run.acceptance == Acceptance::Unanswered && run.error.is_none() {
                self.record_error(position, error);
            }
        }
    }

    /// Decides whether each recovered run was started by this benchmark or is a duplicate of an earlier run, by
    /// comparing its creation with its submission. Returns the number of runs that count as started here.
    pub(in crate::bench) fn classify_recovered(&mut self) -> usize {
        let mut started_here = 0;
        for run in self.all.iter_mut().filter(|run| run.recovered) {
            let is_older =
                run.created.zip(run.submitted).is_some_and(|(created, sent)| created < sent - CLOCK_TOLERANCE);
            run.acceptance = if is_older { Acceptance::Duplicate } else { Acceptance::Started };
            started_here += usize::from(!is_older);
        }
        started_here
    }

    /// Records the first line of a run's error, with the run's id replaced, so that equal errors of different runs
    /// have equal texts.
    pub(in crate::bench) fn record_error(&mut self, position: usize, text: &str) {
        let mut text = text.lines().next().unwrap_or_default().to_owned();
        if let Some(id) = self.all[position].id {
            text = text.replace(&id.to_string(), "<id>");
        }
        if let Some((end, _)) = text.char_indices().nth(MAX_ERROR_CHARS) {
            text.truncate(end);
        }
        if self.errors.len() >= MAX_ERRORS && !self.error_index.contains_key(&text) {
            "other errors".clone_into(&mut text);
        }
        let next = self.errors.len();
        let index = *self.error_index.entry(text.clone()).or_insert(next);
        if index == next {
            self.errors.push(text);
        }
        self.all[position].error = Some(index);
    }

    /// The run's line in `runs.jsonl`. Times are milliseconds since the start of the benchmark.
    pub(in crate::bench) fn to_json(&self, plan: &LoadPlan, position: usize) -> Value {
        let (run, (task, index)) = (&self.all[position], self.task_and_index(position));
        let ms = |micros: Option<Micros>| micros.map(|micros| micros as f64 / 1e3);
        let task = &plan.tasks[task];
        json!({
            "key": run_key(&plan.prefix, &task.name, index),
            "task": task.name,
            "index": index,
            "run_id": run.id.map(|id| id.to_string()),
            "accepted_as": run.acceptance.as_str(),
            "status": run.status.map_or("UNKNOWN".to_owned(), |status| status.to_string()),
            "due_ms": run.due as f64 / 1e3,
            "submitted_ms": ms(run.submitted),
            "accepted_ms": ms(run.accepted),
            "started_ms": ms(run.started),
            "finished_ms": ms(run.finished),
            "seen_ms": ms(run.seen),
            "error": run.error.map(|error| self.errors[error].as_str()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovered_run_older_than_its_submission_is_duplicate() {
        let run = |created| RunRecord {
            recovered: true,
            acceptance: Acceptance::Started,
            submitted: Some(5_000_000),
            created,
            ..RunRecord::default()
        };
        let all = vec![run(Some(-60_000_000)), run(Some(5_010_000)), run(None), RunRecord::default()];
        let mut runs = RunRecords::with_runs_per_task(all, 4);
        assert_eq!(runs.classify_recovered(), 2);
        let acceptances: Vec<&str> = runs.all.iter().map(|run| run.acceptance.as_str()).collect();
        assert_eq!(acceptances, ["duplicate", "started", "started", "not submitted"]);
    }

    #[test]
    fn unanswered_run_has_an_error() {
        let sent = RunRecord { submitted: Some(0), ..RunRecord::default() };
        let mut runs = RunRecords::with_runs_per_task(vec![sent.clone(), sent, RunRecord::default()], 3);
        runs.record_error(0, "the connection broke");
        runs.mark_unanswered("no response");
        let errors: Vec<Option<&str>> =
            runs.all.iter().map(|run| run.error.map(|error| runs.errors[error].as_str())).collect();
        assert_eq!(errors, [Some("the connection broke"), Some("no response"), None]);
        assert_eq!(runs.all[2].acceptance, Acceptance::Pending);
    }

    #[test]
    fn equal_errors_of_two_runs_share_one_text() {
        let mut runs = RunRecords::with_runs_per_task(vec![RunRecord::default(), RunRecord::default()], 2);
        for position in 0..2 {
            let id = RunId::random();
            runs.all[position].id = Some(id);
            runs.record_error(position, &format!("run {id} failed\nat a line"));
        }
        assert_eq!(runs.errors, ["run <id> failed"]);
    }
}
