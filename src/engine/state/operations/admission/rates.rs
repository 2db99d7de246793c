//! Units of rate limits, and the choice of the queue of a task.

use crate::{
    engine::state::{
        machine::State,
        placement::Placement,
        rate_limits::{DeclaredLimit, Exceeded, RateDemand, RateRule, Window},
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
        let declared = DeclaredLimit { limit, window, is_dynamic: false };
        if self.rate_limits.put(&key.into(), declared, now, &mut self.timers) {
            self.wake_queues(key);
            self.dispatch(now);
        }
    }

    /// Pauses a rate limit until a time, unless it is paused longer. Returns the end of the pause, or `None` if there
    /// is no such limit.
    pub(crate) fn pause_rate_limit(&mut self, key: &str, until: Timestamp, now: ClockReading) -> Option<Timestamp> {
        let until = self.rate_limits.pause(key, now.plus(until.since(now.wall)))?;
        Some(now.wall_time_of(until))
    }

    /// The first rule of a definition with a fixed key for which there is no rate limit: the indexes of task and rule,
    /// and the key.
    pub(crate) fn missing_rate_limit(&self, definition: &Definition) -> Option<(usize, usize, String)> {
        let tasks = definition.tasks.iter().enumerate();
        let mut keys = tasks.flat_map(|(index, task)| {
            let rules = task.rate_limits.iter().enumerate();
            rules.filter_map(move |(rule_index, rule)| Some((index, rule_index, rule.required_key()?)))
        });
        let missing = keys.find(|(.., key)| self.rate_limits.get(key).is_none());
        missing.map(|(task, rule, key)| (task, rule, key.to_string()))
    }

    /// Keeps the rate limits to which a declared workflow refers.
    pub(in crate::engine::state::operations) fn retain_required_limits(&mut self, definition: &Definition) {
        let rules = definition.tasks.iter().flat_map(|task| &task.rate_limits);
        rules.filter_map(RateRule::required_key).for_each(|key| self.rate_limits.retain(key, &mut self.timers));
    }
}

impl State {
    /// Sets the rate limits that a task declares.
    pub(in crate::engine::state::operations) fn put_declared_limits(&mut self, id: RunId, now: ClockReading) {
        self.put_limits_of(id, now, |_, _| true);
    }

    /// Sets those of the rate limits that a task declares which meet a condition.
    fn put_limits_of(&mut self, id: RunId, now: ClockReading, condition: impl Fn(&Self, &RateDemand) -> bool) {
        let (Some(limits), Some(task)) = (self.limits_of(id), self.runs.task(id)) else { return };
        let rates = limits.tasks.get(task.spec).map_or(&[][..], |task| &task.rates);
        for rate in rates {
            if let Some(declared) = rate.limit
                && condition(self, rate)
                && self.rate_limits.put(&rate.key, declared, now, &mut self.timers)
            {
                self.wake_queues(&rate.key);
            }
        }
    }

    /// The queue of a task: that of its declaration, or a temporary queue if its run adds requirements.
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
        Some(self.scheduler.temporary_queue(queue, placement, demands))
    }

    /// Takes the units of rate limits for the head of a queue. If there are too few, suspends the queue and returns
    /// `false`.
    pub(in crate::engine::state::operations) fn take_units(&mut self, queue: QueueId, now: ClockReading) -> bool {
        let Some(demands) = self.scheduler.queue(queue).rates().cloned() else { return true };
        if demands.iter().any(|(key, _)| self.rate_limits.get(key).is_none())
            && let Some(head) = self.scheduler.queue(queue).head()
        {
            // The limit of a computed key was removed while the task waited for a worker. Existing limits stay as they
            // are: queues that change a limit in turn would wake each other endlessly.
            self.put_limits_of(head, now, |state, rate| state.rate_limits.get(&rate.key).is_none());
        }
        let Err(exceeded) = self.rate_limits.take(&demands, now) else { return true };
        if let Some(head) = self.scheduler.queue(queue).head() {
            self.record_wait_for_units(head, &exceeded, now);
        }
        self.scheduler.suspend(queue);
        self.rate_limits.wait(&exceeded, queue, &mut self.timers);
        false
    }

    /// Records that a task waits for units of a key, once for each wait: a task that is woken and finds too few units
    /// again would fill its history. A real engine records each attempt to take the units.
    fn record_wait_for_units(&mut self, id: RunId, exceeded: &Exceeded, now: ClockReading) {
        let is_recorded = self.runs.task(id).is_none_or(
            |task| matches!(task.history.last(), Some(HistoryEventKind::RateLimited(last)) if exceeded.has_key_of(&last)),
        );
        if !is_recorded && let Some(task) = self.runs.task_mut(id) {
            task.record(HistoryEventKind::RateLimited(exceeded.message().into()), now);
        }
    }

    /// Lets the queues that wait for a key try again. [`dispatch`](Self::dispatch) searches for workers.
    pub(in crate::engine::state::operations) fn wake_queues(&mut self, key: &str) {
        for queue in self.rate_limits.wake(key, &mut self.timers) {
            self.scheduler.resume(queue);
            self.pending.filled_queues.push(queue);
        }
    }
}
