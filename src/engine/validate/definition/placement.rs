//! Validates sticky strategies and desired labels of workers.

use std::collections::HashMap;

use crate::{
    engine::{
        state::placement::{Comparator, DesiredLabel, Sticky},
        validate::error::Invalid,
    },
    hatchet::wire::{
        excerpt,
        proto::v1::{DesiredWorkerLabels, StickyStrategy, WorkerLabelComparator},
    },
};

/// Weight of a label that declares none, as in a real engine.
const DEFAULT_WEIGHT: i32 = 100;

/// Validates the sticky strategy of a workflow.
pub(super) fn validate_sticky(declared: Option<i32>) -> Result<Option<Sticky>, Invalid> {
    match declared.map(StickyStrategy::try_from) {
        None => Ok(None),
        Some(Ok(StickyStrategy::Soft)) => Ok(Some(Sticky::Soft)),
        Some(Ok(StickyStrategy::Hard)) => Ok(Some(Sticky::Hard)),
        Some(Err(unknown)) => {
            Err(Invalid::definition("Sticky", &format!("on condition 'oneof' [ SOFT HARD ]: got '{}'", unknown.0)))
        }
    }
}

/// Validates desired labels, and sorts them by key. `refuse` makes an error from the field of a label and the reason.
pub(crate) fn validate_desired_labels(
    labels: &HashMap<String, DesiredWorkerLabels>,
    refuse: impl Fn(&str, &str) -> Invalid,
) -> Result<Vec<DesiredLabel>, Invalid> {
    let label = |(key, label): (&String, &DesiredWorkerLabels)| {
        let comparator = label.comparator.unwrap_or_default();
        let comparator = WorkerLabelComparator::try_from(comparator).map_err(|_| {
            refuse(&format!("[{}].Comparator", excerpt(key)), &format!("unknown comparator {comparator}"))
        })?;
        Ok(DesiredLabel {
            key: key.as_str().into(),
            text: label.str_value.as_deref().map(Into::into),
            number: label.int_value,
            comparator: match comparator {
                WorkerLabelComparator::Equal => Comparator::Equal,
                WorkerLabelComparator::NotEqual => Comparator::NotEqual,
                WorkerLabelComparator::GreaterThan => Comparator::Greater,
                WorkerLabelComparator::GreaterThanOrEqual => Comparator::GreaterOrEqual,
                WorkerLabelComparator::LessThan => Comparator::Less,
                WorkerLabelComparator::LessThanOrEqual => Comparator::LessOrEqual,
            },
            required: label.required.unwrap_or_default(),
            weight: label.weight.unwrap_or(DEFAULT_WEIGHT),
        })
    };
    let mut desired = labels.iter().map(label).collect::<Result<Vec<_>, _>>()?;
    desired.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(desired)
}
