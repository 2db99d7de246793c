//! The attempts that ended last.
//!
//! An engine that has heard nothing of an assignment when its worker listens anew may send it again. That may cross the
//! report of the attempt's end, and must not run it a second time.

use std::collections::{HashSet, VecDeque};

use super::table::AttemptKey;

/// Far more than end while a message crosses another.
const KEPT: usize = 4096;

/// The last attempts that ended.
#[derive(Default)]
pub(in crate::hatchet::worker) struct Recent {
    keys: HashSet<AttemptKey>,
    order: VecDeque<AttemptKey>,
}

impl Recent {
    pub(in crate::hatchet::worker) fn add(&mut self, key: AttemptKey) {
        if !self.keys.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }

    pub(in crate::hatchet::worker) fn has(&self, key: AttemptKey) -> bool {
        self.keys.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::wire::RunId;

    #[test]
    fn the_last_ones_are_known_and_no_more() {
        let (mut recent, first) = (Recent::default(), (RunId::random(), 0));
        recent.add(first);
        recent.add(first);
        assert!(recent.has(first) && !recent.has((first.0, 1)));
        (0..KEPT).for_each(|_| recent.add((RunId::random(), 0)));
        assert!(!recent.has(first));
        assert_eq!((recent.keys.len(), recent.order.len()), (KEPT, KEPT));
    }
}
