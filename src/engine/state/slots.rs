//! Slots: the units of capacity that a worker offers and an attempt occupies.

use std::sync::Arc;

/// Units of each slot type that one attempt occupies, sorted by slot type.
pub(crate) type SlotRequirements = Arc<[(Arc<str>, i64)]>;

/// One slot type of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) kind: Arc<str>,
    pub(crate) limit: i64,
    pub(crate) used: i64,
}

impl Slot {
    /// Units that no attempt occupies.
    pub(crate) fn free(&self) -> i64 {
        self.limit - self.used
    }
}

/// Whether the free units are enough for one attempt.
pub(crate) fn fits(slots: &[Slot], requirements: &SlotRequirements) -> bool {
    requirements.iter().all(|(kind, units)| slot(slots, kind).is_some_and(|slot| slot.free() >= *units))
}

/// Number of attempts that fit into the slots, if each slot has as many units as `units` returns.
pub(crate) fn capacity(slots: &[Slot], requirements: &SlotRequirements, units: impl Fn(&Slot) -> i64) -> i64 {
    let attempts_for =
        |(kind, needed): &(Arc<str>, i64)| slot(slots, kind).map_or(0, |slot| units(slot).max(0) / (*needed).max(1));
    requirements.iter().map(attempts_for).min().unwrap_or(0)
}

/// Marks the required units as used.
pub(crate) fn occupy(slots: &mut [Slot], requirements: &SlotRequirements) {
    change(slots, requirements, 1);
}

/// Marks the required units as free.
pub(crate) fn release(slots: &mut [Slot], requirements: &SlotRequirements) {
    change(slots, requirements, -1);
}

fn change(slots: &mut [Slot], requirements: &SlotRequirements, sign: i64) {
    for (kind, units) in requirements.iter() {
        if let Some(slot) = slots.iter_mut().find(|slot| slot.kind == *kind) {
            slot.used += sign * units;
        }
    }
}

fn slot<'a>(slots: &'a [Slot], kind: &str) -> Option<&'a Slot> {
    slots.iter().find(|slot| *slot.kind == *kind)
}
