//! A model of the concurrency groups: their members, recomputed from all runs and tasks.

use std::collections::BTreeMap;

use super::*;
use crate::engine::state::{
    Phase, Run, Task,
    concurrency::{GroupDemand, GroupKey, LimitStrategy, Scope},
};

/// Numbers of admitted and of waiting members by group.
type Counts = BTreeMap<GroupKey, (usize, usize)>;

/// Checks that each task is in the groups that its phase needs, that the groups have exactly these members, that no
/// group has more admitted members than its limit, and that none waits while there is room.
pub(super) fn check(state: &State) {
    let mut expected = Counts::new();
    for (id, run) in state.runs.by_age() {
        let Some(limits) = &run.limits else { continue };
        let on_failure = run.version.definition.on_failure();
        let is_admitted = run.admitted_groups >= limits.workflow.len();
        let mut open = false;
        for task in run.tasks.iter().map(|task| state.task(*task).unwrap()) {
            let is_in_run_groups = Some(task.spec) != on_failure;
            open |= is_in_run_groups && !task.phase.stage().is_final();
            let groups = &limits.tasks[task.spec].groups;
            check_task(task, groups.len(), !is_in_run_groups || is_admitted);
            let waits = matches!(task.phase, Phase::Unadmitted) && (!is_in_run_groups || is_admitted);
            let scope = |rule| Scope::Task { version: run.version.order, task: task.spec, rule };
            count(&mut expected, groups, task.admitted_groups, waits, scope);
        }
        assert!(open || !run.is_in_groups, "{id} has finished and is in groups");
        if run.is_in_groups {
            let scope = |rule| Scope::Workflow { version: run.version.order, rule };
            count(&mut expected, &limits.workflow, run.admitted_groups, !is_admitted, scope);
        }
        check_run(run, is_admitted, state);
    }
    let mut actual = Counts::new();
    for (key, strategy, admitted, waiting, limit) in state.concurrency.counts() {
        actual.insert(key.clone(), (admitted, waiting));
        let limit = usize::try_from(limit).unwrap();
        assert!(admitted <= limit, "{key:?} has {admitted} members and a limit of {limit}");
        assert!(waiting == 0 || admitted == limit, "{key:?} has room and {waiting} members that wait");
        let may_wait = match strategy {
            LimitStrategy::GroupRoundRobin => usize::MAX,
            LimitStrategy::CancelInProgress | LimitStrategy::CancelNewest => 0,
            LimitStrategy::CancelQueuedExceptNewest | LimitStrategy::CancelQueuedExceptOldest => 1,
        };
        assert!(waiting <= may_wait, "{strategy:?}: {waiting} members wait");
    }
    assert_eq!(actual, expected);
}

fn check_task(task: &Task, groups: usize, is_run_admitted: bool) {
    match task.phase {
        Phase::Queued(_) | Phase::Running(_) => {
            assert!(is_run_admitted && task.admitted_groups == groups, "queued without admission to its groups");
        }
        Phase::Unadmitted => {
            assert!(!is_run_admitted || task.admitted_groups < groups, "waits for admission without a reason")
        }
        Phase::Waiting(_) | Phase::BackOff | Phase::Completed(_) | Phase::Failed(_) | Phase::Cancelled(_) => {
            assert_eq!(task.admitted_groups, 0, "in groups that it does not need");
        }
    }
}

fn check_run(run: &Run, is_admitted: bool, state: &State) {
    let is_unadmitted = |task: &RunId| matches!(state.task(*task).unwrap().phase, Phase::Unadmitted);
    assert!(is_admitted || run.is_in_groups || !run.tasks.iter().any(is_unadmitted), "waits for no group");
}

fn count(counts: &mut Counts, groups: &[GroupDemand], admitted: usize, waits: bool, scope: impl Fn(usize) -> Scope) {
    for (index, group) in groups.iter().enumerate().take(admitted + usize::from(waits)) {
        let counts = counts.entry(GroupKey { scope: scope(index), key: group.key.clone() }).or_default();
        if index < admitted {
            counts.0 += 1;
        } else {
            counts.1 += 1;
        }
    }
}
