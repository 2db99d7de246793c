//! The changes that the engine has acknowledged, and the check that they are still present.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hatchet_quickstart::hatchet::wire::proto::v1::{self, GetRunDetailsRequest, GetRunDetailsResponse};

use super::load;
use crate::support::Target;

/// One acknowledged change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledged {
    /// Run `run` was created for an idempotency key.
    Key {
        key: String,
        run: String,
    },
    /// The run was created.
    Run(String),
    /// The run completed with this output.
    Output {
        run: String,
        output: String,
    },
    Cancelled(String),
    Event(String),
    /// A schedule whose run has `marker` in its metadata.
    Schedule {
        id: String,
        marker: String,
    },
    Line {
        run: String,
        message: String,
    },
}

/// All acknowledged changes, in their order.
#[derive(Default)]
pub struct Acknowledgements {
    changes: Mutex<Vec<Acknowledged>>,
    /// The completed attempt of each run, and the stream of its assignment.
    completed: Mutex<HashMap<String, (i32, u32)>>,
    checked: Mutex<usize>,
}

/// Number of earlier changes, chosen at random, that are checked again after each kill.
const SAMPLE: usize = 40;

impl Acknowledgements {
    fn changes(&self) -> MutexGuard<'_, Vec<Acknowledged>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn record(&self, change: Acknowledged) {
        self.changes().push(change);
    }

    pub fn completed(&self, run: String, output: String, attempt: i32, stream: u32) {
        self.completed.lock().unwrap().insert(run.clone(), (attempt, stream));
        self.record(Acknowledged::Output { run, output });
    }

    /// Checks an assignment and returns whether its attempt has completed before. That is allowed only for the same
    /// attempt on the same stream, which the engine sent again while the worker completed it.
    pub fn has_completed(&self, run: &str, attempt: i32, stream: u32) -> bool {
        let completed = self.completed.lock().unwrap().get(run).copied();
        assert!(
            completed.is_none_or(|completed| completed == (attempt, stream)),
            "{run} was completed ({completed:?}), and is assigned again: attempt {attempt} on stream {stream}"
        );
        completed.is_some()
    }

    pub fn counts(&self) -> String {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for change in self.changes().iter() {
            let kind = match change {
                Acknowledged::Key { .. } => "keys",
                Acknowledged::Run(_) => "runs",
                Acknowledged::Output { .. } => "results",
                Acknowledged::Cancelled(_) => "cancels",
                Acknowledged::Event(_) => "events",
                Acknowledged::Schedule { .. } => "schedules",
                Acknowledged::Line { .. } => "log lines",
            };
            *counts.entry(kind).or_default() += 1;
        }
        let mut totals: Vec<String> = counts.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        totals.sort();
        format!("nothing lost of {}", totals.join(", "))
    }

    /// Asserts that acknowledged changes are still present: the changes since the last check and a sample of earlier
    /// ones, or all changes.
    pub async fn check(&self, target: &Target, all: bool) {
        let (new, old) = {
            let (changes, mut checked) = (self.changes(), self.checked.lock().unwrap());
            let from = if all { 0 } else { *checked };
            let old: Vec<Acknowledged> =
                (0..SAMPLE.min(from)).map(|_| changes[load::random(from as u64) as usize].clone()).collect();
            *checked = changes.len();
            (changes[from..].to_vec(), old)
        };
        for change in old.into_iter().chain(new) {
            check(target, &change).await;
        }
    }

    /// Returns whether every acknowledged run has finished.
    pub async fn all_finished(&self, target: &Target) -> bool {
        let runs: Vec<String> = self
            .changes()
            .iter()
            .filter_map(|change| match change {
                Acknowledged::Key { run, .. } | Acknowledged::Run(run) => Some(run.clone()),
                Acknowledged::Output { .. }
                | Acknowledged::Cancelled(_)
                | Acknowledged::Event(_)
                | Acknowledged::Schedule { .. }
                | Acknowledged::Line { .. } => None,
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

async fn check(target: &Target, change: &Acknowledged) {
    let tenant = &target.tenant;
    match change {
        Acknowledged::Key { key, run } => {
            assert_eq!(load::trigger_key(target, key).await.unwrap(), (run.clone(), false), "key {key} is free");
        }
        Acknowledged::Run(run) => drop(details(target, run).await),
        Acknowledged::Output { run, output } => {
            let details = details(target, run).await;
            assert_eq!(details.status(), v1::RunStatus::Completed, "{run}");
            let stored = details.task_runs.into_values().next().and_then(|task| task.output);
            assert_eq!(stored.as_deref(), Some(output.as_bytes()), "{run}");
        }
        Acknowledged::Cancelled(run) => {
            assert_eq!(details(target, run).await.status(), v1::RunStatus::Cancelled, "{run}")
        }
        Acknowledged::Event(id) => {
            let (status, event) = target.rest.get(&format!("/api/v1/stable/tenants/{tenant}/events/{id}")).await;
            assert_eq!(status, 200, "event {id}");
            assert_eq!(event["triggeredRuns"].as_array().map(Vec::len), Some(1), "{event}");
        }
        Acknowledged::Schedule { id, marker } => {
            let (status, _) = target.rest.get(&format!("/api/v1/tenants/{tenant}/workflows/scheduled/{id}")).await;
            // A schedule is removed when it starts its run.
            if status != 200 {
                let list = format!(
                    "/api/v1/stable/tenants/{tenant}/workflow-runs?only_tasks=false&since=2020-01-01T00:00:00Z"
                );
                let (_, runs) = target.rest.get(&format!("{list}&additional_metadata=schedule:{marker}")).await;
                assert_eq!(runs["rows"].as_array().map(Vec::len), Some(1), "schedule {id} ({status}): {runs}");
            }
        }
        Acknowledged::Line { run, message } => {
            let (_, lines) = target.rest.get(&format!("/api/v1/stable/tasks/{run}/logs")).await;
            let rows = lines["rows"].as_array().unwrap_or_else(|| panic!("{run}: {lines}"));
            assert!(rows.iter().any(|row| row["message"] == **message), "{run} has no `{message}`: {lines}");
        }
    }
}
