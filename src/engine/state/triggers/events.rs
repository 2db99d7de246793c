//! Pushed events, and the runs they start.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use uuid::Uuid;

use crate::engine::state::{ClockReading, State, Timestamp, TriggerItem, model::Origin};
use crate::{
    engine::{persistence::tracked::Kept, state::triggers::metadata},
    hatchet::wire::RunId,
};

/// Bytes of the events that are kept to be read; the oldest go first. Ours.
const BYTES: usize = 64 << 20;

/// An event that is pushed, checked at the door.
#[derive(Debug)]
pub(crate) struct PushedEvent {
    pub(crate) key: String,
    /// The payload as runs get it: a JSON object or `null`.
    pub(crate) input: Arc<str>,
    /// A JSON object.
    pub(crate) metadata: Arc<str>,
    pub(crate) priority: Option<i32>,
    pub(crate) scope: Option<String>,
}

/// An event that was pushed.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) key: Arc<str>,
    pub(crate) input: Arc<str>,
    pub(crate) metadata: Arc<str>,
    pub(crate) scope: Option<String>,
    pub(crate) at: Timestamp,
    pub(crate) runs: Vec<RunId>,
}

/// The last events, and which workflows are started by which keys.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) kept: Kept<BTreeMap<u64, Event>>,
    by_id: HashMap<Uuid, u64>,
    count: u64,
    bytes: usize,
    exact: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    patterns: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Events {
    /// Replaces the keys that start a workflow.
    pub(crate) fn declare(&mut self, workflow: &Arc<str>, before: &[Arc<str>], now: &[Arc<str>]) {
        for key in before {
            let (exact, patterns) = (self.exact.get_mut(key), self.patterns.get_mut(key));
            for flows in exact.into_iter().chain(patterns) {
                flows.remove(workflow);
            }
        }
        self.exact.retain(|_, flows| !flows.is_empty());
        self.patterns.retain(|_, flows| !flows.is_empty());
        for key in now {
            let flows = if key.contains('*') {
                self.patterns.entry(key.clone()).or_default()
            } else {
                self.exact.entry(key.clone()).or_default()
            };
            flows.insert(workflow.clone());
        }
    }

    /// The workflows that a key starts, each once.
    fn started_by(&self, key: &str) -> BTreeSet<Arc<str>> {
        let by_pattern = self.patterns.iter().filter(|(pattern, _)| fits(pattern, key)).map(|(_, flows)| flows);
        self.exact.get(key).into_iter().chain(by_pattern).flatten().cloned().collect()
    }

    /// Puts back an event that was kept.
    pub(crate) fn restore(&mut self, at: u64, event: Event) {
        self.count = self.count.max(at);
        self.bytes += size(&event);
        self.by_id.insert(event.id, at);
        self.kept.restore(at, event);
    }

    fn keep(&mut self, event: Event, most: usize) {
        self.count += 1;
        self.bytes += size(&event);
        self.by_id.insert(event.id, self.count);
        self.kept.insert(self.count, event);
        while self.kept.len() > most || self.bytes > BYTES {
            let oldest = self.kept.first_key_value().map(|(at, _)| *at);
            let Some(event) = oldest.and_then(|oldest| self.kept.remove(&oldest)) else { return };
            self.by_id.remove(&event.id);
            self.bytes -= size(&event);
        }
    }
}

fn size(event: &Event) -> usize {
    size_of::<Event>()
        + event.key.len()
        + event.input.len()
        + event.metadata.len()
        + size_of::<RunId>() * event.runs.len()
}

/// Whether a key fits a pattern, in which `*` stands for any text.
fn fits(pattern: &str, key: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| key.strip_prefix(first)) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

impl State {
    /// Takes an event: every workflow that its key starts gets a run. Answers the event's id.
    pub(crate) fn push_event(&mut self, pushed: PushedEvent, now: ClockReading) -> Uuid {
        let id = self.new_id();
        let PushedEvent { key, input, metadata, priority, scope } = pushed;
        let key: Arc<str> = key.into();
        let of_runs = metadata::of_event(&metadata, id, &key);
        let flows = self.events.started_by(&key);
        let item = |workflow: Arc<str>| TriggerItem {
            workflow: workflow.to_string(),
            input: input.clone(),
            metadata: of_runs.clone(),
            priority,
            parent: None,
            claim: None,
            origin: Origin::Event { id, key: key.clone() },
        };
        let items: Vec<TriggerItem> = flows.into_iter().map(item).collect();
        let runs = items.into_iter().filter_map(|item| self.start_unasked(item, now)).collect();
        self.events.keep(Event { id, key, input, metadata, scope, at: now.display, runs }, self.keep.count);
        id
    }

    /// An event that is still kept.
    pub(crate) fn event(&self, id: Uuid) -> Option<&Event> {
        self.events.kept.get(self.events.by_id.get(&id)?)
    }

    /// The events that are kept, the newest first.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Uuid, &Event)> {
        self.events.kept.values().rev().map(|event| (event.id, event))
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn wildcards_stand_for_any_text() {
        for (pattern, key, good) in [
            ("a:b", "a:b", true),
            ("a:b", "a:bc", false),
            ("a:*", "a:", true),
            ("a:*", "a:b:c", true),
            ("a:*", "A:b", false),
            ("*", "", true),
            ("*:end", "x:end", true),
            ("*:end", "x:end:", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("a**a", "aa", true),
        ] {
            assert_eq!(fits(pattern, key), good, "{pattern} {key}");
        }
    }
}
