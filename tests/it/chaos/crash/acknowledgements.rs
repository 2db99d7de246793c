//! What the engine has acknowledged.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hatchet_quickstart::hatchet::wire::proto::v1::{self, GetRunDetailsRequest, GetRunDetailsResponse};

use super::load;
use crate::support::Target;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Run `run` was made for a key.
    Key {
        key: String,
        run: String,
    },
    /// Run `run` was made.
    Run(String),
    /// It has this output.
    Output {
        run: String,
        output: String,
    },
    Cancelled(String),
    Event(String),
    /// A schedule, whose run has this in its metadata.
    Schedule {
        id: String,
        mark: String,
    },
    Line {
        run: String,
        message: String,
    },
}

/// All acknowledgements, in their order.
#[derive(Default)]
pub struct Book {
    kept: Mutex<Vec<Kept>>,
    /// By run, the attempt and the stream it came on.
    completed: Mutex<HashMap<String, (i32, u32)>>,
    checked: Mutex<usize>,
}

/// How many of the older ones are looked at again after each kill.
const SAMPLE: usize = 40;

impl Book {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, kept: Kept) {
        self.kept().push(kept);
    }

    pub fn completed(&self, run: String, output: String, attempt: i32, stream: u32) {
        self.completed.lock().unwrap().insert(run.clone(), (attempt, stream));
        self.note(Kept::Output { run, output });
    }

    /// A worker was given an attempt. Answers whether it has completed it already: it may when the attempt was on its
    /// way, once more on this stream, while it did. Else what was completed is never given again.
    pub fn has_completed(&self, run: &str, attempt: i32, stream: u32) -> bool {
        let known = self.completed.lock().unwrap().get(run).copied();
        assert!(
            known.is_none_or(|known| known == (attempt, stream)),
            "{run} was completed ({known:?}), and is to run again: {attempt} on stream {stream}"
        );
        known.is_some()
    }

    pub fn counts(&self) -> String {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for kept in self.kept().iter() {
            let word = match kept {
                Kept::Key { .. } => "keys",
                Kept::Run(_) => "runs",
                Kept::Output { .. } => "results",
                Kept::Cancelled(_) => "cancels",
                Kept::Event(_) => "events",
                Kept::Schedule { .. } => "schedules",
                Kept::Line { .. } => "log lines",
            };
            *counts.entry(word).or_default() += 1;
        }
        let mut words: Vec<String> = counts.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
        words.sort();
        format!("nothing lost of {}", words.join(", "))
    }

    /// Asserts that what was acknowledged is there: all since the last time and some of the older, or all.
    pub async fn check(&self, target: &Target, all: bool) {
        let (new, old) = {
            let (kept, mut checked) = (self.kept(), self.checked.lock().unwrap());
            let from = if all { 0 } else { *checked };
            let old: Vec<Kept> =
                (0..SAMPLE.min(from)).map(|_| kept[load::random(from as u64) as usize].clone()).collect();
            *checked = kept.len();
            (kept[from..].to_vec(), old)
        };
        for kept in old.into_iter().chain(new) {
            check(target, &kept).await;
        }
    }

    /// Whether every run that is known has ended.
    pub async fn all_ended(&self, target: &Target) -> bool {
        let runs: Vec<String> = self
            .kept()
            .iter()
            .filter_map(|kept| match kept {
                Kept::Key { run, .. } | Kept::Run(run) => Some(run.clone()),
                Kept::Output { .. }
                | Kept::Cancelled(_)
                | Kept::Event(_)
                | Kept::Schedule { .. }
                | Kept::Line { .. } => None,
            })
            .collect();
        for run in runs {
            if !details(target, &run).await.done {
                return false;
            }
        }
        true
    }
}

async fn details(target: &Target, run: &str) -> GetRunDetailsResponse {
    let request = GetRunDetailsRequest { external_id: run.to_owned() };
    target.admin().get_run_details(request).await.unwrap_or_else(|e| panic!("run {run}: {e}")).into_inner()
}

async fn check(target: &Target, kept: &Kept) {
    let tenant = &target.tenant;
    match kept {
        Kept::Key { key, run } => {
            assert_eq!(load::of_key(target, key).await.unwrap(), (run.clone(), false), "key {key} is free again");
        }
        Kept::Run(run) => drop(details(target, run).await),
        Kept::Output { run, output } => {
            let details = details(target, run).await;
            assert_eq!(details.status(), v1::RunStatus::Completed, "{run}");
            let is = details.task_runs.into_values().next().and_then(|task| task.output);
            assert_eq!(is.as_deref(), Some(output.as_bytes()), "{run}");
        }
        Kept::Cancelled(run) => assert_eq!(details(target, run).await.status(), v1::RunStatus::Cancelled, "{run}"),
        Kept::Event(id) => {
            let (status, event) = target.rest.get(&format!("/api/v1/stable/tenants/{tenant}/events/{id}")).await;
            assert_eq!(status, 200, "event {id}");
            assert_eq!(event["triggeredRuns"].as_array().map(Vec::len), Some(1), "{event}");
        }
        Kept::Schedule { id, mark } => {
            let (status, _) = target.rest.get(&format!("/api/v1/tenants/{tenant}/workflows/scheduled/{id}")).await;
            // It goes when it starts its run.
            if status != 200 {
                let list = format!(
                    "/api/v1/stable/tenants/{tenant}/workflow-runs?only_tasks=false&since=2020-01-01T00:00:00Z"
                );
                let (_, runs) = target.rest.get(&format!("{list}&additional_metadata=schedule:{mark}")).await;
                assert_eq!(runs["rows"].as_array().map(Vec::len), Some(1), "schedule {id} ({status}): {runs}");
            }
        }
        Kept::Line { run, message } => {
            let (_, lines) = target.rest.get(&format!("/api/v1/stable/tasks/{run}/logs")).await;
            let rows = lines["rows"].as_array().unwrap_or_else(|| panic!("{run}: {lines}"));
            assert!(rows.iter().any(|row| row["message"] == **message), "{run} has no `{message}`: {lines}");
        }
    }
}
