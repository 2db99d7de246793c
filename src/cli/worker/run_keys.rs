//! `worker --run-keys`: keyed copies of the tasks, each of which accepts a run key once.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::{
    bench::{KEY_TTL, KEYED_SUFFIX, RUN_KEY},
    cli::Exit,
    hatchet::task::{Context, ErasedTask, Idempotency, IdempotencyMethod},
};

/// Copies a task under the name `<task>-keyed`, which refuses a second run with the same run key.
///
/// Idempotency keys are shared by the whole tenant, so the key contains the workflow's name with its namespace. There
/// is no default for a run without a run key, since it would make all such runs duplicates of the first. A run may wait
/// for a worker until its key expires.
pub(super) fn keyed_copy(task: &ErasedTask, namespaced: impl Fn(&str) -> String) -> ErasedTask {
    let name = format!("{}{KEYED_SUFFIX}", task.name());
    let expression = format!("'{}:' + additional_metadata.{RUN_KEY}", namespaced(&name));
    task.clone().renamed(name).with_options(|options, workflow| {
        options.schedule_timeout = KEY_TTL;
        // An event or cron starts the task itself only.
        workflow.events.clear();
        workflow.default_filters.clear();
        workflow.crons.clear();
        workflow.idempotency = Some(Idempotency { expression, ttl: KEY_TTL, method: IdempotencyMethod::Ttl });
    })
}

/// The file in which tasks record their executions: a line per attempt, with the run key, the run's id and the retry
/// count.
pub(super) struct ExecutionLog(Mutex<File>);

impl ExecutionLog {
    pub(super) fn open(path: &Path) -> Result<Self, Exit> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map(|file| Self(Mutex::new(file)))
            .map_err(|e| Exit::usage(format!("--executions-file: opening {} failed: {e}", path.display())))
    }

    /// Appends a line for an attempt.
    pub(super) fn record(&self, ctx: &Context) {
        let key = ctx.additional_metadata().get(RUN_KEY).and_then(|key| key.as_str()).unwrap_or("-");
        let line = format!("{key} {} {}\n", ctx.run_id(), ctx.retry_count());
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(e) = file.write_all(line.as_bytes()) {
            tracing::error!("writing to the executions file failed: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::task_registry::TaskRegistry, hatchet::task::RunInfo};

    #[test]
    fn keyed_copy_differs_by_name_and_key() {
        let task = TaskRegistry::of_quickstart().find("cpu-heavy-task").unwrap();
        let copy = keyed_copy(&task, |name| format!("ns_{name}"));
        assert_eq!(copy.names().collect::<Vec<_>>(), ["cpu-heavy-task-keyed"]);
        assert_eq!((copy.slot_pool(), copy.options().schedule_timeout), ("cpu", KEY_TTL));
        let idempotency = copy.workflow_options().idempotency.as_ref().unwrap();
        assert_eq!(idempotency.expression, "'ns_cpu-heavy-task-keyed:' + additional_metadata.run_key");
    }

    #[test]
    fn execution_log_has_a_line_per_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("executions");
        let executions = ExecutionLog::open(&path).unwrap();
        let mut info = RunInfo { run_id: "r".into(), retry_count: 1, ..RunInfo::default() };
        info.additional_metadata.insert(RUN_KEY.into(), "p:t:0".into());
        executions.record(&Context::new(info).0);
        executions.record(&Context::new(RunInfo::default()).0);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "p:t:0 r 1\n-  0\n");
        assert!(ExecutionLog::open(folder.path()).is_err());
    }
}
