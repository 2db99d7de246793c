//! Collections whose changes are written down, so that none can be forgotten.
//!
//! Reading goes through [`Deref`]. Whatever could change a value notes its key; what is noted is collected by
//! [`Kept::take`], once for each key however often it was changed. A state in memory notes nothing.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    ops::Deref,
};

use crate::engine::persistence::row::{Batch, Change, Row, RowKey, Table};

/// A value that is kept: it knows its row.
pub(crate) trait Rowed<K> {
    fn row_key(&self, key: &K) -> RowKey;

    /// About the memory that it takes. It changes only through [`Kept::resize`]; 0 where another bound holds.
    fn bytes(&self) -> usize;
}

/// The two kinds of map.
pub(crate) trait Map: Default {
    type Key: Clone + Eq + Hash;
    type Value: Rowed<Self::Key>;
    fn read(&self, key: &Self::Key) -> Option<&Self::Value>;
    fn change(&mut self, key: &Self::Key) -> Option<&mut Self::Value>;
    fn put(&mut self, key: Self::Key, value: Self::Value) -> Option<Self::Value>;
    fn take_out(&mut self, key: &Self::Key) -> Option<Self::Value>;
}

macro_rules! map {
    ($map:ident, $bound:ident) => {
        impl<K: Clone + Eq + Hash + $bound, V: Rowed<K>> Map for $map<K, V> {
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

            fn take_out(&mut self, key: &K) -> Option<V> {
                self.remove(key)
            }
        }
    };
}

map!(HashMap, Hash);
map!(BTreeMap, Ord);

/// Entries from which on a map that has become almost empty gives its room back.
const SHRINK_FROM: usize = 4096;

/// A collection that is kept.
#[derive(Debug)]
pub(crate) struct Kept<M: Map> {
    map: M,
    /// Of all values.
    bytes: usize,
    /// Entries at the fullest time since the map last gave memory back.
    fullest: usize,
    /// `None` where nothing is to be kept.
    noted: Option<Acknowledged<M::Key>>,
}

#[derive(Debug)]
struct Acknowledged<K> {
    changed: HashSet<K>,
    gone: Vec<RowKey>,
}

impl<M: Map> Default for Kept<M> {
    fn default() -> Self {
        Self { map: M::default(), bytes: 0, fullest: 0, noted: None }
    }
}

impl<M: Map> Deref for Kept<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.map
    }
}

impl<K: Clone + Eq + Hash, V: Rowed<K>> Kept<HashMap<K, V>> {
    /// Makes room for what is about to be put back.
    pub(crate) fn reserve(&mut self, more: usize) {
        self.map.reserve(more);
    }

    /// Gives memory back after a load has gone: a map keeps the room of its fullest time.
    pub(crate) fn shrink(&mut self) {
        // Its capacity does not tell: places of removed entries count only when they are taken again.
        self.fullest = self.fullest.max(self.map.len());
        if self.fullest > SHRINK_FROM && self.map.len() < self.fullest / 8 {
            self.fullest = self.map.len();
            self.map.shrink_to(self.map.len() * 2);
        }
    }
}

impl<M: Map> Kept<M> {
    /// About the memory that all values take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes a value whose size changes with it.
    pub(crate) fn resize(&mut self, key: &M::Key, change: impl FnOnce(&mut M::Value)) {
        let Some(value) = self.get_mut(key) else { return };
        let before = value.bytes();
        change(value);
        let after = value.bytes();
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
    }

    /// Notes changes from now on.
    pub(crate) fn note_changes(&mut self) {
        self.noted = Some(Acknowledged { changed: HashSet::new(), gone: Vec::new() });
    }

    /// A value to change.
    pub(crate) fn get_mut(&mut self, key: &M::Key) -> Option<&mut M::Value> {
        let value = self.map.change(key)?;
        if let Some(noted) = &mut self.noted
            && !noted.changed.contains(key)
        {
            noted.changed.insert(key.clone());
        }
        Some(value)
    }

    /// A value, to change what is not kept of it: alarms, streams, slots in use, and whatever else is made anew at
    /// the next start.
    pub(crate) fn passing(&mut self, key: &M::Key) -> Option<&mut M::Value> {
        self.map.change(key)
    }

    pub(crate) fn insert(&mut self, key: M::Key, value: M::Value) {
        if let Some(noted) = &mut self.noted {
            noted.changed.insert(key.clone());
        }
        self.put(key, value);
    }

    fn put(&mut self, key: M::Key, value: M::Value) {
        self.bytes += value.bytes();
        let before = self.map.put(key, value);
        self.bytes = self.bytes.saturating_sub(before.map_or(0, |before| before.bytes()));
    }

    pub(crate) fn remove(&mut self, key: &M::Key) -> Option<M::Value> {
        let value = self.map.take_out(key)?;
        self.bytes = self.bytes.saturating_sub(value.bytes());
        if let Some(noted) = &mut self.noted {
            noted.changed.remove(key);
            noted.gone.push(value.row_key(key));
        }
        Some(value)
    }

    /// Puts back what was kept.
    pub(crate) fn restore(&mut self, key: M::Key, value: M::Value) {
        self.put(key, value);
    }

    pub(crate) fn is_changed(&self) -> bool {
        self.noted.as_ref().is_some_and(|noted| !noted.changed.is_empty() || !noted.gone.is_empty())
    }

    /// Hands over all changes since the last time: first what has gone, as its key may be taken again.
    pub(crate) fn take(&mut self, table: Table, batch: &mut Batch, row: impl Fn(&M::Key, &M::Value) -> Row) {
        let Some(noted) = &mut self.noted else { return };
        batch.extend(noted.gone.drain(..).map(|key| Change::Delete(table, key)));
        for key in noted.changed.drain() {
            if let Some(value) = self.map.read(&key) {
                batch.push(Change::Put(table, value.row_key(&key), row(&key, value)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Rowed<u64> for &'static str {
        fn row_key(&self, key: &u64) -> RowKey {
            RowKey::Number(*key)
        }

        fn bytes(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn bytes_follow_every_change() {
        let mut kept = Kept::<HashMap<u64, &'static str>>::default();
        kept.insert(1, "one");
        kept.restore(2, "two and more");
        assert_eq!(kept.bytes(), 15);
        kept.insert(1, "o");
        kept.resize(&2, |text| *text = "two");
        kept.resize(&3, |text| *text = "none");
        assert_eq!(kept.bytes(), 4);
        kept.remove(&1);
        kept.remove(&2);
        assert_eq!((kept.bytes(), kept.remove(&2)), (0, None));
    }

    #[test]
    fn map_that_was_large_gives_its_room_back() {
        let mut kept = Kept::<HashMap<u64, &'static str>>::default();
        (0..100_000).for_each(|n| kept.insert(n, "x"));
        kept.shrink();
        assert_eq!(kept.fullest, 100_000);
        (10..100_000).for_each(|n| assert_eq!(kept.remove(&n), Some("x")));
        kept.shrink();
        assert_eq!((kept.fullest, kept.len()), (10, 10));
        assert!(kept.capacity() < 1000, "{}", kept.capacity());
    }

    fn taken(kept: &mut Kept<BTreeMap<u64, &'static str>>) -> Vec<String> {
        let mut batch = Batch::new();
        kept.take(Table::Runs, &mut batch, |_, text| Row { head: text.as_bytes().to_vec(), texts: [None, None] });
        let mut said: Vec<String> = batch
            .iter()
            .map(|change| match change {
                Change::Put(_, key, row) => format!("{key:?}={}", String::from_utf8_lossy(&row.head)),
                Change::Delete(_, key) => format!("no {key:?}"),
            })
            .collect();
        said.sort();
        said
    }

    #[test]
    fn each_key_is_handed_over_once_as_it_is_then() {
        let mut kept = Kept::<BTreeMap<u64, &'static str>>::default();
        kept.insert(1, "before");
        kept.note_changes();
        assert!(!kept.is_changed());
        kept.insert(2, "new");
        *kept.get_mut(&2).unwrap() = "newer";
        *kept.get_mut(&2).unwrap() = "newest";
        *kept.passing(&1).unwrap() = "unseen";
        assert!(kept.get_mut(&3).is_none() && kept.is_changed());
        assert_eq!(taken(&mut kept), ["Number(2)=newest"]);
        assert!(!kept.is_changed());
        kept.remove(&2);
        kept.remove(&1);
        kept.insert(1, "again");
        assert_eq!(taken(&mut kept), ["Number(1)=again", "no Number(1)", "no Number(2)"]);
    }

    #[test]
    fn in_memory_nothing_is_noted() {
        let mut kept = Kept::<BTreeMap<u64, &'static str>>::default();
        kept.insert(1, "x");
        kept.remove(&1);
        assert!(!kept.is_changed() && taken(&mut kept).is_empty());
    }
}
