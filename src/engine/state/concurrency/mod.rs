//! Concurrency groups: each limits how many of its members run at a time.
//!
//! A rule of a workflow or task evaluates to a key, and a group is the set of the members with one key of one rule. A
//! member is a task, or a whole run for the rules of a workflow of several tasks. It is either admitted or it waits:
//!
//! ```text
//!  task without blockers ──► group 1 ──► group 2 ──► … ──► queue ──► worker
//!                            waits here until it is admitted; stays a member of all groups
//!                            until its attempt finishes, across retries without a delay
//! ```
//!
//! A waiting task is in its group and in no queue, and only a change of its group can admit it. A change costs O(log n)
//! for n members of this group, independent of the numbers of groups and of queued tasks.
//!
//! As in a real engine:
//!
//! - Each version of a workflow has groups of its own. A rule with a name that is scoped to the tenant has the same
//!   groups in all workflows that declare it.
//! - Within a group a higher priority is first, then the older task; for CANCEL_IN_PROGRESS the newer task. A retried
//!   or replayed task precedes all others.
//! - The newest member of a group determines its limit.

mod group;
mod rule;

pub(crate) use self::{
    group::{Decision, Member, Rank},
    rule::{ConcurrencyRule, GroupDemand, LimitStrategy},
};

use std::{collections::HashMap, sync::Arc};

use self::group::Group;

/// Identifies a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    pub(crate) scope: Scope,
    pub(crate) key: Arc<str>,
}

/// The rule of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// A rule of a workflow, by its version and index.
    Workflow { version: i64, rule: usize },
    /// A rule of a task, by version, index of the task and index of the rule.
    Task { version: i64, task: usize, rule: usize },
    /// The rules with this name in all workflows.
    Tenant(Arc<str>),
}

/// Smallest capacity from which an almost empty map returns its memory.
const MIN_CAPACITY_TO_SHRINK: usize = 4096;

/// All groups that have members.
#[derive(Debug, Default)]
pub(crate) struct Concurrency {
    groups: HashMap<GroupKey, Group>,
}

impl Concurrency {
    /// Adds a member that waits for admission. [`decide`](Self::decide) admits it.
    pub(crate) fn enter(&mut self, key: &GroupKey, strategy: LimitStrategy, member: Member) {
        self.group(key, strategy).insert(member, false);
    }

    /// Adds a member with the state that it had before a restart.
    pub(crate) fn restore(&mut self, key: &GroupKey, strategy: LimitStrategy, member: Member, is_admitted: bool) {
        self.group(key, strategy).insert(member, is_admitted);
    }

    fn group(&mut self, key: &GroupKey, strategy: LimitStrategy) -> &mut Group {
        let group = self.groups.entry(key.clone()).or_insert_with(|| Group::new(strategy));
        group.strategy = strategy;
        group
    }

    /// Removes a member. Returns whether it was a member; if so, the group needs a decision.
    pub(crate) fn leave(&mut self, key: &GroupKey, rank: Rank) -> bool {
        self.groups.get_mut(key).is_some_and(|group| group.remove(rank))
    }

    /// Changes the rank of a member.
    pub(crate) fn change_rank(&mut self, key: &GroupKey, before: Rank, after: Rank) {
        if let Some(group) = self.groups.get_mut(key) {
            group.change_rank(before, after);
        }
    }

    /// Admits and cancels members of a group by its strategy. Drops the group if it is empty.
    pub(crate) fn decide(&mut self, key: &GroupKey) -> Decision {
        let Some(group) = self.groups.get_mut(key) else { return Decision::default() };
        let decision = group.decide();
        if group.is_empty() {
            self.groups.remove(key);
            // A hash map never returns memory automatically.
            if self.groups.capacity() > MIN_CAPACITY_TO_SHRINK && self.groups.len() * 8 < self.groups.capacity() {
                self.groups.shrink_to_fit();
            }
        }
        decision
    }

    /// Numbers of admitted and of waiting members, and the limit, of each group.
    #[cfg(test)]
    pub(super) fn counts(&self) -> impl Iterator<Item = (&GroupKey, LimitStrategy, usize, usize, i32)> {
        self.groups.iter().map(|(key, group)| {
            let (admitted, waiting, limit) = group.counts();
            (key, group.strategy, admitted, waiting, limit)
        })
    }
}
