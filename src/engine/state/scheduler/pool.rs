//! Crews: workers that serve the same actions.
//!
//! A crew knows which of its workers have room, and whose turn it is of the workflows that wait for it; both in order,
//! so that either is found without looking at the others. A fleet is one crew, or one for each kind of worker.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use crate::engine::state::{
    model::{Needs, Worker},
    scheduler::queues::{ClassId, FlowId, LaneId, Place},
};
use crate::hatchet::wire::WorkerId;

/// Which crew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CrewId(pub(crate) u64);

/// A worker by its free units of one slot type; of equals, who has waited longest comes last.
pub(crate) type Offer = (i64, Reverse<u64>, WorkerId);

/// Workers that serve the same actions.
#[derive(Debug)]
pub(crate) struct Crew {
    /// Sorted.
    pub(crate) actions: Arc<[Arc<str>]>,
    pub(crate) members: usize,
    room: HashMap<Arc<str>, BTreeSet<Offer>>,
    turns: BTreeMap<ClassId, Turns>,
}

/// Whose turn it is among the workflows whose tasks have the same needs.
#[derive(Debug, Default)]
struct Turns {
    order: BTreeSet<(u64, FlowId)>,
    heads: HashMap<FlowId, BTreeMap<Place, LaneId>>,
}

impl Crew {
    pub(crate) fn new(actions: Arc<[Arc<str>]>) -> Self {
        Self { actions, members: 1, room: HashMap::new(), turns: BTreeMap::new() }
    }

    /// Moves the head of a lane. Answers whether its workflow still waits here with these needs.
    pub(crate) fn move_head(
        &mut self,
        class: ClassId,
        flow: FlowId,
        turn: u64,
        (before, after): (Option<Place>, Option<Place>),
        lane: LaneId,
    ) -> bool {
        let turns = self.turns.entry(class).or_default();
        let heads = turns.heads.entry(flow).or_default();
        if let Some(place) = before {
            heads.remove(&place);
        }
        if let Some(place) = after {
            heads.insert(place, lane);
        }
        if !heads.is_empty() {
            turns.order.insert((turn, flow));
            return true;
        }
        turns.heads.remove(&flow);
        turns.order.remove(&(turn, flow));
        if turns.order.is_empty() {
            self.turns.remove(&class);
        }
        false
    }

    pub(crate) fn move_turn(&mut self, class: ClassId, flow: FlowId, before: u64, after: u64) {
        if let Some(turns) = self.turns.get_mut(&class) {
            turns.order.remove(&(before, flow));
            turns.order.insert((after, flow));
        }
    }

    /// All that waits for this crew.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (ClassId, FlowId)> {
        self.turns.iter().flat_map(|(class, turns)| turns.heads.keys().map(|flow| (*class, *flow)))
    }

    /// The lane that is next, of those whose needs fit.
    pub(crate) fn next_lane(&self, fits: impl Fn(ClassId) -> bool) -> Option<LaneId> {
        let next = |(class, turns): (&ClassId, &Turns)| {
            let (turn, flow) = *turns.order.first()?;
            let (place, lane) = turns.heads.get(&flow)?.first_key_value()?;
            fits(*class).then_some((turn, flow, *place, *lane))
        };
        self.turns.iter().filter_map(next).min().map(|(.., lane)| lane)
    }

    /// Writes down what a worker has free, in place of what was written before.
    pub(crate) fn offer(&mut self, id: WorkerId, worker: &mut Worker, ready: bool) {
        let now = ready.then(|| (worker.slots.iter().map(|slot| slot.free()).collect::<Vec<_>>(), worker.last));
        if now == worker.offered {
            return;
        }
        if let Some((free, last)) = &worker.offered {
            for (slot, units) in worker.slots.iter().zip(free) {
                if let Some(offers) = self.room.get_mut(&slot.kind) {
                    offers.remove(&(*units, Reverse(*last), id));
                }
            }
        }
        if let Some((free, last)) = &now {
            for (slot, units) in worker.slots.iter().zip(free).filter(|(_, units)| **units > 0) {
                self.room.entry(slot.kind.clone()).or_default().insert((*units, Reverse(*last), id));
            }
        }
        worker.offered = now;
    }

    /// The workers that have room for the first of some needs, the emptiest first.
    pub(crate) fn offers(&self, needs: &Needs) -> impl Iterator<Item = Offer> {
        let first = needs.first();
        let offers = first.and_then(|(kind, _)| self.room.get(kind)).into_iter().flat_map(|all| all.iter().rev());
        offers.copied().take_while(move |(free, ..)| first.is_some_and(|(_, units)| free >= units))
    }
}
