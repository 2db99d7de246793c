//! Limits of names and options, checked before a task is registered.
//!
//! An engine refuses the same values, some of them with INTERNAL and without the name of the field. The check before
//! the registration has the same error for typed tasks, aliases and keyed copies.

use std::{collections::BTreeSet, fmt, time::Duration};

use super::ErasedTask;
use crate::hatchet::wire::readable_duration;

/// Maximum duration that an engine accepts: that of Go, 2^63 - 1 nanoseconds, rounded down to hours.
const MAX_DURATION: Duration = Duration::from_secs(2_562_047 * 3600);
const MIN_DURATION: Duration = Duration::from_millis(1);
const MAX_BACKOFF: Duration = Duration::from_secs(86_400);

/// A name or option that an engine would refuse. The message contains the task, the field, the value and the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("task \"{task}\": invalid {field} \"{value}\": {rule}")]
pub struct InvalidTask {
    task: String,
    field: &'static str,
    value: String,
    rule: &'static str,
}

impl InvalidTask {
    /// Returns the name of the invalid field, such as `retries` or `backoff factor`.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

impl ErasedTask {
    /// Checks names and options against the limits of an engine, as a worker does before it registers the task.
    ///
    /// # Errors
    ///
    /// [`InvalidTask`] with the first field that an engine would refuse.
    pub fn validate(&self) -> Result<(), InvalidTask> {
        validate(self)
    }
}

fn validate(task: &ErasedTask) -> Result<(), InvalidTask> {
    let invalid = |field, value: &dyn fmt::Display, rule| {
        let shorten = |text: &str| text.chars().take(200).collect();
        Err(InvalidTask { task: shorten(task.name()), field, value: shorten(&value.to_string()), rule })
    };
    for name in task.names() {
        if !is_name(name) {
            return invalid("name", &name, "use letters, digits, `.`, `-` and `_` only");
        }
    }
    let options = task.options();
    if i32::try_from(options.retries).is_err() {
        return invalid("retries", &options.retries, "at most 2147483647");
    }
    if let Some(backoff) = options.backoff {
        if !(1.0..=1000.0).contains(&backoff.factor) {
            return invalid("backoff factor", &backoff.factor, "1 to 1000");
        }
        let is_whole = backoff.max.subsec_nanos() == 0;
        if !is_whole || backoff.max.is_zero() || backoff.max > MAX_BACKOFF {
            return invalid("backoff max", &readable_duration(backoff.max), "1s to 86400s in whole seconds");
        }
    }
    for (field, timeout) in
        [("execution timeout", options.execution_timeout), ("schedule timeout", options.schedule_timeout)]
    {
        if !(MIN_DURATION..=MAX_DURATION).contains(&timeout) {
            return invalid(field, &readable_duration(timeout), "1ms to 2562047h");
        }
    }
    if let Some(idempotency) = &options.idempotency {
        if idempotency.expression.trim().is_empty() {
            return invalid(
                "idempotency expression",
                &idempotency.expression,
                "use a CEL expression whose result is a string",
            );
        }
        if !(MIN_DURATION..=MAX_DURATION).contains(&idempotency.ttl) {
            return invalid("idempotency ttl", &readable_duration(idempotency.ttl), "1ms to 2562047h");
        }
    }
    Ok(())
}

/// Checks each task of a worker, and that no two tasks share a name. Engines ignore the case of names.
pub(in crate::hatchet) fn validate_all(tasks: &[ErasedTask]) -> Result<(), InvalidTask> {
    let mut seen = BTreeSet::new();
    for task in tasks {
        task.validate()?;
        for name in task.names() {
            if !seen.insert(name.to_lowercase()) {
                return Err(InvalidTask {
                    task: task.name().to_owned(),
                    field: "name",
                    value: name.to_owned(),
                    rule: "another task has this name (case does not count): rename one",
                });
            }
        }
    }
    Ok(())
}

/// Whether an engine accepts this as the name of a workflow, task or worker.
pub(in crate::hatchet) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hatchet::task::{IdempotencyMethod, Stub, Task};

    type Empty = serde_json::Map<String, serde_json::Value>;

    fn named(name: &str) -> Task<Empty, Empty> {
        Stub::from_name(name).blocking_task(|input, _| Ok(input))
    }

    #[test]
    fn invalid_value_is_refused_with_its_field() {
        let t = || named("t");
        let second = Duration::from_secs(1);
        for (task, field) in [
            (named(""), "name"),
            (named("a b"), "name"),
            (named("a:b"), "name"),
            (named("ä"), "name"),
            (t().alias(""), "name"),
            (t().retries(u32::MAX), "retries"),
            (t().backoff(0.5, second), "backoff factor"),
            (t().backoff(1000.5, second), "backoff factor"),
            (t().backoff(f32::NAN, second), "backoff factor"),
            (t().backoff(2.0, Duration::ZERO), "backoff max"),
            (t().backoff(2.0, Duration::from_millis(1500)), "backoff max"),
            (t().backoff(2.0, Duration::from_secs(86_401)), "backoff max"),
            (t().execution_timeout(Duration::ZERO), "execution timeout"),
            (t().execution_timeout(Duration::MAX), "execution timeout"),
            (t().schedule_timeout(Duration::from_nanos(1)), "schedule timeout"),
            (t().idempotency(" ", second, IdempotencyMethod::Ttl), "idempotency expression"),
            (t().idempotency("'k'", Duration::ZERO, IdempotencyMethod::Ttl), "idempotency ttl"),
        ] {
            let error = task.erase().validate().unwrap_err();
            assert_eq!(error.field(), field, "{error}");
        }
    }

    #[test]
    fn values_at_the_limits_are_accepted() {
        let task = named("a.b-C_9")
            .retries(2_147_483_647)
            .backoff(1.0, MAX_BACKOFF)
            .execution_timeout(MAX_DURATION)
            .schedule_timeout(MIN_DURATION);
        assert_eq!(task.erase().validate(), Ok(()));
        assert_eq!(named("t").backoff(1000.0, Duration::from_secs(1)).erase().validate(), Ok(()));
    }

    #[test]
    fn duplicate_name_is_refused_regardless_of_case() {
        let duplicate = validate_all(&[named("a").erase(), named("b").alias("A").erase()]).unwrap_err();
        assert_eq!(
            duplicate.to_string(),
            "task \"b\": invalid name \"A\": another task has this name (case does not count): rename one"
        );
    }
}
