//! Finds the assignments that were lost with a connection, and starts their attempts.
//!
//! A real engine waits for no acknowledgement of an assignment. What it sends into a dead connection is lost: the
//! attempt stays assigned to this worker, occupies one of its slots, and ends at its execution timeout. The engine lists
//! such an attempt over REST: it is assigned to this worker and has not started. So a session that follows another
//! reads this list, and handles what it has not received as if it had arrived on the stream.
//!
//! The list lags behind the engine, and may contain an attempt that has just started or finished here. So an attempt is
//! started only if
//!
//! - two lists contain it without a start, [`CONFIRM_AFTER`] apart, and so do the details of its run, and
//! - it is neither running nor recently finished here, which `dispatch` checks for every assignment.
//!
//! The embedded engine sends such assignments again on the next stream, so it lists none.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, sleep_until};

use crate::hatchet::{
    client::{RestClient, TaskRow},
    transport::ClientError,
    wire::{
        RunId, RunStatus, WorkerId,
        proto::{ActionType, AssignedAction},
    },
    worker::attempt::{AttemptKey, WorkerResources, dispatch},
};

/// Times of the searches after the start of a session. The list lags by 0.2 to 1 s, at times more. The engine may wait
/// up to 25 s until a dead connection accepts an assignment.
const SEARCH_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(6), Duration::from_secs(30)];

/// Time between the two lists of a search.
const CONFIRM_AFTER: Duration = Duration::from_secs(2);

/// Maximum age of a run that is found. The engine's index needs a limit. A run is assigned within its schedule timeout,
/// which is rarely longer.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Maximum number of concurrent requests for details.
const MAX_REQUESTS: usize = 4;

/// Searches for lost assignments at [`SEARCH_AFTER`], and starts their attempts. Ends after the last search, and
/// immediately if the REST address is unknown.
pub(super) async fn start_lost_assignments(resources: &Arc<WorkerResources>, worker: WorkerId) {
    let Some(rest) = resources.client.rest() else { return };
    let session_start = Instant::now();
    for (index, after) in SEARCH_AFTER.into_iter().enumerate() {
        sleep_until(session_start + after).await;
        match search(resources, rest, worker).await {
            Ok(()) => {}
            Err(error) if index + 1 == SEARCH_AFTER.len() => tracing::warn!(
                %worker,
                "assignments that were lost with an earlier connection are not known, and may wait for their execution \
                 timeout: {error}"
            ),
            Err(error) => tracing::debug!(%worker, %error, "searching for lost assignments failed"),
        }
    }
}

/// Starts the attempts that two lists contain and that are unknown here. An error concerns some or all of them.
async fn search(resources: &Arc<WorkerResources>, rest: &RestClient, worker: WorkerId) -> Result<(), ClientError> {
    let first = list_lost(resources, rest, worker).await?;
    if first.is_empty() {
        return Ok(());
    }
    sleep(CONFIRM_AFTER).await;
    let mut lost = list_lost(resources, rest, worker).await?;
    lost.retain(|attempt, _| first.contains_key(attempt));

    let runs: BTreeSet<RunId> = lost.values().copied().collect();
    let mut details = stream::iter(runs).map(|run| rest.tasks_of(run)).buffer_unordered(MAX_REQUESTS);
    let (mut number, mut failure) = (0, None);
    while let Some(result) = details.next().await {
        let tasks = match result {
            Ok(tasks) => tasks,
            Err(error) => {
                failure = Some(error);
                continue;
            }
        };
        for task in
            tasks.into_iter().filter(|task| is_unstarted(task) && key(task).is_some_and(|key| lost.contains_key(&key)))
        {
            let Some(action) = assigned_action(&task) else {
                tracing::error!(
                    run = task.task_external_id,
                    "a lost assignment is not started: the engine lists no input"
                );
                continue;
            };
            resources.table.wait_for_fewer_than(resources.max_attempts).await;
            dispatch(resources, worker, action);
            number += 1;
        }
    }
    if number > 0 {
        tracing::warn!(%worker, "started {number} attempts whose assignments were lost with an earlier connection");
    }
    resources.counters.assignments_recovered.add(number);
    failure.map_or(Ok(()), Err)
}

/// Lists the attempts that are assigned to this worker, have not started, and are unknown here, with their workflow
/// runs.
async fn list_lost(
    resources: &WorkerResources,
    rest: &RestClient,
    worker: WorkerId,
) -> Result<HashMap<AttemptKey, RunId>, ClientError> {
    let tasks = rest.assigned_tasks(worker, SystemTime::now() - MAX_AGE).await?;
    let unstarted = tasks.iter().filter(|task| is_unstarted(task));
    let lost = unstarted.filter_map(|task| Some((key(task)?, task.workflow_run_external_id)));
    Ok(lost.filter(|(attempt, _)| !resources.table.contains(*attempt)).collect())
}

fn key(task: &TaskRow) -> Option<AttemptKey> {
    Some((task.task_external_id.parse().ok()?, task.retry_count))
}

fn is_unstarted(task: &TaskRow) -> bool {
    task.status == RunStatus::Running.to_string() && task.started_at.is_none()
}

/// Returns the assignment as the engine sends it on a stream. `None` if the input is missing, for example because the
/// token does not permit to read it.
fn assigned_action(task: &TaskRow) -> Option<AssignedAction> {
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow, rename = "input")]
        _input: &'a RawValue,
    }
    let payload = task.input.as_ref()?.get();
    serde_json::from_str::<Payload>(payload).ok()?;
    let name = task.display_name.rsplit_once('-').map_or(&*task.display_name, |(name, _)| name);
    Some(AssignedAction {
        tenant_id: task.tenant_id.clone(),
        workflow_run_id: task.workflow_run_external_id.to_string(),
        // As on a stream, the job is the task.
        job_id: task.step_id.clone(),
        job_name: name.to_owned(),
        job_run_id: task.task_external_id.clone(),
        task_id: task.step_id.clone(),
        task_run_external_id: task.task_external_id.clone(),
        action_id: task.action_id.clone(),
        action_type: ActionType::StartStepRun.into(),
        action_payload: payload.to_owned(),
        task_name: name.to_owned(),
        retry_count: task.retry_count,
        additional_metadata: task.additional_metadata.as_ref().map(|json| json.get().to_owned()),
        workflow_id: Some(task.workflow_id.clone()),
        workflow_version_id: task.workflow_version_id.clone(),
        ..AssignedAction::default()
    })
}
