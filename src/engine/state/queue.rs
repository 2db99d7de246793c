//! The queue: one lane for each action and its slots, so that what cannot be placed never hides what can.
//!
//! Runs in one lane need the same, so if the head of a lane finds no worker, none behind it would. The heads of all
//! lanes stand in one ordered map: the next run for a worker is the first head that it can take. Nothing here walks
//! over queued runs, so an assignment costs the same with ten or a hundred thousand of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::model::Needs;
use crate::hatchet::wire::RunId;

/// Which lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneId(usize);

/// A place in the queue: high priority first, then first come.
pub(crate) type Place = (Reverse<i32>, u64);

/// Queued runs that need the same.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) action: Arc<str>,
    pub(crate) needs: Needs,
    waiting: BTreeMap<Place, RunId>,
}

/// All lanes.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    lanes: Vec<Lane>,
    known: HashMap<(Arc<str>, Needs), LaneId>,
    heads: BTreeMap<Place, LaneId>,
    count: u64,
}

impl Queue {
    /// The lane for an action and its needs.
    pub(crate) fn lane_for(&mut self, action: &Arc<str>, needs: &Needs) -> LaneId {
        let lanes = &mut self.lanes;
        *self.known.entry((action.clone(), needs.clone())).or_insert_with(|| {
            lanes.push(Lane { action: action.clone(), needs: needs.clone(), waiting: BTreeMap::new() });
            LaneId(lanes.len() - 1)
        })
    }

    pub(crate) fn lane(&self, id: LaneId) -> &Lane {
        &self.lanes[id.0]
    }

    /// The lanes that are not empty, each with its head, in the order of the heads.
    pub(crate) fn heads(&self) -> impl Iterator<Item = (LaneId, &Lane)> {
        self.heads.values().map(|id| (*id, self.lane(*id)))
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

    /// Changes a lane and keeps its head in the map of heads.
    fn with_head(&mut self, id: LaneId, change: impl FnOnce(&mut BTreeMap<Place, RunId>)) {
        let waiting = &mut self.lanes[id.0].waiting;
        let before = waiting.first_key_value().map(|(place, _)| *place);
        change(waiting);
        let after = waiting.first_key_value().map(|(place, _)| *place);
        if before != after {
            if let Some(place) = before {
                self.heads.remove(&place);
            }
            if let Some(place) = after {
                self.heads.insert(place, id);
            }
        }
    }
}
