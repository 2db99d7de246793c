//! Conditions of tasks: parents' outputs, sleeps and events that start, skip or cancel a task.
//!
//! ```text
//!                 parents permit the start          sleeps and events
//!   ON PARENTS ────────────────────────► ON WAITS ────────────────────► DECIDED
//!       │                                                                  ▲
//!       └──────────── skip, cancel, or start without waits ────────────────┘
//! ```
//!
//! [`ConditionStates`] owns the progress of every task with conditions, from the creation or the replay of the task to
//! the removal of its run: the data of met conditions stays for the payload of the task. It keeps these invariants:
//!
//! - A task has a timer exactly while a sleep is open, and is in the index of events exactly while it is ON WAITS.
//! - Tasks without conditions have no entry.
//!
//! [`Conditions`] decides, by pure functions of the met conditions. The operations of the state apply the decisions.

mod rules;

pub(crate) use self::rules::{
    ConditionAction, Conditions, Decision, ParentCondition, ParentEnd, Rule, WaitCondition, WaitKind,
};

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    predicate::Predicate,
    time::{ClockReading, MonotonicInstant, MonotonicTimers, Timer, TimerKey},
};
use crate::{
    engine::persistence::{
        row::RowKey,
        tracked::{ENTRY_BYTES, Stored, Tracked},
    },
    hatchet::wire::RunId,
};

/// The stage of a task's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConditionStage {
    OnParents,
    OnWaits,
    Decided,
}

/// The progress of a task's conditions.
#[derive(Debug)]
pub(crate) struct ConditionState {
    pub(crate) stage: ConditionStage,
    /// The data of each met sleep and event, as JSON.
    pub(crate) met: BTreeMap<usize, Arc<str>>,
    /// The ends of the open sleeps.
    pub(crate) sleeps: BTreeMap<usize, MonotonicInstant>,
    /// The results of the parent conditions, each evaluated once. Not stored.
    pub(crate) parents: HashMap<usize, bool>,
    timer: Option<TimerKey>,
    /// Positions in the index of events: the key, the text of the predicate and the number.
    waiting: Vec<(Arc<str>, Arc<str>, u64)>,
}

/// The event conditions with one key and one predicate.
#[derive(Debug)]
struct EventWaits {
    predicate: Predicate,
    /// The waiting tasks with the indexes of their conditions, by their numbers.
    tasks: BTreeMap<u64, (RunId, usize)>,
}

/// The progress of all tasks with conditions.
#[derive(Debug, Default)]
pub(crate) struct ConditionStates {
    pub(in crate::engine::state) states: Tracked<HashMap<RunId, ConditionState>>,
    /// The event conditions of waiting tasks by the key of the event and the text of the predicate, so that an event
    /// costs one evaluation for each predicate, and touches only the tasks that it meets.
    events: HashMap<Arc<str>, BTreeMap<Arc<str>, EventWaits>>,
    /// Number of the latest condition that began to wait.
    last_position: u64,
}

impl ConditionState {
    /// The progress of a task before its parents have ended.
    pub(crate) fn new() -> Self {
        Self::restored(ConditionStage::OnParents, BTreeMap::new())
    }

    /// The progress of a stored task, without its sleeps.
    pub(crate) fn restored(stage: ConditionStage, met: BTreeMap<usize, Arc<str>>) -> Self {
        Self { stage, met, sleeps: BTreeMap::new(), parents: HashMap::new(), timer: None, waiting: Vec::new() }
    }
}

impl ConditionStates {
    pub(crate) fn get(&self, task: RunId) -> Option<&ConditionState> {
        self.states.get(&task)
    }

    /// Whether no task has conditions.
    pub(crate) fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Begins the conditions of a task that was created or replayed.
    pub(crate) fn begin(&mut self, task: RunId, timers: &mut MonotonicTimers) {
        self.remove(task, timers);
        self.states.insert(task, ConditionState::new());
    }

    /// Stores the result of a parent condition.
    pub(crate) fn set_parent(&mut self, task: RunId, condition: usize, met: bool) {
        if let Some(state) = self.states.get_mut_untracked(&task) {
            state.parents.insert(condition, met);
        }
    }

    /// Begins the sleeps and the wait for events.
    pub(crate) fn begin_waits(
        &mut self,
        task: RunId,
        conditions: &Conditions,
        now: ClockReading,
        timers: &mut MonotonicTimers,
    ) {
        let sleep = |(index, wait): (usize, &WaitCondition)| match &wait.kind {
            WaitKind::Sleep { duration, .. } => Some((index, now.plus(*duration))),
            WaitKind::Event { .. } => None,
        };
        if let Some(state) = self.states.get_mut(&task) {
            state.stage = ConditionStage::OnWaits;
            state.sleeps = conditions.waits.iter().enumerate().filter_map(sleep).collect();
        }
        self.arm(task, timers);
        self.index_events(task, conditions);
    }

    /// Restores the progress of a task. `conditions` are those of its definition.
    pub(crate) fn restore(
        &mut self,
        task: RunId,
        state: ConditionState,
        conditions: &Conditions,
        timers: &mut MonotonicTimers,
    ) {
        let is_waiting = state.stage == ConditionStage::OnWaits;
        self.states.restore(task, state);
        if is_waiting {
            self.arm(task, timers);
            self.index_events(task, conditions);
        }
    }

    fn index_events(&mut self, task: RunId, conditions: &Conditions) {
        let Some(state) = self.states.get_mut_untracked(&task) else { return };
        for (index, wait) in conditions.waits.iter().enumerate() {
            let WaitKind::Event { key, predicate } = &wait.kind else { continue };
            self.last_position += 1;
            let by_predicate = self.events.entry(key.clone()).or_default();
            let waits = by_predicate
                .entry(predicate.text().clone())
                .or_insert_with(|| EventWaits { predicate: predicate.clone(), tasks: BTreeMap::new() });
            waits.tasks.insert(self.last_position, (task, index));
            state.waiting.push((key.clone(), predicate.text().clone(), self.last_position));
        }
    }

    /// Sets the timer of the next sleep that ends.
    fn arm(&mut self, task: RunId, timers: &mut MonotonicTimers) {
        let Some(state) = self.states.get_mut_untracked(&task) else { return };
        timers.cancel(state.timer.take());
        state.timer = state.sleeps.values().min().map(|end| timers.set(*end, Timer::Condition(task)));
    }

    /// Ends the sleeps that are due, as the task's timer has fired.
    pub(crate) fn end_sleeps(
        &mut self,
        task: RunId,
        conditions: &Conditions,
        now: ClockReading,
        timers: &mut MonotonicTimers,
    ) {
        self.states.resize(&task, |state| {
            let due: Vec<usize> =
                state.sleeps.iter().filter(|(_, end)| **end <= now.monotonic).map(|(index, _)| *index).collect();
            for index in due {
                state.sleeps.remove(&index);
                if let Some(WaitKind::Sleep { text, .. }) = conditions.waits.get(index).map(|wait| &wait.kind) {
                    state.met.insert(index, serde_json::json!({ "sleep_duration": **text }).to_string().into());
                }
            }
        });
        self.arm(task, timers);
    }

    /// The distinct predicates of the tasks that wait for events of this key.
    pub(crate) fn predicates(&self, event_key: &str) -> Vec<Predicate> {
        let waits = self.events.get(event_key).into_iter().flat_map(BTreeMap::values);
        waits.map(|waits| waits.predicate.clone()).collect()
    }

    /// Meets the event conditions of this key whose predicate holds. Returns their tasks, in the order in which they
    /// began to wait. Data of an earlier event is replaced, as in a real engine.
    pub(crate) fn meet_event(
        &mut self,
        event_key: &str,
        payload: &Arc<str>,
        mut holds: impl FnMut(&Predicate) -> bool,
    ) -> Vec<RunId> {
        let waits = self.events.get(event_key).into_iter().flat_map(BTreeMap::values);
        let met = waits.filter(|waits| holds(&waits.predicate)).flat_map(|waits| &waits.tasks);
        let met: BTreeMap<u64, (RunId, usize)> = met.map(|(position, wait)| (*position, *wait)).collect();
        for (task, index) in met.values() {
            self.states.resize(task, |state| drop(state.met.insert(*index, payload.clone())));
        }
        met.into_values().map(|(task, _)| task).collect()
    }

    /// Ends the waits of a task that starts or ends. The data of its met conditions stays.
    pub(crate) fn close(&mut self, task: RunId, timers: &mut MonotonicTimers) {
        let Some(state) = self.states.get_mut(&task) else { return };
        state.stage = ConditionStage::Decided;
        state.sleeps.clear();
        timers.cancel(state.timer.take());
        for (key, predicate, position) in std::mem::take(&mut state.waiting) {
            let Some(by_predicate) = self.events.get_mut(&key) else { continue };
            if let Some(waits) = by_predicate.get_mut(&predicate) {
                waits.tasks.remove(&position);
                if waits.tasks.is_empty() {
                    by_predicate.remove(&predicate);
                }
            }
            if by_predicate.is_empty() {
                self.events.remove(&key);
            }
        }
    }

    /// Removes a task with its data.
    pub(crate) fn remove(&mut self, task: RunId, timers: &mut MonotonicTimers) {
        self.close(task, timers);
        self.states.remove(&task);
    }

    /// Whether a timer key is that of the task.
    pub(crate) fn has_timer(&self, task: RunId, key: TimerKey) -> bool {
        self.states.get(&task).is_some_and(|state| state.timer == Some(key))
    }

    #[cfg(test)]
    pub(in crate::engine::state) fn open_timers(&self) -> usize {
        self.states.values().filter(|state| state.timer.is_some()).count()
    }

    /// Number of keys and predicates with waiting tasks.
    #[cfg(test)]
    pub(in crate::engine::state) fn awaited_events(&self) -> usize {
        self.events.values().map(BTreeMap::len).sum()
    }
}

impl Stored<RunId> for ConditionState {
    fn row_key(&self, task: &RunId) -> RowKey {
        RowKey::Bytes(task.uuid().into_bytes().to_vec())
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES + self.met.values().map(|data| data.len()).sum::<usize>()
    }
}
