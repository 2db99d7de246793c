//! Pushed events. The latest events are retained, so that they can be listed with their runs.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use uuid::Uuid;

use crate::{
    engine::{
        persistence::{
            row::RowKey,
            tracked::{Stored, Tracked},
        },
        state::time::Timestamp,
    },
    hatchet::wire::RunId,
};

/// Memory limit of the retained events: 64 MiB, not a limit of Hatchet. The oldest are removed first.
const MAX_BYTES: usize = 64 << 20;

/// A validated event that has not been pushed yet.
#[derive(Debug)]
pub(crate) struct PushedEvent {
    pub(crate) key: Arc<str>,
    /// The input of the triggered runs: a JSON object or `null`.
    pub(crate) input: Arc<str>,
    /// A JSON object.
    pub(crate) metadata: Arc<str>,
    pub(crate) priority: Option<i32>,
    pub(crate) scope: Option<String>,
}

/// A pushed event with the runs that it has triggered.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) key: Arc<str>,
    pub(crate) input: Arc<str>,
    pub(crate) metadata: Arc<str>,
    pub(crate) scope: Option<String>,
    pub(crate) at: Timestamp,
    /// Ids of the triggered runs.
    pub(crate) runs: Vec<RunId>,
}

/// The retained events, in the order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(in crate::engine::state) events: Tracked<BTreeMap<u64, Event>>,
    by_id: HashMap<Uuid, u64>,
    last: u64,
    bytes: usize,
}

impl Events {
    /// Adds an event and removes the oldest events beyond `max_count` or [`MAX_BYTES`].
    pub(crate) fn insert(&mut self, event: Event, max_count: usize) {
        self.last += 1;
        self.index(self.last, &event);
        self.events.insert(self.last, event);
        while self.events.len() > max_count || self.bytes > MAX_BYTES {
            let oldest = self.events.first_key_value().map(|(seq, _)| *seq);
            let Some(event) = oldest.and_then(|oldest| self.events.remove(&oldest)) else { return };
            self.by_id.remove(&event.id);
            self.bytes -= bytes(&event);
        }
    }

    /// Restores a stored event.
    pub(crate) fn restore(&mut self, seq: u64, event: Event) {
        self.last = self.last.max(seq);
        self.index(seq, &event);
        self.events.restore(seq, event);
    }

    fn index(&mut self, seq: u64, event: &Event) {
        self.bytes += bytes(event);
        self.by_id.insert(event.id, seq);
    }

    pub(crate) fn get(&self, id: Uuid) -> Option<&Event> {
        self.events.get(self.by_id.get(&id)?)
    }

    /// The retained events, newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = (Uuid, &Event)> {
        self.events.values().rev().map(|event| (event.id, event))
    }
}

fn bytes(event: &Event) -> usize {
    size_of::<Event>()
        + event.key.len()
        + event.input.len()
        + event.metadata.len()
        + size_of::<RunId>() * event.runs.len()
}

impl Stored<u64> for Event {
    fn row_key(&self, seq: &u64) -> RowKey {
        RowKey::Number(*seq)
    }

    fn bytes(&self) -> usize {
        // Events do not count towards the limit on the state: `MAX_BYTES` limits them.
        0
    }
}
