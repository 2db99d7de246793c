//! What to submit next, and when.

use std::collections::VecDeque;

use crate::bench::{plan::Plan, record::run::Micros};

/// Calls under way at once where runs are submitted as fast as they are accepted.
const CALLS: usize = 4;
/// The same with a rate: enough for calls of half a second at 30 calls a second.
const CALLS_AT_RATE: usize = 16;
/// With a rate, runs that are due are gathered for this long into one call.
const GATHER: Micros = 20_000;
/// After a call that did not reach the engine, its runs wait this long.
const AGAIN_AFTER: Micros = 500_000;

/// Runs of one task for one call.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::bench) struct Batch {
    pub(in crate::bench) task: usize,
    pub(in crate::bench) indexes: Vec<usize>,
    /// When each was due; empty for those of the second pass.
    pub(in crate::bench) due: Vec<Micros>,
}

/// The order of submission: batch by batch, the tasks in turn; with a rate run by run, the tasks in turn, each at its
/// time whatever the engine does.
#[derive(Debug)]
pub(in crate::bench) struct Load {
    tasks: usize,
    runs: usize,
    batch: usize,
    /// Microseconds between two runs.
    pause: Option<f64>,
    /// Runs that are given out, in the order of submission.
    next: usize,
    ready: VecDeque<Batch>,
    again: VecDeque<(Micros, Batch)>,
}

impl Load {
    pub(in crate::bench) fn new(plan: &Plan) -> Self {
        Self {
            tasks: plan.tasks.len(),
            runs: plan.runs,
            batch: plan.batch,
            pause: plan.rate.map(|rate| 1e6 / rate),
            next: 0,
            ready: VecDeque::new(),
            again: VecDeque::new(),
        }
    }

    /// The next batch, if one is due and there is room for its call.
    pub(in crate::bench) fn take(&mut self, now: Micros, under_way: usize) -> Option<Batch> {
        let room = if self.pause.is_some() { CALLS_AT_RATE } else { CALLS };
        if under_way >= room {
            return None;
        }
        if self.again.front().is_some_and(|(at, _)| *at <= now) {
            return self.again.pop_front().map(|(_, batch)| batch);
        }
        if self.ready.is_empty() {
            match self.pause {
                Some(pause) => self.gather(now, pause),
                None => self.cut(now),
            }
        }
        self.ready.pop_front()
    }

    /// When [`Load::take`] may have something that it has not now; none where only a finished call changes that.
    pub(in crate::bench) fn wake(&self, now: Micros) -> Option<Micros> {
        let again = self.again.front().map(|(at, _)| *at);
        let due = self.pause.filter(|_| self.next < self.total()).map(|pause| {
            let due = (self.next as f64 * pause) as Micros;
            due.max(now) + GATHER
        });
        again.into_iter().chain(due).min()
    }

    /// Puts a batch back that certainly did not reach the engine, or that may be sent twice. It comes again in halves,
    /// since what is too much for one call looks like a broken connection.
    pub(in crate::bench) fn put_back(&mut self, mut batch: Batch, now: Micros) {
        if batch.indexes.len() > 1 {
            let half = batch.indexes.len() / 2;
            let second =
                Batch { task: batch.task, indexes: batch.indexes.split_off(half), due: batch.due.split_off(half) };
            self.again.push_back((now + AGAIN_AFTER, batch));
            batch = second;
        }
        self.again.push_back((now + AGAIN_AFTER, batch));
    }

    /// Whether everything was given out.
    pub(in crate::bench) fn is_done(&self) -> bool {
        self.next >= self.total() && self.ready.is_empty() && self.again.is_empty()
    }

    fn total(&self) -> usize {
        self.tasks * self.runs
    }

    /// A batch of each task.
    fn cut(&mut self, now: Micros) {
        let first = self.next / self.tasks;
        let last = (first + self.batch).min(self.runs);
        for task in (0..self.tasks).filter(|_| first < last) {
            let indexes: Vec<usize> = (first..last).collect();
            self.ready.push_back(Batch { task, due: vec![now; indexes.len()], indexes });
        }
        self.next = last * self.tasks;
    }

    /// All that is due by now, as much as one batch of each task.
    fn gather(&mut self, now: Micros, pause: f64) {
        let due = (now as f64 / pause) as usize + 1;
        let last = due.min(self.total()).min(self.next + self.batch * self.tasks);
        for task in 0..self.tasks {
            let runs = (self.next..last).filter(|run| run % self.tasks == task);
            let (indexes, due): (Vec<_>, Vec<_>) =
                runs.map(|run| (run / self.tasks, (run as f64 * pause) as Micros)).unzip();
            if !indexes.is_empty() {
                self.ready.push_back(Batch { task, indexes, due });
            }
        }
        self.next = last;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::{plan::TaskPlan, template::Template};

    fn load(tasks: usize, runs: usize, batch: usize, rate: Option<f64>) -> Load {
        let task = TaskPlan {
            name: "t".into(),
            workflow: "t".into(),
            keyed: true,
            input: Template::parse("{}").unwrap(),
            slot_pool: "default",
            schedule_timeout: Duration::from_secs(1),
        };
        Load::new(&Plan {
            tasks: vec![task; tasks],
            runs,
            prefix: "p".into(),
            batch,
            rate,
            timeout: Duration::from_secs(1),
            verify_dedupe: false,
        })
    }

    fn all(load: &mut Load, now: Micros) -> Vec<(usize, Vec<usize>)> {
        std::iter::from_fn(|| load.take(now, 0)).map(|batch| (batch.task, batch.indexes)).collect()
    }

    #[test]
    fn without_a_rate_batches_of_the_tasks_take_turns() {
        let mut load = load(2, 5, 2, None);
        assert_eq!(load.take(0, CALLS), None);
        let expected = [(0, vec![0, 1]), (1, vec![0, 1]), (0, vec![2, 3]), (1, vec![2, 3]), (0, vec![4]), (1, vec![4])];
        assert_eq!(all(&mut load, 0), expected);
        assert!(load.is_done());
    }

    #[test]
    fn with_a_rate_runs_come_when_they_are_due() {
        let mut load = load(2, 3, 100, Some(10.0));
        assert_eq!(all(&mut load, 0), [(0, vec![0])]);
        assert_eq!(load.wake(0), Some(120_000));
        let late = load.take(350_000, 0).unwrap();
        assert_eq!((late.task, late.indexes, late.due), (0, vec![1], vec![200_000]));
        assert_eq!(all(&mut load, 350_000), [(1, vec![0, 1])]);
        assert_eq!(all(&mut load, 10_000_000), [(0, vec![2]), (1, vec![2])]);
        assert!(load.is_done());
    }

    #[test]
    fn what_is_put_back_comes_again_later() {
        let mut load = load(1, 1, 1, None);
        let batch = load.take(0, 0).unwrap();
        load.put_back(batch.clone(), 0);
        assert!(!load.is_done());
        assert_eq!((load.take(AGAIN_AFTER - 1, 0), load.wake(0)), (None, Some(AGAIN_AFTER)));
        assert_eq!(load.take(AGAIN_AFTER, 0), Some(batch));
    }
}
