//! What is known of each run.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::{
    bench::{keys::run_key, plan::Plan},
    hatchet::wire::{RunId, RunStatus},
};

/// Microseconds since the benchmark's start.
pub(in crate::bench) type Micros = i64;

/// A run of a benchmark, from its plan to its end. A time that is not known is none.
#[derive(Debug, Clone, Default)]
pub(in crate::bench) struct Run {
    pub(in crate::bench) id: Option<RunId>,
    pub(in crate::bench) accepted_as: Accepted,
    /// Its answer was lost, and it was found later: by the engine's list, or as a duplicate of an earlier run or of
    /// itself.
    pub(in crate::bench) late: bool,
    /// How it ended.
    pub(in crate::bench) end: Option<RunStatus>,
    /// Its place in the benchmark's list of error texts.
    pub(in crate::bench) error: Option<usize>,
    /// When its submission was due: what its times are counted from.
    pub(in crate::bench) due: Micros,
    /// When it was first sent; none where it certainly was not.
    pub(in crate::bench) submitted: Option<Micros>,
    pub(in crate::bench) accepted: Option<Micros>,
    /// By the engine's clock, as REST gives it: when it took the run's key.
    pub(in crate::bench) created: Option<Micros>,
    /// By the engine's clock, as REST gives it.
    pub(in crate::bench) started: Option<Micros>,
    /// By the engine's clock, as REST gives it.
    pub(in crate::bench) finished: Option<Micros>,
    /// When its end was seen here.
    pub(in crate::bench) seen: Option<Micros>,
}

/// What the engine said to a run's submission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::bench) enum Accepted {
    /// Not asked yet, or the answer may still come.
    #[default]
    NotSubmitted,
    /// An answer was lost, so that it may have started.
    Unanswered,
    Started,
    /// An earlier run holds its key, and stands for it.
    Duplicate,
    Refused,
}

impl Accepted {
    pub(in crate::bench) fn word(self) -> &'static str {
        match self {
            Self::NotSubmitted => "not submitted",
            Self::Unanswered => "unanswered",
            Self::Started => "started",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
        }
    }
}

/// All runs of a benchmark, by task and then index.
#[derive(Debug)]
pub(in crate::bench) struct Runs {
    pub(in crate::bench) all: Vec<Run>,
    /// Error texts, each once.
    pub(in crate::bench) errors: Vec<String>,
    known_errors: HashMap<String, usize>,
    per_task: usize,
}

/// What clocks of two machines may differ by.
const CLOCKS: Micros = 2_000_000;
/// Error texts that are told apart; what is beyond is counted under one name.
const MOST_ERRORS: usize = 200;
/// Characters of an error text that are kept.
const ERROR_CHARS: usize = 500;

impl Runs {
    pub(in crate::bench) fn new(plan: &Plan) -> Self {
        let all = vec![Run::default(); plan.total()];
        Self { all, errors: Vec::new(), known_errors: HashMap::new(), per_task: plan.runs }
    }

    /// Where a run of a task is kept.
    pub(in crate::bench) fn place(&self, task: usize, index: usize) -> usize {
        task * self.per_task + index
    }

    /// Task and index of a run.
    pub(in crate::bench) fn of(&self, place: usize) -> (usize, usize) {
        (place / self.per_task, place % self.per_task)
    }

    pub(in crate::bench) fn of_task(&self, task: usize) -> &[Run] {
        &self.all[task * self.per_task..(task + 1) * self.per_task]
    }

    /// Takes the answers that have not come by now for lost.
    pub(in crate::bench) fn give_up_unanswered(&mut self) {
        for run in self.all.iter_mut().filter(|run| run.submitted.is_some()) {
            if run.accepted_as == Accepted::NotSubmitted {
                run.accepted_as = Accepted::Unanswered;
            }
        }
    }

    /// Whether those that came back late are duplicates of themselves, which only their times tell: this many are not
    /// known to be older.
    pub(in crate::bench) fn tell_late_ones(&mut self) -> usize {
        let mut own = 0;
        for run in self.all.iter_mut().filter(|run| run.late) {
            let older = run.created.zip(run.submitted).is_some_and(|(created, submitted)| created < submitted - CLOCKS);
            run.accepted_as = if older { Accepted::Duplicate } else { Accepted::Started };
            own += usize::from(!older);
        }
        own
    }

    /// Notes an error of a run. Its ids are left out, so that the same error of two runs is one text.
    pub(in crate::bench) fn note_error(&mut self, place: usize, text: &str) {
        let mut text = text.lines().next().unwrap_or_default().to_owned();
        if let Some(id) = self.all[place].id {
            text = text.replace(&id.to_string(), "<id>");
        }
        if let Some((end, _)) = text.char_indices().nth(ERROR_CHARS) {
            text.truncate(end);
        }
        if self.errors.len() >= MOST_ERRORS && !self.known_errors.contains_key(&text) {
            "other errors".clone_into(&mut text);
        }
        let next = self.errors.len();
        let number = *self.known_errors.entry(text.clone()).or_insert(next);
        if number == next {
            self.errors.push(text);
        }
        self.all[place].error = Some(number);
    }

    /// A run as a line of the report; times in milliseconds from the benchmark's start.
    pub(in crate::bench) fn line(&self, plan: &Plan, place: usize) -> Value {
        let (run, (task, index)) = (&self.all[place], self.of(place));
        let ms = |micros: Option<Micros>| micros.map(|micros| micros as f64 / 1e3);
        let task = &plan.tasks[task];
        json!({
            "key": run_key(&plan.prefix, &task.name, index),
            "task": task.name,
            "index": index,
            "run_id": run.id.map(|id| id.to_string()),
            "accepted_as": run.accepted_as.word(),
            "status": run.end.map_or("UNKNOWN".to_owned(), |end| end.to_string()),
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
    fn a_run_that_is_older_than_its_submission_is_a_duplicate() {
        let run = |created| Run {
            late: true,
            accepted_as: Accepted::Started,
            submitted: Some(5_000_000),
            created,
            ..Run::default()
        };
        let all = vec![run(Some(-60_000_000)), run(Some(5_010_000)), run(None), Run::default()];
        let mut runs = Runs { all, errors: Vec::new(), known_errors: HashMap::new(), per_task: 4 };
        assert_eq!(runs.tell_late_ones(), 2);
        let words: Vec<&str> = runs.all.iter().map(|run| run.accepted_as.word()).collect();
        assert_eq!(words, ["duplicate", "started", "started", "not submitted"]);
    }

    #[test]
    fn errors_of_two_runs_are_one_text() {
        let mut runs = Runs {
            all: vec![Run::default(), Run::default()],
            errors: Vec::new(),
            known_errors: HashMap::new(),
            per_task: 2,
        };
        for place in 0..2 {
            let id = RunId::random();
            runs.all[place].id = Some(id);
            runs.note_error(place, &format!("run {id} failed\nat a line"));
        }
        assert_eq!(runs.errors, ["run <id> failed"]);
    }
}
