//! Conversion of the limits of a run to records and back.

use std::sync::Arc;

use crate::engine::{
    persistence::records::{GroupRecord, LimitsRecord, TaskLimitsRecord},
    state::{
        concurrency::GroupDemand,
        limits::{RunLimits, TaskLimits},
    },
};

pub(super) fn to_record(limits: &RunLimits) -> LimitsRecord {
    let group = |group: &GroupDemand| GroupRecord { key: group.key.to_string(), max_runs: group.max_runs };
    let task = |task: &TaskLimits| TaskLimitsRecord {
        groups: task.groups.iter().map(group).collect(),
        error: task.error.as_deref().map(str::to_owned),
    };
    LimitsRecord {
        workflow: limits.workflow.iter().map(group).collect(),
        tasks: limits.tasks.iter().map(task).collect(),
    }
}

pub(super) fn from_record(record: LimitsRecord) -> Arc<RunLimits> {
    let group = |group: GroupRecord| GroupDemand { key: group.key.into(), max_runs: group.max_runs };
    let task = |task: TaskLimitsRecord| TaskLimits {
        groups: task.groups.into_iter().map(group).collect(),
        error: task.error.map(Arc::from),
    };
    Arc::new(RunLimits {
        workflow: record.workflow.into_iter().map(group).collect(),
        tasks: record.tasks.into_iter().map(task).collect(),
    })
}
