//! Completes run records with the times of the engine's REST list.
//!
//! The list is read after the last run has finished, so that reading it does not disturb the measurement. It also
//! recovers runs whose response was lost, by the run key in their metadata.

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

/// Reads the list of the runs created after `since`, and repeats it until each finished run has its times, a reading has
/// added no times, or [`MAX_READINGS`] is reached. `span` is the time of the benchmark, see [`apply_row`].
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

/// The start and the duration of a benchmark.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Span {
    pub(in crate::bench) started: SystemTime,
    pub(in crate::bench) duration: Micros,
}

/// Copies the times of a row to its run. Recovers the run if its id is unknown.
///
/// Runs that had not finished when a benchmark was stopped continue. Their times after its end are left out, because
/// the metrics would mix them with the times of the benchmark, and show a waiting time longer than the benchmark.
fn apply_row(
    plan: &LoadPlan,
    runs: &mut RunRecords,
    positions: &HashMap<RunId, usize>,
    Span { started, duration }: Span,
    row: &RunSummary,
) {
    let Ok(id) = row.workflow_run_external_id.parse::<RunId>() else { return };
    let Some(position) = positions.get(&id).copied().or_else(|| position_by_key(plan, runs, row)) else { return };
    let run = &mut runs.all[position];
    if run.id.is_none() {
        run.id = Some(id);
        run.acceptance = Acceptance::Started;
        run.recovered = true;
        run.error = None;
        run.status = RunStatus::from_name(&row.status).filter(|status| status.is_final());
    }
    let is_observed = run.seen.is_some();
    let time = |text: &Option<String>| {
        let micros = text.as_deref().and_then(|text| micros_since(started, text))?;
        (is_observed || micros <= duration).then_some(micros)
    };
    run.created = time(&row.created_at).or(run.created);
    run.started = time(&row.started_at).or(run.started);
    run.finished = time(&row.finished_at).or(run.finished);
}

/// Finds the position of a run without a known id, by the run key in the row.
fn position_by_key(plan: &LoadPlan, runs: &RunRecords, row: &RunSummary) -> Option<usize> {
    let (key, index) = row.additional_metadata.get(RUN_KEY)?.as_str()?.rsplit_once(':')?;
    let name = key.strip_prefix(&plan.prefix)?.strip_prefix(':')?;
    let task = plan.tasks.iter().position(|task| task.name == name)?;
    let position = runs.position(task, index.parse().ok().filter(|index| *index < plan.runs)?);
    runs.all[position].id.is_none().then_some(position)
}

/// Parses an RFC 3339 time as microseconds since the start. `None` for other text and for Go's zero time, by which an
/// engine represents an unset time.
fn micros_since(started: SystemTime, text: &str) -> Option<Micros> {
    let time: Timestamp = text.parse().ok()?;
    let started = i64::try_from(started.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()?;
    let micros = time.seconds.checked_mul(1_000_000)?.checked_add(i64::from(time.nanos) / 1_000)?;
    (micros > 0).then_some(micros - started)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{plan::test_plan, record::RunRecord};

    #[test]
    fn times_after_the_end_need_an_observed_finish() {
        let plan = LoadPlan { runs: 2, ..test_plan(&[("t", "default")]) };
        let mut runs = RunRecords::new(&plan);
        let started = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let span = Span { started, duration: 2_000_000 };
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
        let started = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(micros_since(started, "2001-09-09T01:46:41.5Z"), Some(1_500_000));
        assert_eq!(micros_since(started, "2001-09-09T01:46:39Z"), Some(-1_000_000));
        assert_eq!(micros_since(started, "0001-01-01T00:00:00Z"), None);
        assert_eq!(micros_since(started, "soon"), None);
    }
}
