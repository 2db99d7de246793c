//! Conditions of tasks: decides whether a waiting task starts, is skipped or is cancelled.

use std::{collections::HashMap, sync::Arc};

use crate::{
    engine::state::{
        attempt::AttemptEvent,
        conditions::{ConditionStage, Conditions, Decision, ParentEnd},
        machine::State,
        predicate::{Predicate, object},
        runs::Phase,
        time::{ClockReading, TimerKey},
    },
    hatchet::wire::{RunId, is_skipped},
};

impl State {
    /// The conditions of a task and the indexes of its parents.
    fn conditions_of(&self, id: RunId) -> Option<(Arc<Conditions>, Vec<usize>)> {
        let definition = self.runs.spec(id)?.definition;
        Some((definition.conditions.clone()?, definition.parents.clone()))
    }

    /// Checks the conditions of a waiting task after one of its parents has finished, or after its creation.
    pub(in crate::engine::state) fn check_conditions(&mut self, id: RunId, now: ClockReading) {
        let Some((conditions, parents)) = self.conditions_of(id) else { return };
        let Some(stage) = self.conditions.get(id).map(|state| state.stage) else { return };
        let met_parents = self.parent_results(id, &conditions);
        let decision = match stage {
            ConditionStage::OnParents => {
                let ends = self.parent_ends(id, &parents);
                match conditions.decide_by_parents(&parents, &ends, &met_parents) {
                    Decision::BeginWaits => {
                        self.conditions.begin_waits(id, &conditions, now, &mut self.timers);
                        self.decide_by_waits(id, &conditions, &met_parents)
                    }
                    decided => decided,
                }
            }
            ConditionStage::OnWaits => self.decide_by_waits(id, &conditions, &met_parents),
            ConditionStage::Decided => return,
        };
        let event = match decision {
            Decision::Undecided | Decision::BeginWaits => return,
            Decision::Start => AttemptEvent::Released,
            Decision::Skip => AttemptEvent::Skipped,
            Decision::Cancel => AttemptEvent::ConditionCancelled,
        };
        self.apply(id, &event, now);
    }

    fn decide_by_waits(&self, id: RunId, conditions: &Conditions, met_parents: &[bool]) -> Decision {
        let Some(state) = self.conditions.get(id) else { return Decision::Undecided };
        let met: Vec<bool> = (0..conditions.waits.len()).map(|index| state.met.contains_key(&index)).collect();
        conditions.decide_by_waits(&met, met_parents)
    }

    /// Returns the end of each parent of a task: skipped, completed, or still open.
    fn parent_ends(&self, id: RunId, parents: &[usize]) -> Vec<ParentEnd> {
        let Some((_, run)) = self.runs.containing(id) else { return Vec::new() };
        let end = |parent: &usize| match run.tasks.get(*parent).and_then(|task| self.runs.task(*task)?.phase.output()) {
            Some(output) if is_skipped(output) => ParentEnd::Skipped,
            Some(_) => ParentEnd::Completed,
            None => ParentEnd::Open,
        };
        parents.iter().map(end).collect()
    }

    /// Evaluates a task's parent conditions. A condition is evaluated once, when its parent has completed. An
    /// expression with an error is not met.
    fn parent_results(&mut self, id: RunId, conditions: &Conditions) -> Vec<bool> {
        let mut outputs = HashMap::new();
        let mut results = Vec::with_capacity(conditions.parents.len());
        for (index, condition) in conditions.parents.iter().enumerate() {
            let known = self.conditions.get(id).and_then(|state| state.parents.get(&index)).copied();
            let result = known.or_else(|| {
                let output = match outputs.get(&condition.parent) {
                    Some(parsed) => parsed,
                    None => {
                        let (_, run) = self.runs.containing(id)?;
                        let text = self.runs.task(*run.tasks.get(condition.parent)?)?.phase.output()?;
                        outputs.entry(condition.parent).or_insert(object(text))
                    }
                };
                let holds = condition.predicate.holds(&[("input", &object("{}")), ("output", output)]);
                Some(logged(holds, &condition.predicate, "a parent condition"))
            });
            if let (None, Some(result)) = (known, result) {
                self.conditions.set_parent(id, index, result);
            }
            results.push(result.unwrap_or(false));
        }
        results
    }

    /// Ends the sleeps of a task that are due.
    pub(in crate::engine::state) fn condition_timer_fired(&mut self, id: RunId, key: TimerKey, now: ClockReading) {
        if !self.conditions.has_timer(id, key) {
            return;
        }
        let Some((conditions, _)) = self.conditions_of(id) else { return };
        self.conditions.end_sleeps(id, &conditions, now, &mut self.timers);
        self.check_conditions(id, now);
        self.dispatch(now);
    }

    /// Applies an event to the tasks that wait for its key. `results` has the predicates that were evaluated earlier.
    pub(in crate::engine::state) fn meet_event_conditions(
        &mut self,
        key: &str,
        payload: &Arc<str>,
        mut results: HashMap<Arc<str>, bool>,
        now: ClockReading,
    ) {
        let mut input = None;
        let tasks = self.conditions.meet_event(key, payload, |predicate| {
            if let Some(holds) = results.get(predicate.text()) {
                return *holds;
            }
            let input = input.get_or_insert_with(|| object(payload));
            let holds = event_predicate_holds(predicate, input);
            results.insert(predicate.text().clone(), holds);
            holds
        });
        for task in tasks {
            self.check_conditions(task, now);
        }
        self.dispatch(now);
    }
}

/// Whether the predicate of an event condition holds for the event's payload.
pub(in crate::engine::state) fn event_predicate_holds(predicate: &Predicate, input: &serde_json::Value) -> bool {
    logged(predicate.holds(&[("input", input), ("output", &object("{}"))]), predicate, "an event condition")
}

/// The result of a predicate; `false` for an error, which is logged.
fn logged(result: Result<bool, String>, predicate: &Predicate, what: &str) -> bool {
    result.unwrap_or_else(|error| {
        let text: String = predicate.text().chars().take(200).collect();
        tracing::warn!("the expression `{text}` of {what} is not met: {error}");
        false
    })
}

impl State {
    /// Returns the data of a task's met sleeps and events, by their keys, for its payload. As in a real engine, a task
    /// without parents has no such data. Of several conditions with one key, only the first has data.
    pub(crate) fn condition_data(&self, id: RunId) -> Vec<(Arc<str>, Arc<str>)> {
        let Some((conditions, parents)) = self.conditions_of(id) else { return Vec::new() };
        let Some(state) = self.conditions.get(id).filter(|_| !parents.is_empty()) else { return Vec::new() };
        let mut data: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        for (index, text) in &state.met {
            let Some(wait) = conditions.waits.get(*index).filter(|wait| wait.starts_task()) else { continue };
            if data.iter().all(|(key, _)| *key != wait.data_key) {
                data.push((wait.data_key.clone(), text.clone()));
            }
        }
        data
    }

    /// Begins the conditions of a task that was created or replayed.
    pub(in crate::engine::state) fn begin_conditions(&mut self, id: RunId) {
        if self.runs.task(id).is_some_and(|task| matches!(task.phase, Phase::Waiting(_))) {
            self.conditions.begin(id, &mut self.timers);
        }
    }
}
