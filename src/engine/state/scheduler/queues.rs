//! The queue: one lane for each workflow, action and slots, so that what cannot be placed never hides what can.
//!
//! Runs in one lane need the same, so if the head of a lane finds no worker, none behind it would. Within a workflow
//! the order is high priority first, then first come; workflows take turns, whatever their priorities. Which lane is
//! next is known to each [`crew`](super::crew) of workers, so nothing here walks over queued runs, lanes or workers:
//! an assignment costs the same with ten or a hundred thousand of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::engine::state::{
    model::Needs,
    scheduler::pool::{Crew, CrewId},
};
use crate::hatchet::wire::RunId;

/// Which lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneId(usize);

/// Which workflow, in the order of their first declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FlowId(usize);

/// Which of the needs that tasks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClassId(usize);

/// A place in the queue: high priority first, then first come.
pub(crate) type Place = (Reverse<i32>, u64);

/// Queued tasks of one workflow that need the same.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) flow: FlowId,
    pub(crate) action: Arc<str>,
    pub(crate) class: ClassId,
    pub(crate) needs: Needs,
    waiting: BTreeMap<Place, RunId>,
}

/// A workflow's turn.
#[derive(Debug, Default)]
struct Flow {
    /// The how-manieth assignment of all its last one was: who has waited longest is next.
    turn: u64,
    /// Where it waits now.
    at: BTreeSet<(CrewId, ClassId)>,
}

/// All lanes, and the crews that work them off.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lanes: Vec<Lane>,
    known: HashMap<(FlowId, Arc<str>, ClassId), LaneId>,
    by_action: HashMap<Arc<str>, Vec<LaneId>>,
    flows: Vec<Flow>,
    flow_ids: HashMap<Arc<str>, FlowId>,
    classes: Vec<Needs>,
    class_ids: HashMap<Needs, ClassId>,
    pub(crate) crews: BTreeMap<CrewId, Crew>,
    crew_ids: HashMap<Arc<[Arc<str>]>, CrewId>,
    serving: HashMap<Arc<str>, BTreeSet<CrewId>>,
    crew_count: u64,
    turns: u64,
    count: u64,
}

impl Queue {
    /// The lane for an action of a workflow and its needs.
    pub(crate) fn lane_for(&mut self, workflow: &Arc<str>, action: &Arc<str>, needs: &Needs) -> LaneId {
        let Self { flows, flow_ids, classes, class_ids, .. } = self;
        let flow = *flow_ids.entry(workflow.clone()).or_insert_with(|| {
            flows.push(Flow::default());
            FlowId(flows.len() - 1)
        });
        let class = *class_ids.entry(needs.clone()).or_insert_with(|| {
            classes.push(needs.clone());
            ClassId(classes.len() - 1)
        });
        if let Some(known) = self.known.get(&(flow, action.clone(), class)) {
            return *known;
        }
        let id = LaneId(self.lanes.len());
        let lane = Lane { flow, action: action.clone(), class, needs: needs.clone(), waiting: BTreeMap::new() };
        self.lanes.push(lane);
        self.known.insert((flow, action.clone(), class), id);
        self.by_action.entry(action.clone()).or_default().push(id);
        id
    }

    pub(crate) fn lane(&self, id: LaneId) -> &Lane {
        &self.lanes[id.0]
    }

    pub(crate) fn needs(&self, class: ClassId) -> &Needs {
        &self.classes[class.0]
    }

    pub(crate) fn head(&self, id: LaneId) -> Option<RunId> {
        self.lane(id).waiting.first_key_value().map(|(_, run)| *run)
    }

    pub(crate) fn len(&self, id: LaneId) -> usize {
        self.lane(id).waiting.len()
    }

    pub(crate) fn put(&mut self, id: LaneId, priority: i32, task: RunId) -> Place {
        self.count += 1;
        let place = (Reverse(priority), self.count);
        self.with_head(id, |waiting| {
            waiting.insert(place, task);
        });
        place
    }

    pub(crate) fn remove(&mut self, id: LaneId, place: Place) {
        self.with_head(id, |waiting| {
            waiting.remove(&place);
        });
    }

    /// Changes a lane, and tells the crews that serve it about its new head.
    fn with_head(&mut self, id: LaneId, change: impl FnOnce(&mut BTreeMap<Place, RunId>)) {
        let Self { lanes, flows, serving, crews, .. } = self;
        let lane = &mut lanes[id.0];
        let before = lane.waiting.first_key_value().map(|(place, _)| *place);
        change(&mut lane.waiting);
        let after = lane.waiting.first_key_value().map(|(place, _)| *place);
        if before == after {
            return;
        }
        let flow = &mut flows[lane.flow.0];
        for crew_id in serving.get(&lane.action).into_iter().flatten() {
            let Some(crew) = crews.get_mut(crew_id) else { continue };
            let waits = crew.move_head(lane.class, lane.flow, flow.turn, (before, after), id);
            if waits {
                flow.at.insert((*crew_id, lane.class));
            } else {
                flow.at.remove(&(*crew_id, lane.class));
            }
        }
    }

    /// A workflow has had its turn: it goes behind all others, wherever it waits.
    pub(crate) fn served(&mut self, lane: LaneId) {
        let id = self.lanes[lane.0].flow;
        self.turns += 1;
        let flow = &mut self.flows[id.0];
        let before = std::mem::replace(&mut flow.turn, self.turns);
        for (crew, class) in &flow.at {
            if let Some(crew) = self.crews.get_mut(crew) {
                crew.move_turn(*class, id, before, self.turns);
            }
        }
    }

    /// A workflow had this turn before the engine was started again.
    pub(crate) fn has_served(&mut self, lane: LaneId, turn: u64) {
        let flow = &mut self.flows[self.lanes[lane.0].flow.0];
        flow.turn = flow.turn.max(turn);
    }

    #[cfg(test)]
    pub(crate) fn turn_of(&self, lane: LaneId) -> u64 {
        self.flows[self.lanes[lane.0].flow.0].turn
    }

    /// The turns go on where they were. Before anything is [put back](Self::put_back).
    pub(crate) fn resume(&mut self, turns: u64) {
        self.turns = turns;
    }

    /// Puts a task back into its old place.
    pub(crate) fn put_back(&mut self, id: LaneId, place: Place, task: RunId) {
        self.count = self.count.max(place.1);
        self.with_head(id, |waiting| {
            waiting.insert(place, task);
        });
    }

    /// The crews that serve an action.
    pub(crate) fn crews_for(&self, action: &Arc<str>) -> impl Iterator<Item = &Crew> {
        self.serving.get(action).into_iter().flatten().filter_map(|id| self.crews.get(id))
    }

    /// Takes a worker into the crew of its actions, which must be sorted.
    pub(crate) fn join(&mut self, actions: &[Arc<str>]) -> CrewId {
        if let Some(id) = self.crew_ids.get(actions) {
            if let Some(crew) = self.crews.get_mut(id) {
                crew.members += 1;
            }
            return *id;
        }
        self.crew_count += 1;
        let id = CrewId(self.crew_count);
        let actions: Arc<[Arc<str>]> = actions.into();
        let mut crew = Crew::new(actions.clone());
        for action in actions.iter() {
            self.serving.entry(action.clone()).or_default().insert(id);
            for lane_id in self.by_action.get(action).into_iter().flatten() {
                let lane = &self.lanes[lane_id.0];
                let Some((head, _)) = lane.waiting.first_key_value() else { continue };
                let flow = &mut self.flows[lane.flow.0];
                crew.move_head(lane.class, lane.flow, flow.turn, (None, Some(*head)), *lane_id);
                flow.at.insert((id, lane.class));
            }
        }
        self.crew_ids.insert(actions, id);
        self.crews.insert(id, crew);
        id
    }

    /// A worker is forgotten; a crew without workers goes with it.
    pub(crate) fn part(&mut self, id: CrewId) {
        let Some(crew) = self.crews.get_mut(&id) else { return };
        crew.members -= 1;
        if crew.members > 0 {
            return;
        }
        let Some(crew) = self.crews.remove(&id) else { return };
        for (class, flow) in crew.waiting() {
            self.flows[flow.0].at.remove(&(id, class));
        }
        self.crew_ids.remove(&crew.actions);
        for action in crew.actions.iter() {
            if let Some(serving) = self.serving.get_mut(action) {
                serving.remove(&id);
                if serving.is_empty() {
                    self.serving.remove(action);
                }
            }
        }
    }
}
