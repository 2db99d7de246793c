//! The message about a run or a task that `GetRunDetails` returns.

use std::collections::HashMap;

use crate::{
    engine::state::{Run, State},
    hatchet::wire::{
        RunId,
        proto::v1::{GetRunDetailsResponse, TaskRunDetail},
    },
};

/// Describes the run with this id and all its tasks, or the task with this id. `None` if there is neither.
pub(super) fn run_details(state: &State, id: RunId) -> Option<GetRunDetailsResponse> {
    let (run_id, run) = state.run(id)?;
    let is_run = run_id == id;
    let tasks = if is_run { &run.tasks[..] } else { std::slice::from_ref(&id) };
    let status = if is_run { state.status(run) } else { state.task(id)?.phase.status() };
    let task_runs: HashMap<String, TaskRunDetail> =
        tasks.iter().filter_map(|task| task_detail(state, run, *task)).map(|d| (d.readable_id.clone(), d)).collect();
    Some(GetRunDetailsResponse {
        input: run.input.as_bytes().to_vec(),
        status: status.to_wire(),
        task_runs,
        done: status.is_final(),
        additional_metadata: run.metadata.as_bytes().to_vec(),
        is_evicted: false,
    })
}

fn task_detail(state: &State, run: &Run, id: RunId) -> Option<TaskRunDetail> {
    let task = state.task(id).filter(|task| task.is_created())?;
    let status = task.phase.status();
    // Present but empty on a finished task without an error, as in a real engine.
    let error = status.is_final().then(|| task.phase.error().unwrap_or_default().to_owned());
    Some(TaskRunDetail {
        external_id: id.to_string(),
        status: status.to_wire(),
        error,
        output: task.phase.output().map(|output| output.as_bytes().to_vec()),
        readable_id: run.version.task(task.spec)?.definition.name.to_string(),
        is_evicted: false,
    })
}
