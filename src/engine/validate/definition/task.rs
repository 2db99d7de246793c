//! Validates single tasks of a definition.

use std::time::Duration;

use crate::{
    engine::{
        options::Timings,
        state::{attempt::BackOff, slots::SlotRequirements, workflows::TaskDefinition},
        validate::{
            definition::{
                concurrency::{Owner, validate_rules},
                placement::validate_desired_labels,
                rate_limits,
            },
            error::Invalid,
            field::{is_name, not_a_name},
        },
    },
    hatchet::wire::{ActionId, SLOT_TYPE, excerpt, format_duration, parse_duration, proto::v1},
};

/// Maximum backoff, and the default of a task that declares a factor without a maximum: one day in seconds, as in a
/// real engine.
pub(super) const MAX_BACKOFF_SECONDS: i32 = 86_400;

/// Validates a task without its parents. `path` names its position in the definition, for errors.
pub(super) fn validate_task(
    path: &str,
    task: &v1::CreateTaskOpts,
    timings: &Timings,
) -> Result<TaskDefinition, Invalid> {
    if !is_name(&task.readable_id) {
        return Err(Invalid::definition(&format!("{path}.ReadableId"), &not_a_name(&task.readable_id)));
    }
    let action: ActionId =
        task.action.parse().map_err(|e| Invalid::definition(&format!("{path}.Action"), &format!("{e}")))?;
    let duration = |field: &str, text: Option<&str>, default: Duration| match text {
        None => Ok((default, format_duration(default))),
        Some(text) => parse_duration(text)
            .map(|parsed| (parsed, text.to_owned()))
            .map_err(|e| Invalid::definition(&format!("{path}.{field}"), &e.to_string())),
    };
    let retries = u32::try_from(task.retries)
        .map_err(|_| Invalid::definition(&format!("{path}.Retries"), &format!("{} is negative", task.retries)))?;
    let timeout = Some(task.timeout.as_str()).filter(|text| !text.is_empty());
    let (timeout, timeout_text) = duration("Timeout", timeout, timings.execution_timeout)?;
    Ok(TaskDefinition {
        name: task.readable_id.as_str().into(),
        action: action.as_str().into(),
        requirements: validate_slot_requests(path, task)?,
        timeout,
        timeout_text,
        schedule_timeout: duration("ScheduleTimeout", task.schedule_timeout.as_deref(), timings.schedule_timeout)?.0,
        retries,
        backoff: validate_backoff(path, task)?,
        concurrency: validate_rules(task.concurrency.iter(), Owner::Task { path, name: &task.readable_id })?,
        rate_limits: rate_limits::validate_rules(path, &task.rate_limits)?,
        labels: validate_desired_labels(&task.worker_labels, |field, reason| {
            Invalid::definition(&format!("{path}.DesiredWorkerLabels{field}"), reason)
        })?,
        parents: Vec::new(),
        on_failure: false,
        conditions: None,
    })
}

/// Returns the requested units by slot type, sorted; one unit of the default type if the task requests none.
fn validate_slot_requests(path: &str, task: &v1::CreateTaskOpts) -> Result<SlotRequirements, Invalid> {
    if task.slot_requests.is_empty() {
        return Ok([(SLOT_TYPE.into(), 1)].into());
    }
    let request = |(kind, units): (&String, &i32)| match units {
        1.. => Ok((kind.as_str().into(), i64::from(*units))),
        _ => {
            let reason = format!("{units} units of {}: at least 1 is needed", excerpt(kind));
            Err(Invalid::definition(&format!("{path}.SlotRequests"), &reason))
        }
    };
    let mut requirements = task.slot_requests.iter().map(request).collect::<Result<Vec<_>, _>>()?;
    requirements.sort();
    Ok(requirements.into())
}

fn validate_backoff(path: &str, task: &v1::CreateTaskOpts) -> Result<Option<BackOff>, Invalid> {
    let Some(factor) = task.backoff_factor else { return Ok(None) };
    if !(1.0..=1000.0).contains(&factor) {
        let reason = format!("{factor} is not between 1 and 1000");
        return Err(Invalid::definition(&format!("{path}.RetryBackoffFactor"), &reason));
    }
    let max = match task.backoff_max_seconds.unwrap_or(MAX_BACKOFF_SECONDS) {
        seconds @ 1..=MAX_BACKOFF_SECONDS => Duration::from_secs(u64::from(seconds.unsigned_abs())),
        other => {
            let reason = format!("{other} is not between 1 and {MAX_BACKOFF_SECONDS}");
            return Err(Invalid::definition(&format!("{path}.RetryBackoffMaxSeconds"), &reason));
        }
    };
    Ok(Some(BackOff { factor: f64::from(factor), max }))
}
