//! One concurrency group, and the decisions of its strategy.

use std::{cmp::Reverse, collections::BTreeMap};

use super::rule::LimitStrategy;
use crate::hatchet::wire::RunId;

/// The priority of retried and replayed tasks, above all priorities of runs, as in a real engine.
const RETRIED: i32 = 4;

/// The order of a member in its group: high priority first, then the older member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    priority: Reverse<i32>,
    /// Number of the task among all tasks, in the order of creation.
    seq: u64,
}

impl Rank {
    /// The rank of a task's attempt.
    pub(crate) fn new(priority: i32, attempt: i32, seq: u64) -> Self {
        Self { priority: Reverse(if attempt > 0 { RETRIED } else { priority }), seq }
    }
}

/// A member that enters a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) id: RunId,
    pub(crate) rank: Rank,
    /// The limit of the group as long as this member is the newest.
    pub(crate) max_runs: i32,
}

/// The consequences of a change of a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    /// Members to cancel. They have left the group.
    pub(crate) cancelled: Vec<RunId>,
    /// Members that were admitted, in their order.
    pub(crate) admitted: Vec<RunId>,
}

/// The members of a group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) strategy: LimitStrategy,
    admitted: BTreeMap<Rank, RunId>,
    waiting: BTreeMap<Rank, RunId>,
    /// The limits of all members, by their numbers. That of the newest member applies.
    limits: BTreeMap<u64, i32>,
}

impl Group {
    pub(super) fn new(strategy: LimitStrategy) -> Self {
        Self { strategy, admitted: BTreeMap::new(), waiting: BTreeMap::new(), limits: BTreeMap::new() }
    }

    pub(super) fn insert(&mut self, member: Member, is_admitted: bool) {
        let members = if is_admitted { &mut self.admitted } else { &mut self.waiting };
        members.insert(member.rank, member.id);
        self.limits.insert(member.rank.seq, member.max_runs);
    }

    /// Removes a member. Does nothing if it is not a member.
    pub(super) fn remove(&mut self, rank: Rank) -> bool {
        let is_member = self.admitted.remove(&rank).or_else(|| self.waiting.remove(&rank)).is_some();
        if is_member {
            self.limits.remove(&rank.seq);
        }
        is_member
    }

    pub(super) fn change_rank(&mut self, before: Rank, after: Rank) {
        for members in [&mut self.admitted, &mut self.waiting] {
            if let Some(id) = members.remove(&before) {
                members.insert(after, id);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.admitted.is_empty() && self.waiting.is_empty()
    }

    fn limit(&self) -> usize {
        let newest = self.limits.last_key_value().map_or(0, |(_, limit)| *limit);
        usize::try_from(newest).unwrap_or(0)
    }

    /// Admits members up to the limit, and cancels the members that the strategy does not let wait.
    pub(super) fn decide(&mut self) -> Decision {
        let mut decision = Decision::default();
        match self.strategy {
            LimitStrategy::GroupRoundRobin => self.admit(&mut decision),
            LimitStrategy::CancelNewest => {
                self.admit(&mut decision);
                self.cancel_waiting(0, false, &mut decision);
            }
            LimitStrategy::CancelQueuedExceptNewest => {
                self.admit(&mut decision);
                self.cancel_waiting(1, true, &mut decision);
            }
            LimitStrategy::CancelQueuedExceptOldest => {
                self.admit(&mut decision);
                self.cancel_waiting(1, false, &mut decision);
            }
            LimitStrategy::CancelInProgress => self.replace(&mut decision),
        }
        decision
    }

    /// Admits the first waiting members while there is room.
    fn admit(&mut self, decision: &mut Decision) {
        while self.admitted.len() < self.limit()
            && let Some((rank, id)) = self.waiting.pop_first()
        {
            self.admitted.insert(rank, id);
            decision.admitted.push(id);
        }
    }

    /// Cancels the waiting members after the first `retained`, in the order of their numbers.
    fn cancel_waiting(&mut self, retained: usize, newest_first: bool, decision: &mut Decision) {
        while self.waiting.len() > retained {
            let last = if newest_first { oldest(&self.waiting) } else { self.waiting.keys().next_back().copied() };
            let Some(rank) = last else { return };
            decision.cancelled.extend(self.waiting.remove(&rank));
            self.limits.remove(&rank.seq);
        }
    }

    /// Admits members by priority, newer members before older members of the same priority, and cancels all others.
    fn replace(&mut self, decision: &mut Decision) {
        while self.admitted.len() > self.limit()
            && let Some(worst) = oldest(&self.admitted)
        {
            decision.cancelled.extend(self.admitted.remove(&worst));
            self.limits.remove(&worst.seq);
        }
        while let Some(best) = newest(&self.waiting) {
            if self.admitted.len() >= self.limit() {
                match oldest(&self.admitted) {
                    Some(worst) if (best.priority, Reverse(best.seq)) < (worst.priority, Reverse(worst.seq)) => {
                        decision.cancelled.extend(self.admitted.remove(&worst));
                        self.limits.remove(&worst.seq);
                    }
                    Some(_) | None => return self.cancel_waiting(0, false, decision),
                }
            }
            if let Some(id) = self.waiting.remove(&best) {
                self.admitted.insert(best, id);
                decision.admitted.push(id);
            }
        }
    }

    /// Numbers of admitted and of waiting members, and the limit.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize, i32) {
        (self.admitted.len(), self.waiting.len(), i32::try_from(self.limit()).unwrap_or(i32::MAX))
    }
}

/// The newest member of the highest priority.
fn newest(members: &BTreeMap<Rank, RunId>) -> Option<Rank> {
    let priority = members.keys().next()?.priority;
    members.range(..=Rank { priority, seq: u64::MAX }).next_back().map(|(rank, _)| *rank)
}

/// The oldest member of the lowest priority.
fn oldest(members: &BTreeMap<Rank, RunId>) -> Option<Rank> {
    let priority = members.keys().next_back()?.priority;
    members.range(Rank { priority, seq: 0 }..).next().map(|(rank, _)| *rank)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(n: u64) -> RunId {
        RunId::from(Uuid::from_u128(n.into()))
    }

    fn enter(group: &mut Group, seq: u64, priority: i32, attempt: i32, max_runs: i32) -> (Vec<RunId>, Vec<RunId>) {
        group.insert(Member { id: id(seq), rank: Rank::new(priority, attempt, seq), max_runs }, false);
        let Decision { cancelled, admitted } = group.decide();
        (admitted, cancelled)
    }

    /// Members 1 to 5 of equal priority enter a group of two: those admitted and those cancelled by each.
    fn five(strategy: LimitStrategy) -> Vec<(Vec<RunId>, Vec<RunId>)> {
        let mut group = Group::new(strategy);
        (1..=5).map(|seq| enter(&mut group, seq, 1, 0, 2)).collect()
    }

    #[test]
    fn each_strategy_admits_and_cancels_as_declared() {
        let first = [(vec![id(1)], vec![]), (vec![id(2)], vec![])];
        let expect = |strategy, rest: [(Vec<RunId>, Vec<RunId>); 3]| {
            assert_eq!(five(strategy), [&first[..], &rest[..]].concat(), "{strategy:?}");
        };
        expect(LimitStrategy::GroupRoundRobin, [(vec![], vec![]), (vec![], vec![]), (vec![], vec![])]);
        expect(LimitStrategy::CancelNewest, [3, 4, 5].map(|n| (vec![], vec![id(n)])));
        expect(LimitStrategy::CancelInProgress, [3, 4, 5].map(|n| (vec![id(n)], vec![id(n - 2)])));
        let newest = [(vec![], vec![]), (vec![], vec![id(3)]), (vec![], vec![id(4)])];
        expect(LimitStrategy::CancelQueuedExceptNewest, newest);
        let oldest = [(vec![], vec![]), (vec![], vec![id(4)]), (vec![], vec![id(5)])];
        expect(LimitStrategy::CancelQueuedExceptOldest, oldest);
    }

    #[test]
    fn higher_priority_is_admitted_first_and_is_not_replaced() {
        let mut group = Group::new(LimitStrategy::CancelInProgress);
        assert_eq!(enter(&mut group, 1, 3, 0, 1), (vec![id(1)], vec![]));
        assert_eq!(enter(&mut group, 2, 1, 0, 1), (vec![], vec![id(2)]));
        assert_eq!(enter(&mut group, 3, 3, 0, 1), (vec![id(3)], vec![id(1)]));
        // A retry is above all priorities.
        group.change_rank(Rank::new(3, 0, 3), Rank::new(3, 1, 3));
        assert_eq!(enter(&mut group, 4, 3, 0, 1), (vec![], vec![id(4)]));
    }

    #[test]
    fn newest_member_determines_the_limit() {
        let mut group = Group::new(LimitStrategy::GroupRoundRobin);
        enter(&mut group, 1, 1, 0, 1);
        assert_eq!(enter(&mut group, 2, 1, 0, 1).0, []);
        assert_eq!(enter(&mut group, 3, 1, 0, 3).0, [id(2), id(3)]);
        assert!(group.remove(Rank::new(1, 0, 3)));
        assert_eq!(group.counts(), (2, 0, 1));
        assert_eq!(enter(&mut group, 4, 1, 0, 0).0, []);
    }
}
