//! Completes run records with the times of the engine's REST list.
//!
//! The list is read after the last run has ended, so that reading it does not disturb the measurement. It also recovers
//! runs whose response was lost, by the run key in their metadata.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prost_types::Timestamp;

use super::run::{Acceptance, Micros, RunRecords};
use crate::{
    bench::{
        keys::{RUN_KEY, RUN_KEY_PREFIX},
        plan::LoadPlan,
    },
    hatchet::{
        client::{ClientError, RestClient, RunFilter, RunSummary},
        wire::{RunId, RunStatus},
    },
};

/// Maximum number of readings of the list. A real engine's list lags behind its runs by up to a few seconds.
const MAX_READINGS: usize = 4;
/// Delay between two readings: 1 s.
const READING_DELAY: Duration = Duration::from_secs(1);

/// Reads the runs created after `since` until each ended run has its times, a reading completes no further run, or
/// [`MAX_READINGS`] is reached. `span` is the time of the benchmark, see [`apply_row`].
pub(in crate::bench) async fn fill_times(
    rest: &RestClient,
    plan: &LoadPlan,
    runs: &mut RunRecords,
    span: Span,
    since: SystemTime,
) -> Result<(), ClientError> {
    let positions: HashMap<RunId, usize> =
        runs.all.iter().enumerate().filter_map(|(position, run)| Some((run.id?, position))).collect();
    let mut missing_before = usize::MAX;
    for reading in 0..MAX_READINGS {
        let mut pages = rest.runs(&RunFilter::since(since).metadata(RUN_KEY_PREFIX, &plan.prefix));
        while let Some(rows) = pages.next().await? {
            for row in &rows {
                apply_row(plan, runs, &positions, span, row);
            }
        }
        let missing = runs.all.iter().filter(|run| run.status.is_some() && run.finished.is_none()).count();
        if missing == 0 || (reading > 0 && missing == missing_before) {
            break;
        }
        missing_before = missing;
        if reading + 1 < MAX_READINGS {
            tokio::time::sleep(READING_DELAY).await;
        }
    }
    Ok(())
}

/// The time of a benchmark: its start, and its duration.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Span {
    pub(in crate::bench) began: SystemTime,
    pub(in crate::bench) duration: Micros,
}

/// Copies the times of a row to its run. Recovers the run if its id is unknown.
///
/// Runs that had not finished when a benchmark was stopped go on. Their times after its end are left out, because the
/// metrics would mix them with the times of the benchmark, and show a waiting time longer than the benchmark.
fn apply_row(
    plan: &LoadPlan,
    runs: &mut RunRecords,
    positions: &HashMap<RunId, usize>,
    Span { began, duration }: Span,
    row: &RunSummary,
) {
    let Ok(id) = row.workflow_run_external_id.parse::<RunId>() else { return };
    let Some(position) = positions.get(&id).copied().or_else(|| position_by_key(plan, runs, row)) else { return };
    let run = &mut runs.all[position];
    if run.id.is_none() {
        (run.id, run.acceptance, run.recovered, run.error) = (Some(id), Acceptance::Started, true, None);
        run.status = match row.status.as_str() {
            "COMPLETED" => Some(RunStatus::Completed),
            "FAILED" => Some(RunStatus::Failed),
            "CANCELLED" => Some(RunStatus::Cancelled),
            _ => None,
        };
    }
    let is_observed = run.seen.is_some();
    let time = |text: &Option<String>| {
        let at = text.as_deref().and_then(|text| micros_since(began, text))?;
        (is_observed || at <= duration).then_some(at)
    };
    run.created = time(&row.created_at).or(run.created);
    run.started = time(&row.started_at).or(run.started);
    run.finished = time(&row.finished_at).or(run.finished);
}

/// Finds the position of a run without a known id, by the run key in the row.
fn position_by_key(plan: &LoadPlan, runs: &RunRecords, row: &RunSummary) -> Option<usize> {
    let (rest, index) = row.additional_metadata.get(RUN_KEY)?.as_str()?.rsplit_once(':')?;
    let name = rest.strip_prefix(&plan.prefix)?.strip_prefix(':')?;
    let task = plan.tasks.iter().position(|task| task.name == name)?;
    let position = runs.position(task, index.parse().ok().filter(|index| *index < plan.runs)?);
    runs.all[position].id.is_none().then_some(position)
}

/// Parses an RFC 3339 time as microseconds since the start. `None` for other text and for Go's zero time, by which an
/// engine represents an unset time.
fn micros_since(began: SystemTime, text: &str) -> Option<Micros> {
    let at: Timestamp = text.parse().ok()?;
    let began = i64::try_from(began.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()?;
    let at = at.seconds.checked_mul(1_000_000)?.checked_add(i64::from(at.nanos) / 1_000)?;
    (at > 0).then_some(at - began)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{plan::test_plan, record::RunRecord};

    #[test]
    fn times_after_the_end_are_left_out_unless_the_end_was_observed() {
        let plan = LoadPlan { runs: 2, ..test_plan(&[("t", "default")]) };
        let mut runs = RunRecords::new(&plan);
        let began = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let span = Span { began, duration: 2_000_000 };
        for position in 0..2 {
            let id = RunId::random();
            (runs.all[position].id, runs.all[position].acceptance) = (Some(id), Acceptance::Started);
            runs.all[position].seen = (position == 1).then_some(2_000_000);
            let row = serde_json::from_value(serde_json::json!({
                "workflowRunExternalId": id.to_string(), "status": "COMPLETED", "createdAt": "2001-09-09T01:46:40Z",
                "startedAt": "2001-09-09T01:46:41Z", "finishedAt": "2001-09-09T01:46:43Z",
            }));
            apply_row(&plan, &mut runs, &HashMap::from([(id, position)]), span, &row.unwrap());
        }
        let times = |run: &RunRecord| (run.started, run.finished);
        assert_eq!(times(&runs.all[0]), (Some(1_000_000), None));
        assert_eq!(times(&runs.all[1]), (Some(1_000_000), Some(3_000_000)));
    }

    #[test]
    fn times_count_from_the_start() {
        let began = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(micros_since(began, "2001-09-09T01:46:41.5Z"), Some(1_500_000));
        assert_eq!(micros_since(began, "2001-09-09T01:46:39Z"), Some(-1_000_000));
        assert_eq!(micros_since(began, "0001-01-01T00:00:00Z"), None);
        assert_eq!(micros_since(began, "soon"), None);
    }
}
