//! Subscriptions of clients to the events and the results of runs.

pub(super) mod events;
pub(super) mod results;

use std::{collections::HashMap, hash::Hash};

/// Messages that may be queued for one subscriber: 65,536, not a limit of Hatchet. Beyond that its stream ends with an
/// error, and the client has to subscribe again.
const MAX_SUBSCRIPTION_MESSAGES: usize = 65_536;

/// Bytes that may be queued for one subscriber: 64 MiB, not a limit of Hatchet.
const MAX_SUBSCRIPTION_BYTES: usize = 64 << 20;

/// Identifies a subscriber among the subscribers of its kind.
pub(crate) type SubscriberId = u64;

/// Removes a subscriber from an index, and its entry if no other subscriber is left.
fn remove_subscriber<K: Hash + Eq>(index: &mut HashMap<K, Vec<SubscriberId>>, key: &K, id: SubscriberId) {
    if let Some(ids) = index.get_mut(key) {
        ids.retain(|other| *other != id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
