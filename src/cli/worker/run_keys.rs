//! Twins of the tasks that take each run key once, for `worker --run-keys`.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::Path,
    sync::{Mutex, PoisonError},
};

use crate::{
    bench::{KEY_TTL, KEYED, RUN_KEY},
    cli::Exit,
    hatchet::task::{Context, ErasedTask, Idempotency, IdempotencyMethod},
};

/// The task's body under the name `<task>-keyed`, where a second run with the key of an earlier one is refused.
///
/// Keys count for the whole tenant, so the key holds the workflow's name, `namespaced`. There is no fallback for a
/// run without a key: any fallback would be a key like all others. A run may wait as long as its key is held.
pub(in crate::cli) fn twin(task: &ErasedTask, namespaced: impl Fn(&str) -> String) -> ErasedTask {
    let name = format!("{}{KEYED}", task.name());
    let expression = format!("'{}:' + additional_metadata.{RUN_KEY}", namespaced(&name));
    task.clone().renamed(name).with_options(|options| {
        options.schedule_timeout = KEY_TTL;
        options.idempotency = Some(Idempotency { expression, ttl: KEY_TTL, method: IdempotencyMethod::Ttl });
    })
}

/// Where the tasks themselves count: a line for each attempt, with the run's key, its id and the retry.
pub(in crate::cli) struct Executions(Mutex<File>);

impl Executions {
    pub(in crate::cli) fn open(path: &Path) -> Result<Self, Exit> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map(|file| Self(Mutex::new(file)))
            .map_err(|e| Exit::usage(format!("--executions-file: {} cannot be written: {e}", path.display())))
    }

    pub(in crate::cli) fn note(&self, ctx: &Context) {
        let key = ctx.additional_metadata().get(RUN_KEY).and_then(|key| key.as_str()).unwrap_or("-");
        let line = format!("{key} {} {}\n", ctx.run_id(), ctx.retry_count());
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(e) = file.write_all(line.as_bytes()) {
            tracing::error!("an execution cannot be noted: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{hatchet::task::RunInfo, tasks};

    #[test]
    fn a_twin_differs_by_name_and_key() {
        let task = tasks::find("cpu-heavy-task").unwrap();
        let twin = twin(&task, |name| format!("ns_{name}"));
        assert_eq!(twin.names().collect::<Vec<_>>(), ["cpu-heavy-task-keyed"]);
        assert_eq!((twin.slot_pool(), twin.options().schedule_timeout), ("cpu", KEY_TTL));
        let idempotency = twin.options().idempotency.as_ref().unwrap();
        assert_eq!(idempotency.expression, "'ns_cpu-heavy-task-keyed:' + additional_metadata.run_key");
    }

    #[test]
    fn executions_are_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("executions");
        let executions = Executions::open(&path).unwrap();
        let mut info = RunInfo { run_id: "r".into(), retry_count: 1, ..RunInfo::default() };
        info.additional_metadata.insert(RUN_KEY.into(), "p:t:0".into());
        executions.note(&Context::new(info).0);
        executions.note(&Context::new(RunInfo::default()).0);
        assert_eq!(std::fs::read_to_string(path).unwrap(), "p:t:0 r 1\n-  0\n");
        assert!(Executions::open(folder.path()).is_err());
    }
}
