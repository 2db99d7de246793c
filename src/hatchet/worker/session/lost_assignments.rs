//! Finds the assignments that were lost with a connection, and starts their attempts.
//!
//! A real engine waits for no acknowledgement of an assignment. What it sends into a dead connection is lost: the
//! attempt stays assigned to this worker, occupies one of its slots, and ends at its execution timeout. The engine lists
//! such an attempt over REST: it is assigned to this worker and has not started. So a session that follows another
//! reads this list, and handles what it has not received as if it had arrived on the stream.
//!
//! The list lags behind the engine, may contain an attempt that has just started or finished here, and contains
//! attempts that the engine has not sent yet. So an attempt is started only if
//!
//! - two lists contain it without a start, [`CONFIRM_AFTER`] apart, and so do the details of its run,
//! - its history says that it was sent to this worker, or the time has passed in which the engine may still send it, and
//! - neither it nor a later attempt is running or has recently finished here, and it was not cancelled.
//!
//! The embedded engine sends such assignments again on the next stream, before a search.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::time::{Instant, sleep, sleep_until};

use crate::hatchet::{
    client::{RestClient, TaskEvent, TaskRow},
    transport::ClientError,
    wire::{
        RunId, RunStatus, WorkerId,
        proto::{ActionType, AssignedAction},
    },
    worker::attempt::{AttemptKey, WorkerResources, start},
};

/// Times of the searches after the start of a session. The list lags by 0.2 to 1 s, at times more. A stream that the
/// engine could not remove receives assignments for up to 50 s.
const SEARCH_AFTER: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(6), Duration::from_secs(30), Duration::from_secs(60)];

/// Time after the start of a session in which the engine may still try to send an assignment on an earlier stream: 25 s.
/// An assignment that it could not send is assigned again, as the next attempt.
const SENDS_END_AFTER: Duration = Duration::from_secs(25);

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
        let is_last = index + 1 == SEARCH_AFTER.len();
        let search = Search { resources, rest, worker, sends_ended: after > SENDS_END_AFTER };
        match search.run().await {
            Ok(unusable) if unusable.is_empty() => {}
            Ok(unusable) if is_last => tracing::warn!(
                %worker,
                "{} assignments that were lost with an earlier connection are not started, and wait for their execution \
                 timeout: {}",
                unusable.len(),
                unusable.join("; ")
            ),
            Err(error) if is_last => tracing::warn!(
                %worker,
                "assignments that were lost with an earlier connection are not known, and may wait for their execution \
                 timeout: {error}"
            ),
            Ok(unusable) => tracing::debug!(%worker, ?unusable, "lost assignments are not started"),
            Err(error) => tracing::debug!(%worker, %error, "searching for lost assignments failed"),
        }
    }
}

/// Attempts by the workflow runs that contain them.
type LostAttempts = BTreeMap<RunId, Vec<AttemptKey>>;

/// One search.
#[derive(Clone, Copy)]
struct Search<'a> {
    resources: &'a Arc<WorkerResources>,
    rest: &'a RestClient,
    worker: WorkerId,
    /// Whether the engine no longer tries to send assignments on an earlier stream.
    sends_ended: bool,
}

impl Search<'_> {
    /// Starts the attempts that two lists contain and that are unknown here. Returns the reason for each attempt that
    /// cannot be started. An error concerns some or all of them.
    async fn run(self) -> Result<Vec<String>, ClientError> {
        let first = self.list().await?;
        if first.is_empty() {
            return Ok(Vec::new());
        }
        sleep(CONFIRM_AFTER).await;
        let mut lost = LostAttempts::new();
        for (attempt, run) in self.list().await?.into_iter().filter(|(attempt, _)| first.contains_key(attempt)) {
            lost.entry(run).or_default().push(attempt);
        }
        let confirmations = lost.into_iter().map(|(run, attempts)| self.confirm(run, attempts));
        let mut confirmed = stream::iter(confirmations).buffer_unordered(MAX_REQUESTS);
        let (mut started, mut unusable, mut failure) = (0, Vec::new(), None);
        while let Some(result) = confirmed.next().await {
            match result {
                Ok(actions) => {
                    for action in actions {
                        match action {
                            Ok(action) => started += u32::from(self.start(action)),
                            Err(reason) => unusable.push(reason),
                        }
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        if started > 0 {
            tracing::warn!(
                worker = %self.worker,
                "started {started} attempts whose assignments were lost with an earlier connection"
            );
        }
        failure.map_or(Ok(unusable), Err)
    }

    /// Lists the attempts that are assigned to this worker, have not started, and are unknown here, with their workflow
    /// runs.
    async fn list(self) -> Result<HashMap<AttemptKey, RunId>, ClientError> {
        let tasks = self.rest.assigned_tasks(self.worker, SystemTime::now() - MAX_AGE).await?;
        let unstarted = tasks.iter().filter(|task| is_unstarted(task));
        let lost = unstarted.filter_map(|task| Some((key(task)?, task.workflow_run_external_id)));
        Ok(lost.filter(|(attempt, _)| !self.resources.table.contains(*attempt)).collect())
    }

    /// Returns the assignments of those attempts of a workflow run that were sent and have not started, or the reason
    /// for which one cannot be started.
    async fn confirm(
        self,
        run: RunId,
        mut attempts: Vec<AttemptKey>,
    ) -> Result<Vec<Result<AssignedAction, String>>, ClientError> {
        if !self.sends_ended {
            let mut sent = Vec::new();
            for attempt in attempts {
                if was_sent(&self.rest.task_events(attempt.0).await?, self.worker, attempt) {
                    sent.push(attempt);
                }
            }
            attempts = sent;
        }
        if attempts.is_empty() {
            return Ok(Vec::new());
        }
        let tasks = self.rest.tasks_of(run).await?;
        let lost =
            tasks.iter().filter(|task| is_unstarted(task) && key(task).is_some_and(|key| attempts.contains(&key)));
        let action = |task: &TaskRow| {
            assigned_action(task, &tasks).map_err(|reason| format!("run {}: {reason}", task.task_external_id))
        };
        Ok(lost.map(action).collect())
    }

    /// Starts an attempt, unless it or a later attempt is known here. The next search finds an attempt for which there
    /// is no room.
    fn start(self, action: AssignedAction) -> bool {
        let Self { resources, worker, .. } = self;
        let has_room = resources.table.len() < resources.max_attempts;
        let is_current =
            action.task_run_external_id.parse().is_ok_and(|run| !resources.table.has_later((run, action.retry_count)));
        let is_started = has_room && is_current && start(resources, worker, action);
        resources.counters.assignments_recovered.add(u64::from(is_started));
        is_started
    }
}

fn key(task: &TaskRow) -> Option<AttemptKey> {
    Some((task.task_external_id.parse().ok()?, task.retry_count))
}

fn is_unstarted(task: &TaskRow) -> bool {
    task.status == RunStatus::Running.to_string() && task.started_at.is_none()
}

/// Whether the engine has sent the assignment of an attempt to this worker.
fn was_sent(events: &[TaskEvent], worker: WorkerId, (_, retry_count): AttemptKey) -> bool {
    events.iter().any(|event| {
        event.event_type == "SENT_TO_WORKER"
            && i32::try_from(event.retry_count) == Ok(retry_count)
            && event.worker_id.as_deref().is_some_and(|id| id.parse() == Ok(worker))
    })
}

/// Returns the assignment as the engine sends it on a stream, or the reason for which it is not known. `tasks` are those
/// of the run.
fn assigned_action(task: &TaskRow, tasks: &[TaskRow]) -> Result<AssignedAction, &'static str> {
    #[derive(Deserialize)]
    struct Payload<'a> {
        #[serde(borrow, rename = "input")]
        _input: &'a RawValue,
        #[serde(default)]
        parents: Option<BTreeMap<String, Value>>,
        #[serde(default)]
        step_run_errors: Option<BTreeMap<String, Value>>,
        /// Tasks whose outputs the engine adds when it sends the assignment.
        #[serde(default)]
        dag_parent_task_run_ids: Option<Vec<Value>>,
    }
    let payload = task.input.as_ref().map_or("", |input| input.get());
    let Ok(parsed) = serde_json::from_str::<Payload>(payload) else {
        return Err("the engine lists no input, for example because the token does not permit to read it");
    };
    if parsed.dag_parent_task_run_ids.is_some_and(|ids| !ids.is_empty()) {
        return Err("the engine does not list the outputs of the task's parents");
    }
    // The engine lists the payload of the first assignment. A replay may have changed the results of other tasks.
    let is_current = |(name, output): (&String, &Value)| {
        let parent = tasks.iter().find(|task| task.name() == name).and_then(|task| task.output.as_ref());
        parent.is_some_and(|parent| serde_json::from_str::<Value>(parent.get()).is_ok_and(|parent| parent == *output))
    };
    let has_errors = parsed.step_run_errors.is_some_and(|errors| !errors.is_empty());
    if task.retry_count > 0 && (has_errors || !parsed.parents.iter().flatten().all(is_current)) {
        return Err("results of other tasks may have changed since the engine stored the input");
    }
    Ok(AssignedAction {
        tenant_id: task.tenant_id.clone(),
        workflow_run_id: task.workflow_run_external_id.to_string(),
        // As on a stream, the job is the task.
        job_id: task.step_id.clone(),
        job_name: task.name().to_owned(),
        job_run_id: task.task_external_id.clone(),
        task_id: task.step_id.clone(),
        task_run_external_id: task.task_external_id.clone(),
        action_id: task.action_id.clone(),
        action_type: ActionType::StartStepRun.into(),
        action_payload: payload.to_owned(),
        task_name: task.name().to_owned(),
        retry_count: task.retry_count,
        additional_metadata: task.additional_metadata.as_ref().map(|json| json.get().to_owned()),
        parent_workflow_run_id: task.parent_task_external_id.clone(),
        workflow_id: Some(task.workflow_id.clone()),
        workflow_version_id: task.workflow_version_id.clone(),
        ..AssignedAction::default()
    })
}
