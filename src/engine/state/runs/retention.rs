//! Finished runs: the order of their ends, and their removal.

use super::{ChildKey, Finish, Run, Runs, Task};
use crate::{
    engine::{options::Retention, state::time::ClockReading},
    hatchet::wire::RunId,
};

impl Runs {
    /// Finishes a run whose tasks have all finished. Returns `false` if a task is open or the run has finished before.
    pub(crate) fn finish(&mut self, id: RunId, retention: &Retention, now: ClockReading) -> bool {
        let Some(run) = self.runs.get_mut_untracked(&id) else { return false };
        if run.open > 0 || run.finished.is_some() {
            return false;
        }
        let seq = run.tasks.iter().filter_map(|task| self.tasks.get(task)).map(|task| task.finish_seq).max();
        let seq = seq.unwrap_or_default();
        run.finished = Some(Finish { at: now.display, seq, retained_until: now.plus(retention.age) });
        self.finished_total += 1;
        self.finished.insert(seq, id);
        self.finished_bytes += self.run_bytes(id);
        true
    }

    /// Reopens a finished run, before its tasks are restarted.
    pub(crate) fn reopen(&mut self, id: RunId) {
        if self.runs.get(&id).is_some_and(|run| run.sticky_worker.is_some())
            && let Some(run) = self.runs.get_mut(&id)
        {
            run.sticky_worker = None;
        }
        if let Some(finish) = self.runs.get_mut_untracked(&id).and_then(|run| run.finished.take()) {
            self.finished.remove(&finish.seq);
            self.finished_bytes = self.finished_bytes.saturating_sub(self.run_bytes(id));
        }
    }

    /// Removes the run that finished first, if the finished runs exceed the limit on their number or their memory,
    /// or if this run exceeds the maximum age. The monotonic clock measures the age, so that a jump of the wall clock
    /// removes no run.
    pub(crate) fn remove_expired(&mut self, retention: &Retention, now: ClockReading) -> Option<(RunId, Run)> {
        let (seq, id) = self.finished.first_key_value().map(|(seq, id)| (*seq, *id))?;
        let is_old = |run: &Run| run.finished.is_some_and(|finish| finish.retained_until <= now.monotonic);
        let is_old = self.runs.get(&id).is_none_or(is_old);
        if self.finished.len() <= retention.count && self.finished_bytes <= retention.bytes && !is_old {
            return None;
        }
        self.finished.remove(&seq);
        self.finished_bytes = self.finished_bytes.saturating_sub(self.run_bytes(id));
        let run = self.runs.remove(&id)?;
        self.by_age.remove(&run.seq);
        for task in &run.tasks {
            for key in self.tasks.remove(task).map(|task| task.children).unwrap_or_default() {
                self.children.remove(&(*task, key));
            }
        }
        self.runs.shrink();
        self.tasks.shrink();
        self.children.shrink();
        Some((id, run))
    }

    /// Estimated memory of a run with its tasks in bytes.
    fn run_bytes(&self, id: RunId) -> usize {
        let Some(run) = self.runs.get(&id) else { return 0 };
        let task = |id: &RunId| self.tasks.get(id).map_or(0, |task| task.phase.bytes());
        run.input.len() + run.metadata.len() + run.tasks.iter().map(task).sum::<usize>()
    }
}

/// Restoration of stored runs: first all tasks, then all runs, then all child keys.
impl Runs {
    pub(crate) fn reserve_tasks(&mut self, additional: usize) {
        self.tasks.reserve(additional);
    }

    pub(crate) fn restore_task(&mut self, id: RunId, task: Task) {
        self.last_finish = self.last_finish.max(task.finish_seq);
        self.last_task = self.last_task.max(task.seq);
        self.tasks.restore(id, task);
    }

    /// Restores all runs, in the order of their creation. Numbers the ends from 1 again. Files of earlier versions have
    /// no numbers of ends; there the display time and the order of creation decide.
    pub(crate) fn restore(&mut self, runs: Vec<(RunId, Run)>) {
        self.by_age = runs.iter().map(|(id, run)| (run.seq, *id)).collect();
        self.last_run = runs.last().map_or(0, |(_, run)| run.seq);
        self.runs.reserve(runs.len());
        let mut finished = Vec::with_capacity(runs.len());
        for (id, mut run) in runs {
            run.finished = run.finished.filter(|_| run.open == 0);
            finished.extend(run.finished.map(|finish| (finish.seq, finish.at, run.seq, id)));
            self.runs.restore(id, run);
        }
        finished.sort_unstable();
        self.finished_total = finished.len() as u64;
        // Later ends get larger numbers, here and in the database.
        self.last_finish = self.last_finish.max(finished.len() as u64);
        for (seq, (.., id)) in (1..).zip(finished) {
            if let Some(finish) = self.runs.get_mut_untracked(&id).and_then(|run| run.finished.as_mut()) {
                finish.seq = seq;
            }
            self.finished.insert(seq, id);
            self.finished_bytes += self.run_bytes(id);
        }
    }

    /// Restores a child key; `false` if its parent task is unknown.
    pub(crate) fn restore_child(&mut self, parent: RunId, key: ChildKey, child: RunId) -> bool {
        let Some(task) = self.tasks.get_mut_untracked(&parent) else { return false };
        task.children.push(key.clone());
        self.children.restore((parent, key), child);
        true
    }

    #[cfg(test)]
    pub(in crate::engine::state) fn finished(&self) -> Vec<RunId> {
        self.finished.values().copied().collect()
    }
}
