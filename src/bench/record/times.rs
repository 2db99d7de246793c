//! When runs started and finished, from the engine's lists: after the runs, so that it costs them nothing.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prost_types::Timestamp;

use super::run::{Accepted, Micros, Runs};
use crate::{
    bench::{
        keys::{KEY_PREFIX, RUN_KEY},
        plan::Plan,
    },
    hatchet::{
        client::{ClientError, RestClient, RunSummary},
        wire::{RunId, RunStatus},
    },
};

/// A real engine's lists lag behind: how often they are read, and the wait between.
const READINGS: usize = 4;
const BETWEEN: Duration = Duration::from_secs(1);

/// Reads the lists until each ended run has its times, or they do not change any more.
pub(in crate::bench) async fn fill(
    rest: &RestClient,
    plan: &Plan,
    runs: &mut Runs,
    begun: SystemTime,
    since: SystemTime,
) -> Result<(), ClientError> {
    let places: HashMap<RunId, usize> =
        runs.all.iter().enumerate().filter_map(|(place, run)| Some((run.id?, place))).collect();
    let mut missing = usize::MAX;
    for reading in 0..READINGS {
        let mut pages = rest.runs(since, &[(KEY_PREFIX, &plan.prefix)], &[]);
        while let Some(rows) = pages.next().await? {
            for row in &rows {
                take(plan, runs, &places, begun, row);
            }
        }
        let still = runs.all.iter().filter(|run| run.end.is_some() && run.finished.is_none()).count();
        if still == 0 || (reading > 0 && still == missing) {
            break;
        }
        missing = still;
        tokio::time::sleep(BETWEEN).await;
    }
    Ok(())
}

fn take(plan: &Plan, runs: &mut Runs, places: &HashMap<RunId, usize>, begun: SystemTime, row: &RunSummary) {
    let Ok(id) = row.workflow_run_external_id.parse::<RunId>() else { return };
    let Some(place) = places.get(&id).copied().or_else(|| by_key(plan, runs, row)) else { return };
    let run = &mut runs.all[place];
    if run.id.is_none() {
        // Its answer was lost, and its key tells that it is there.
        (run.id, run.accepted_as, run.late, run.error) = (Some(id), Accepted::Started, true, None);
        run.end = match row.status.as_str() {
            "COMPLETED" => Some(RunStatus::Completed),
            "FAILED" => Some(RunStatus::Failed),
            "CANCELLED" => Some(RunStatus::Cancelled),
            _ => None,
        };
    }
    let time = |text: &Option<String>| text.as_deref().and_then(|text| micros_since(begun, text));
    run.created = time(&row.created_at).or(run.created);
    run.started = time(&row.started_at).or(run.started);
    run.finished = time(&row.finished_at).or(run.finished);
}

/// Where a run without a known id belongs, by its key.
fn by_key(plan: &Plan, runs: &Runs, row: &RunSummary) -> Option<usize> {
    let (rest, index) = row.additional_metadata.get(RUN_KEY)?.as_str()?.rsplit_once(':')?;
    let name = rest.strip_prefix(&plan.prefix)?.strip_prefix(':')?;
    let task = plan.tasks.iter().position(|task| task.name == name)?;
    let place = runs.place(task, index.parse().ok().filter(|index| *index < plan.runs)?);
    runs.all[place].id.is_none().then_some(place)
}

/// A time in RFC 3339 as microseconds since the start; none for what is no time, or Go's zero time.
fn micros_since(begun: SystemTime, text: &str) -> Option<Micros> {
    let at: Timestamp = text.parse().ok()?;
    let begun = i64::try_from(begun.duration_since(UNIX_EPOCH).ok()?.as_micros()).ok()?;
    let at = at.seconds.checked_mul(1_000_000)?.checked_add(i64::from(at.nanos) / 1_000)?;
    (at > 0).then_some(at - begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_since_the_start() {
        let begun = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        assert_eq!(micros_since(begun, "2001-09-09T01:46:41.5Z"), Some(1_500_000));
        assert_eq!(micros_since(begun, "2001-09-09T01:46:39Z"), Some(-1_000_000));
        assert_eq!(micros_since(begun, "0001-01-01T00:00:00Z"), None);
        assert_eq!(micros_since(begun, "soon"), None);
    }
}
