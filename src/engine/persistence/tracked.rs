//! Collections that track their changes.
//!
//! All state that a restart must preserve is in a [`Tracked`] map. Reading goes through [`Deref`]; every method that
//! returns a mutable value marks its key as changed, so no change can be missed. [`Tracked::drain_changes`]
//! turns the marked keys into row changes, one per key however often its value changed in between. An engine in
//! memory never calls [`Tracked::track_changes`] and marks nothing.
//!
//! Invariant: [`Tracked::bytes`] is the sum of [`Stored::bytes`] over all values. A change that affects a value's size
//! must go through [`Tracked::resize`].

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    ops::Deref,
};

use super::row::{Batch, Row, RowChange, RowKey, Table};

/// Estimated memory of one entry in addition to its texts, in bytes.
pub(crate) const ENTRY_BYTES: usize = 256;

/// A value of a tracked collection, stored as one row.
pub(crate) trait Stored<K> {
    /// The row's key in its table.
    fn row_key(&self, key: &K) -> RowKey;

    /// Estimated memory of the value in bytes, for the limit on the engine's state; 0 if another limit applies.
    fn bytes(&self) -> usize;
}

/// The two kinds of map that can be tracked.
pub(crate) trait Map: Default {
    type Key: Clone + Eq + Hash;
    type Value: Stored<Self::Key>;
    fn read(&self, key: &Self::Key) -> Option<&Self::Value>;
    fn change(&mut self, key: &Self::Key) -> Option<&mut Self::Value>;
    fn put(&mut self, key: Self::Key, value: Self::Value) -> Option<Self::Value>;
    fn take(&mut self, key: &Self::Key) -> Option<Self::Value>;
}

macro_rules! map {
    ($map:ident, $bound:ident) => {
        impl<K: Clone + Eq + Hash + $bound, V: Stored<K>> Map for $map<K, V> {
            type Key = K;
            type Value = V;

            fn read(&self, key: &K) -> Option<&V> {
                self.get(key)
            }

            fn change(&mut self, key: &K) -> Option<&mut V> {
                self.get_mut(key)
            }

            fn put(&mut self, key: K, value: V) -> Option<V> {
                self.insert(key, value)
            }

            fn take(&mut self, key: &K) -> Option<V> {
                self.remove(key)
            }
        }
    };
}

map!(HashMap, Hash);
map!(BTreeMap, Ord);

/// Smallest peak number of entries after which an almost empty map returns its memory.
const MIN_PEAK_TO_SHRINK: usize = 4096;

/// A map that tracks which of its entries have changed.
#[derive(Debug)]
pub(crate) struct Tracked<M: Map> {
    map: M,
    bytes: usize,
    /// Largest number of entries since the map last returned memory.
    peak: usize,
    /// `None` in an engine without a database.
    changes: Option<Changes<M::Key>>,
}

#[derive(Debug)]
struct Changes<K> {
    changed: HashSet<K>,
    deleted: Vec<RowKey>,
}

impl<M: Map> Default for Tracked<M> {
    fn default() -> Self {
        Self { map: M::default(), bytes: 0, peak: 0, changes: None }
    }
}

impl<M: Map> Deref for Tracked<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.map
    }
}

impl<K: Clone + Eq + Hash, V: Stored<K>> Tracked<HashMap<K, V>> {
    /// Reserves capacity before values are restored.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.map.reserve(additional);
    }

    /// Returns memory once the map holds less than an eighth of its peak: a hash map never does so automatically.
    pub(crate) fn shrink(&mut self) {
        // `capacity()` is not usable here: it does not count the slots of removed entries until they are reused.
        self.peak = self.peak.max(self.map.len());
        if self.peak > MIN_PEAK_TO_SHRINK && self.map.len() < self.peak / 8 {
            self.peak = self.map.len();
            self.map.shrink_to(self.map.len() * 2);
        }
    }
}

impl<M: Map> Tracked<M> {
    /// Estimated memory of all values in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Starts to track changes.
    pub(crate) fn track_changes(&mut self) {
        self.changes = Some(Changes { changed: HashSet::new(), deleted: Vec::new() });
    }

    /// Returns a value to change, and marks it as changed.
    pub(crate) fn get_mut(&mut self, key: &M::Key) -> Option<&mut M::Value> {
        let value = self.map.change(key)?;
        if let Some(changes) = &mut self.changes
            && !changes.changed.contains(key)
        {
            changes.changed.insert(key.clone());
        }
        Some(value)
    }

    /// Returns a value, to change fields that are not stored: timers, streams, slots in use and other values that a
    /// restart recomputes.
    pub(crate) fn get_mut_untracked(&mut self, key: &M::Key) -> Option<&mut M::Value> {
        self.map.change(key)
    }

    /// Changes a value whose size changes with it; marks it as changed.
    pub(crate) fn resize(&mut self, key: &M::Key, change: impl FnOnce(&mut M::Value)) {
        let Some(value) = self.get_mut(key) else { return };
        let before = value.bytes();
        change(value);
        let after = value.bytes();
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
    }

    /// Inserts or replaces a value; marks it as changed.
    pub(crate) fn insert(&mut self, key: M::Key, value: M::Value) {
        if let Some(changes) = &mut self.changes {
            changes.changed.insert(key.clone());
        }
        self.restore(key, value);
    }

    /// Inserts a value that was read from storage; marks nothing.
    pub(crate) fn restore(&mut self, key: M::Key, value: M::Value) {
        self.bytes += value.bytes();
        let replaced = self.map.put(key, value);
        self.bytes = self.bytes.saturating_sub(replaced.map_or(0, |value| value.bytes()));
    }

    /// Removes a value; marks its row as deleted.
    pub(crate) fn remove(&mut self, key: &M::Key) -> Option<M::Value> {
        let value = self.map.take(key)?;
        self.bytes = self.bytes.saturating_sub(value.bytes());
        if let Some(changes) = &mut self.changes {
            changes.changed.remove(key);
            changes.deleted.push(value.row_key(key));
        }
        Some(value)
    }

    /// Whether there are changes to drain.
    pub(crate) fn has_changes(&self) -> bool {
        self.changes.as_ref().is_some_and(|changes| !changes.changed.is_empty() || !changes.deleted.is_empty())
    }

    /// Appends all changes since the last call to a batch: deletions first, as a deleted key may have been inserted
    /// again.
    pub(crate) fn drain_changes(&mut self, table: Table, batch: &mut Batch, row: impl Fn(&M::Key, &M::Value) -> Row) {
        let Some(changes) = &mut self.changes else { return };
        batch.extend(changes.deleted.drain(..).map(|key| RowChange::Delete(table, key)));
        for key in changes.changed.drain() {
            if let Some(value) = self.map.read(&key) {
                batch.push(RowChange::Put(table, value.row_key(&key), row(&key, value)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Stored<u64> for &'static str {
        fn row_key(&self, key: &u64) -> RowKey {
            RowKey::Number(*key)
        }

        fn bytes(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn bytes_follow_every_change() {
        let mut map = Tracked::<HashMap<u64, &'static str>>::default();
        map.insert(1, "one");
        map.restore(2, "two and more");
        assert_eq!(map.bytes(), 15);
        map.insert(1, "o");
        map.resize(&2, |text| *text = "two");
        map.resize(&3, |text| *text = "none");
        assert_eq!(map.bytes(), 4);
        map.remove(&1);
        map.remove(&2);
        assert_eq!((map.bytes(), map.remove(&2)), (0, None));
    }

    #[test]
    fn emptied_map_returns_its_memory() {
        let mut map = Tracked::<HashMap<u64, &'static str>>::default();
        (0..100_000).for_each(|n| map.insert(n, "x"));
        map.shrink();
        assert_eq!(map.peak, 100_000);
        (10..100_000).for_each(|n| assert_eq!(map.remove(&n), Some("x")));
        map.shrink();
        assert_eq!((map.peak, map.len()), (10, 10));
        assert!(map.capacity() < 1000, "{}", map.capacity());
    }

    fn drained(map: &mut Tracked<BTreeMap<u64, &'static str>>) -> Vec<String> {
        let mut batch = Batch::new();
        map.drain_changes(Table::Runs, &mut batch, |_, text| Row {
            head: text.as_bytes().to_vec(),
            texts: [None, None],
        });
        let mut lines: Vec<String> = batch
            .iter()
            .map(|change| match change {
                RowChange::Put(_, key, row) => format!("{key:?}={}", String::from_utf8_lossy(&row.head)),
                RowChange::Delete(_, key) => format!("no {key:?}"),
            })
            .collect();
        lines.sort();
        lines
    }

    #[test]
    fn changed_key_is_drained_once_with_latest_value() {
        let mut map = Tracked::<BTreeMap<u64, &'static str>>::default();
        map.insert(1, "before");
        map.track_changes();
        assert!(!map.has_changes());
        map.insert(2, "new");
        *map.get_mut(&2).unwrap() = "newer";
        *map.get_mut(&2).unwrap() = "newest";
        *map.get_mut_untracked(&1).unwrap() = "untracked";
        assert!(map.get_mut(&3).is_none() && map.has_changes());
        assert_eq!(drained(&mut map), ["Number(2)=newest"]);
        assert!(!map.has_changes());
        map.remove(&2);
        map.remove(&1);
        map.insert(1, "again");
        assert_eq!(drained(&mut map), ["Number(1)=again", "no Number(1)", "no Number(2)"]);
    }

    #[test]
    fn untracked_map_has_no_changes() {
        let mut map = Tracked::<BTreeMap<u64, &'static str>>::default();
        map.insert(1, "x");
        map.remove(&1);
        assert!(!map.has_changes() && drained(&mut map).is_empty());
    }
}
