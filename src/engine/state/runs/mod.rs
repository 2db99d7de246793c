//! Runs and their tasks.
//!
//! [`Runs`] owns all runs, their tasks and the index of child runs, and keeps these invariants:
//!
//! - A run and its tasks are inserted and removed together.
//! - [`Run::open`] is the number of its tasks that have not finished. [`Run::finished`] is set exactly while all have
//!   finished and the end was announced.
//! - `by_age` contains all runs; `finished` contains the finished runs in the order of their ends.
//! - `finished_bytes` is the memory of the finished runs, which does not change while a run is finished.

mod dependencies;
mod filter;
mod history;
mod reorder_buffer;
mod retention;
mod run;
mod task;

pub(crate) use self::{
    filter::RunFilter,
    history::{HistoryEvent, HistoryEventKind, TaskHistory},
    reorder_buffer::{Released, ReorderBuffer},
    run::{ChildKey, Finish, Origin, Parent, Run, TriggeringFilter},
    task::{Phase, Running, Task},
};

use std::collections::{BTreeMap, HashMap};

use super::{time::Timestamp, workflows::TaskSpec};
use crate::{
    engine::persistence::tracked::Tracked,
    hatchet::wire::{RunId, RunStatus},
};

/// All runs, their tasks and the index of child runs.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(super) runs: Tracked<HashMap<RunId, Run>>,
    pub(super) tasks: Tracked<HashMap<RunId, Task>>,
    /// Child runs by their parent task and key.
    pub(super) children: Tracked<HashMap<(RunId, ChildKey), RunId>>,
    by_age: BTreeMap<u64, RunId>,
    finished: BTreeMap<u64, RunId>,
    finished_bytes: usize,
    /// Sequence numbers of the latest run, task and end of a task.
    last_run: u64,
    last_task: u64,
    last_finish: u64,
    /// Ends of runs since the start, plus finished runs that were restored.
    finished_total: u64,
}

impl Runs {
    pub(crate) fn get(&self, id: RunId) -> Option<&Run> {
        self.runs.get(&id)
    }

    pub(crate) fn task(&self, id: RunId) -> Option<&Task> {
        self.tasks.get(&id)
    }

    /// Returns a run to change; see [`Tracked::get_mut`].
    pub(crate) fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        self.runs.get_mut(&id)
    }

    /// Returns a task to change; see [`Tracked::get_mut`].
    pub(crate) fn task_mut(&mut self, id: RunId) -> Option<&mut Task> {
        self.tasks.get_mut(&id)
    }

    /// Returns a task, to change fields that are not stored; see [`Tracked::get_mut_untracked`].
    pub(crate) fn task_mut_untracked(&mut self, id: RunId) -> Option<&mut Task> {
        self.tasks.get_mut_untracked(&id)
    }

    /// Finds a run by its id, or by the id of one of its tasks.
    pub(crate) fn containing(&self, id: RunId) -> Option<(RunId, &Run)> {
        let id = self.tasks.get(&id).map_or(id, |task| task.run);
        self.runs.get(&id).map(|run| (id, run))
    }

    /// The definition of a task, with the additions of its version.
    pub(crate) fn spec(&self, task: RunId) -> Option<TaskSpec<'_>> {
        let task = self.tasks.get(&task)?;
        self.runs.get(&task.run)?.version.task(task.spec)
    }

    /// All runs in the order of creation.
    pub(crate) fn by_age(&self) -> impl DoubleEndedIterator<Item = (RunId, &Run)> {
        self.by_age.values().filter_map(|id| Some((*id, self.runs.get(id)?)))
    }

    /// Number of runs created so far.
    pub(crate) fn created_total(&self) -> u64 {
        self.last_run
    }

    /// Number of runs finished so far.
    pub(crate) fn finished_total(&self) -> u64 {
        self.finished_total
    }

    /// Estimated memory of all runs, tasks and child keys in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.runs.bytes() + self.tasks.bytes() + self.children.bytes()
    }

    /// The existing child run of a parent task.
    pub(crate) fn child(&self, parent: RunId, key: &ChildKey) -> Option<RunId> {
        // The key is cloned for the lookup, which happens once for each trigger of a child.
        self.children.get(&(parent, key.clone())).copied()
    }

    pub(crate) fn insert_child(&mut self, parent: RunId, key: ChildKey, child: RunId) {
        if let Some(task) = self.tasks.get_mut_untracked(&parent) {
            task.children.push(key.clone());
        }
        self.children.insert((parent, key), child);
    }

    /// Inserts a new run, which gets its number, and its tasks, all of which wait.
    pub(crate) fn insert(&mut self, id: RunId, mut run: Run) {
        self.last_run += 1;
        run.seq = self.last_run;
        self.by_age.insert(run.seq, id);
        for (spec, task) in run.tasks.iter().enumerate() {
            self.last_task += 1;
            self.tasks.insert(*task, Task::new(id, self.last_task, spec));
        }
        self.runs.insert(id, run);
    }

    /// Puts a task into a final phase.
    pub(crate) fn end_task(&mut self, id: RunId, phase: Phase, time: Timestamp) {
        self.last_finish += 1;
        let seq = self.last_finish;
        self.tasks.resize(&id, |task| {
            task.finish_seq = seq;
            task.phase = phase;
            task.finished = Some(time);
        });
        if let Some(run) = self.run_of_task(id) {
            run.open -= 1;
        }
    }

    /// Puts a finished task back into the waiting phase, with new budgets.
    pub(crate) fn restart_task(&mut self, id: RunId) {
        self.tasks.resize(&id, |task| {
            (task.failures, task.reassignments, task.finished) = (0, 0, None);
            task.phase = Phase::Waiting(0);
        });
        if let Some(run) = self.run_of_task(id) {
            run.open += 1;
        }
    }

    fn run_of_task(&mut self, task: RunId) -> Option<&mut Run> {
        let run = self.tasks.get(&task)?.run;
        self.runs.get_mut_untracked(&run)
    }

    /// The status of a run: the common status of all tasks, if there is one. Otherwise running while a task is open,
    /// then failed if a task failed, else cancelled.
    pub(crate) fn status(&self, run: &Run) -> RunStatus {
        self.status_by(run, Phase::status)
    }

    /// The status of a run over REST; see [`Phase::rest_status`].
    pub(crate) fn rest_status(&self, run: &Run) -> RunStatus {
        self.status_by(run, Phase::rest_status)
    }

    fn status_by(&self, run: &Run, task_status: fn(&Phase) -> RunStatus) -> RunStatus {
        let all: Vec<RunStatus> =
            run.tasks.iter().filter_map(|id| self.tasks.get(id)).map(|task| task_status(&task.phase)).collect();
        match all.first() {
            Some(first) if all.iter().all(|status| status == first) => *first,
            Some(_) if run.open > 0 => RunStatus::Running,
            Some(_) if all.contains(&RunStatus::Failed) => RunStatus::Failed,
            Some(_) => RunStatus::Cancelled,
            None => RunStatus::Completed,
        }
    }
}
