//! Units of rate limits, and the choice of the lane of a task.

use crate::{
    engine::state::{
        machine::State,
        placement::Placement,
        rate_limits::Window,
        runs::HistoryEventKind,
        scheduler::{QueueId, RateDemands},
        time::{ClockReading, Timestamp},
        workflows::Definition,
    },
    hatchet::wire::RunId,
};

/// Calls.
impl State {
    /// Creates or changes a rate limit.
    pub(crate) fn put_rate_limit(&mut self, key: &str, limit: i64, window: Window, now: ClockReading) {
        if self.rate_limits.put(&key.into(), limit, window, now) {
            self.wake_lanes(key);
            self.dispatch(now);
        }
    }

    /// Pauses a rate limit until a time, unless it is paused longer. Returns the end of the pause, or `None` if there is no
    /// such limit.
    pub(crate) fn pause_rate_limit(&mut self, key: &str, until: Timestamp, now: ClockReading) -> Option<Timestamp> {
        let until = self.rate_limits.pause(key, now.plus(until.since(now.wall)))?;
        Some(now.wall_time_of(until))
    }

    /// The first rule of a definition with a fixed key for which there is no rate limit: the indexes of task and rule, and
    /// the key.
    pub(crate) fn missing_rate_limit(&self, definition: &Definition) -> Option<(usize, usize, String)> {
        let rules = definition.tasks.iter().enumerate();
        let mut keys = rules.flat_map(|(task, of)| {
            of.rate_limits.iter().enumerate().filter_map(move |(at, rule)| Some((task, at, rule.required_key()?)))
        });
        let missing = keys.find(|(.., key)| self.rate_limits.get(key).is_none());
        missing.map(|(task, at, key)| (task, at, key.to_string()))
    }
}

impl State {
    /// Sets the rate limits that a task declares.
    pub(in crate::engine::state::operations) fn put_declared_limits(&mut self, id: RunId, now: ClockReading) {
        let (Some(limits), Some(task)) = (self.limits_of(id), self.runs.task(id)) else { return };
        let rates = limits.tasks.get(task.spec).map_or(&[][..], |task| &task.rates);
        for (key, (limit, window)) in rates.iter().filter_map(|rate| Some((&rate.key, rate.limit?))) {
            if self.rate_limits.put(key, limit, window, now) {
                self.wake_lanes(key);
            }
        }
    }

    /// The queue of a task: that of its declaration, or a lane if its run adds needs of its own.
    pub(in crate::engine::state) fn queue_of(&mut self, id: RunId) -> Option<QueueId> {
        let spec = self.runs.spec(id)?;
        let (queue, index) = (spec.queue, self.runs.task(id)?.spec);
        let (_, run) = self.runs.containing(id)?;
        let definition = &run.version.definition;
        let placement = if definition.sticky.is_some() || !run.desired_labels.is_empty() {
            let labels = Placement::merge(&spec.definition.labels, &run.desired_labels);
            Placement::new(definition.sticky, run.sticky_worker.or(run.desired_worker), labels).map(Into::into)
        } else {
            self.scheduler.queue(queue).class.placement.clone()
        };
        let limits = run.limits.clone();
        let rates = limits.as_ref().and_then(|limits| limits.tasks.get(index)).map_or(&[][..], |task| &task.rates);
        let demands: Option<RateDemands> =
            (!rates.is_empty()).then(|| rates.iter().map(|rate| (rate.key.clone(), rate.units)).collect());
        if demands.is_none() && placement == self.scheduler.queue(queue).class.placement {
            return Some(queue);
        }
        Some(self.scheduler.lane(queue, placement, demands))
    }

    /// Takes the units of rate limits for the head of a queue. If there are too few, suspends the queue and returns `false`.
    pub(in crate::engine::state::operations) fn take_units(&mut self, queue: QueueId, now: ClockReading) -> bool {
        let Some(demands) = self.scheduler.queue(queue).rates().cloned() else { return true };
        let Err(exceeded) = self.rate_limits.take(&demands, now) else { return true };
        if let Some(task) = self.scheduler.queue(queue).head().and_then(|head| self.runs.task_mut(head)) {
            task.record(HistoryEventKind::RateLimited(exceeded.message().into()), now);
        }
        self.scheduler.suspend(queue);
        self.rate_limits.wait(&exceeded, queue, &mut self.timers);
        false
    }

    /// Lets the lanes that wait at a key try again. [`dispatch`](Self::dispatch) searches for workers.
    pub(in crate::engine::state::operations) fn wake_lanes(&mut self, key: &str) {
        for lane in self.rate_limits.wake(key, &mut self.timers) {
            self.scheduler.resume(lane);
            self.pending.filled_queues.push(lane);
        }
    }
}
