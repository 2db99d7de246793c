//! Conversion of the limits and the placement of a run, and of rate limits, to records and back.

use std::sync::Arc;

use crate::engine::{
    persistence::{
        limit_records::{
            DesiredLabelRecord, GroupRecord, LimitsRecord, RateDemandRecord, RateLimitRecord, TaskLimitsRecord,
        },
        row::Damaged,
    },
    state::{
        concurrency::GroupDemand,
        limits::{RunLimits, TaskLimits},
        placement::{Comparator, DesiredLabel},
        rate_limits::{DeclaredLimit, RateDemand, RateLimit, Window},
        time::{ClockReading, Timestamp},
    },
};

pub(super) fn to_record(limits: &RunLimits) -> LimitsRecord {
    let group_record = |group: &GroupDemand| GroupRecord { key: group.key.to_string(), max_runs: group.max_runs };
    let task_record = |task: &TaskLimits| TaskLimitsRecord {
        groups: task.groups.iter().map(group_record).collect(),
        error: task.error.as_deref().map(str::to_owned),
        rates: task.rates.iter().map(rate_to_record).collect(),
    };
    LimitsRecord {
        workflow: limits.workflow.iter().map(group_record).collect(),
        tasks: limits.tasks.iter().map(task_record).collect(),
    }
}

pub(super) fn from_record(record: LimitsRecord) -> Arc<RunLimits> {
    let group_demand = |group: GroupRecord| GroupDemand { key: group.key.into(), max_runs: group.max_runs };
    let task_limits = |task: TaskLimitsRecord| TaskLimits {
        groups: task.groups.into_iter().map(group_demand).collect(),
        error: task.error.map(Arc::from),
        rates: task.rates.into_iter().map(rate_from_record).collect(),
    };
    Arc::new(RunLimits {
        workflow: record.workflow.into_iter().map(group_demand).collect(),
        tasks: record.tasks.into_iter().map(task_limits).collect(),
    })
}

fn rate_to_record(rate: &RateDemand) -> RateDemandRecord {
    RateDemandRecord {
        key: rate.key.to_string(),
        units: rate.units,
        limit: rate.limit.map(|declared| declared.limit),
        window: rate.limit.map_or(0, |declared| declared.window.number()),
        is_dynamic: rate.limit.is_some_and(|declared| declared.is_dynamic),
    }
}

fn rate_from_record(record: RateDemandRecord) -> RateDemand {
    let (window, is_dynamic) = (Window::from_number(record.window).unwrap_or_default(), record.is_dynamic);
    let limit = record.limit.map(|limit| DeclaredLimit { limit, window, is_dynamic });
    RateDemand { key: record.key.into(), units: record.units, limit }
}

pub(super) fn rate_limit_to_record(limit: &RateLimit, now: ClockReading) -> RateLimitRecord {
    RateLimitRecord {
        limit: limit.limit,
        window: limit.window.number(),
        value: limit.value,
        refilled: limit.refilled.0,
        next_refill: now.wall_time_of(limit.next_refill).0,
        paused_until: limit.paused_until.map(|until| now.wall_time_of(until).0),
        is_dynamic: limit.is_dynamic,
    }
}

pub(super) fn rate_limit_from_record(record: &RateLimitRecord, now: ClockReading) -> Result<RateLimit, Damaged> {
    let window =
        Window::from_number(record.window).ok_or_else(|| Damaged(format!("unknown window {}", record.window)))?;
    let remaining = Timestamp(record.next_refill).since(now.wall).min(window.length());
    let declared = DeclaredLimit { limit: record.limit, window, is_dynamic: record.is_dynamic };
    let paused_until = record.paused_until.map(|until| now.plus(Timestamp(until).since(now.wall)));
    let units = (record.value, Timestamp(record.refilled));
    Ok(RateLimit::restored(declared, units, now.plus(remaining), paused_until))
}

const COMPARATORS: [Comparator; 6] = [
    Comparator::Equal,
    Comparator::NotEqual,
    Comparator::Greater,
    Comparator::GreaterOrEqual,
    Comparator::Less,
    Comparator::LessOrEqual,
];

pub(super) fn label_to_record(label: &DesiredLabel) -> DesiredLabelRecord {
    let comparator = COMPARATORS.iter().zip(0..).find(|(known, _)| **known == label.comparator);
    DesiredLabelRecord {
        key: label.key.to_string(),
        text: label.text.as_deref().map(str::to_owned),
        number: label.number,
        comparator: comparator.map_or(0, |(_, number)| number),
        required: label.required,
        weight: label.weight,
    }
}

pub(super) fn label_from_record(record: DesiredLabelRecord) -> Result<DesiredLabel, Damaged> {
    let comparator = usize::try_from(record.comparator).ok().and_then(|number| COMPARATORS.get(number));
    Ok(DesiredLabel {
        key: record.key.into(),
        text: record.text.map(Arc::from),
        number: record.number,
        comparator: *comparator.ok_or_else(|| Damaged(format!("unknown comparator {}", record.comparator)))?,
        required: record.required,
        weight: record.weight,
    })
}
