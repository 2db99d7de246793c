//! Limits of names and options, checked before a task or workflow is registered.
//!
//! An engine refuses the same values, some of them with INTERNAL and without the name of the field. The check before
//! the registration has the same error for typed tasks, aliases and keyed copies. CEL expressions are compiled, and the
//! time zones of crons looked up, by the engine only.

use std::{borrow::Cow, collections::HashSet, fmt, time::Duration};

use super::{Concurrency, ErasedTask, MaxRuns, RateLimit, RateLimitKey, RateLimitValue, TaskOptions, WorkflowOptions};
use crate::hatchet::wire::{CronExpression, check_object, readable_duration};

/// Maximum duration that an engine accepts: 2^63 - 1 nanoseconds, as in Go, rounded down to hours.
const MAX_DURATION: Duration = Duration::from_secs(2_562_047 * 3600);
const MIN_DURATION: Duration = Duration::from_millis(1);
const MAX_BACKOFF: Duration = Duration::from_secs(86_400);
const CEL_RULE: &str = "use a CEL expression whose result is a string";
const NAME_RULE: &str = "use letters, digits, `.`, `-` and `_` only";
/// Limit of 32-bit numbers on the wire.
const NUMBER_RULE: &str = "1 to 2147483647";

/// A name or option that an engine would refuse. The message contains the task or workflow, the field, the value and
/// the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject}: invalid {field} \"{value}\": {rule}")]
pub struct InvalidTask {
    subject: String,
    field: &'static str,
    value: String,
    rule: Cow<'static, str>,
}

impl InvalidTask {
    /// Returns the name of the invalid field, such as `retries` or `backoff factor`.
    pub fn field(&self) -> &'static str {
        self.field
    }
}

/// The task or workflow whose fields are checked.
pub(super) struct Subject(String);

impl Subject {
    pub(super) fn task(name: &str) -> Self {
        Self(format!("task \"{}\"", shorten(name)))
    }

    pub(super) fn workflow(name: &str) -> Self {
        Self(format!("workflow \"{}\"", shorten(name)))
    }

    /// Returns the error for a field of the subject.
    pub(super) fn invalid<T>(
        &self,
        field: &'static str,
        value: &dyn fmt::Display,
        rule: impl Into<Cow<'static, str>>,
    ) -> Result<T, InvalidTask> {
        Err(InvalidTask { subject: self.0.clone(), field, value: shorten(&value.to_string()), rule: rule.into() })
    }

    pub(super) fn check_name(&self, name: &str) -> Result<(), InvalidTask> {
        if is_name(name) { Ok(()) } else { self.invalid("name", &name, NAME_RULE) }
    }

    pub(super) fn check_text(&self, field: &'static str, text: &str, rule: &'static str) -> Result<(), InvalidTask> {
        if text.trim().is_empty() { self.invalid(field, &text, rule) } else { Ok(()) }
    }

    pub(super) fn check_duration(&self, field: &'static str, duration: Duration) -> Result<(), InvalidTask> {
        if (MIN_DURATION..=MAX_DURATION).contains(&duration) {
            Ok(())
        } else {
            self.invalid(field, &readable_duration(duration), "1ms to 2562047h")
        }
    }

    fn check_number(&self, field: &'static str, number: u32) -> Result<(), InvalidTask> {
        if number >= 1 && i32::try_from(number).is_ok() { Ok(()) } else { self.invalid(field, &number, NUMBER_RULE) }
    }

    fn check_json(&self, field: &'static str, json: &Result<String, String>) -> Result<(), InvalidTask> {
        match json {
            Ok(json) if check_object(json).is_ok() => Ok(()),
            Ok(json) => self.invalid(field, json, "use a value whose JSON form is an object without NUL"),
            Err(cause) => self.invalid(field, cause, "the value cannot be written as JSON"),
        }
    }

    fn check_concurrency(&self, limit: &Concurrency) -> Result<(), InvalidTask> {
        self.check_text("concurrency expression", &limit.expression, CEL_RULE)?;
        match &limit.max_runs {
            MaxRuns::Fixed(number) => self.check_number("concurrency max_runs", *number)?,
            MaxRuns::Expression(expression) => {
                let rule = "use a CEL expression whose result is a number";
                self.check_text("concurrency max_runs", expression, rule)?;
            }
        }
        let Some(name) = &limit.shared_name else { return Ok(()) };
        self.check_text("concurrency name", name, "use a text that is not empty")
    }

    fn check_rate_limit(&self, limit: &RateLimit) -> Result<(), InvalidTask> {
        match &limit.key {
            RateLimitKey::Static(key) => self.check_text("rate limit key", key, "use a text that is not empty")?,
            RateLimitKey::Dynamic { expression, limit, window: _ } => {
                self.check_text("rate limit key", expression, CEL_RULE)?;
                self.check_value("rate limit limit", limit)?;
            }
        }
        self.check_value("rate limit units", &limit.units)
    }

    fn check_value(&self, field: &'static str, value: &RateLimitValue) -> Result<(), InvalidTask> {
        match value {
            RateLimitValue::Fixed(number) => self.check_number(field, *number),
            RateLimitValue::Expression(expression) => {
                self.check_text(field, expression, "use a CEL expression whose result is a number")
            }
        }
    }

    pub(super) fn check_task_options(&self, options: &TaskOptions) -> Result<(), InvalidTask> {
        if i32::try_from(options.retries).is_err() {
            return self.invalid("retries", &options.retries, "at most 2147483647");
        }
        if let Some(backoff) = options.backoff {
            if !(1.0..=1000.0).contains(&backoff.factor) {
                return self.invalid("backoff factor", &backoff.factor, "1 to 1000");
            }
            let is_whole = backoff.max.subsec_nanos() == 0;
            if !is_whole || backoff.max.is_zero() || backoff.max > MAX_BACKOFF {
                let max = readable_duration(backoff.max);
                return self.invalid("backoff max", &max, "1s to 86400s in whole seconds");
            }
        }
        self.check_duration("execution timeout", options.execution_timeout)?;
        self.check_duration("schedule timeout", options.schedule_timeout)?;
        options.concurrency.iter().try_for_each(|limit| self.check_concurrency(limit))?;
        for (index, limit) in options.rate_limits.iter().enumerate() {
            self.check_rate_limit(limit)?;
            // A real engine answers INTERNAL.
            if options.rate_limits[..index].iter().any(|earlier| earlier.unique_key() == limit.unique_key()) {
                return self.invalid("rate limit key", &limit.unique_key().1, "use each key once in a task");
            }
        }
        for label in &options.desired_labels {
            self.check_text("desired label", &label.key, "use a key that is not empty")?;
        }
        self.check_number("slots", options.slots)
    }

    pub(super) fn check_workflow_options(&self, options: &WorkflowOptions) -> Result<(), InvalidTask> {
        if let Some(idempotency) = &options.idempotency {
            self.check_text("idempotency expression", &idempotency.expression, CEL_RULE)?;
            self.check_duration("idempotency ttl", idempotency.ttl)?;
        }
        options.concurrency.iter().try_for_each(|limit| self.check_concurrency(limit))?;
        for (index, key) in options.events.iter().enumerate() {
            self.check_text("event", key, "use a key that is not empty")?;
            // A real engine answers INTERNAL.
            if options.events[..index].contains(key) {
                return self.invalid("event", key, "use each key once");
            }
        }
        let mut filters = HashSet::new();
        for filter in &options.default_filters {
            let rule = "use a CEL expression whose result is a boolean";
            self.check_text("default filter expression", &filter.expression, rule)?;
            self.check_text("default filter scope", &filter.scope, "use a text that is not empty")?;
            filter.payload.iter().try_for_each(|json| self.check_json("default filter payload", json))?;
            // A real engine answers INTERNAL.
            if !filters.insert(filter.unique_key()) {
                let rule = "use each expression once with the same scope and payload";
                return self.invalid("default filter expression", &filter.expression, rule);
            }
        }
        for (index, cron) in options.crons.iter().enumerate() {
            if let Err(reason) = CronExpression::parse_declared(cron) {
                return self.invalid("cron", cron, reason);
            }
            // A real engine answers INTERNAL.
            if options.crons[..index].contains(cron) {
                return self.invalid("cron", cron, "use each expression once");
            }
        }
        options.cron_input.iter().try_for_each(|json| self.check_json("cron input", json))
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

impl ErasedTask {
    /// Checks names and options against the limits of an engine, as a worker does before it registers the task.
    ///
    /// # Errors
    ///
    /// [`InvalidTask`] with the first field that an engine would refuse.
    pub fn validate(&self) -> Result<(), InvalidTask> {
        let subject = Subject::task(self.name());
        self.names().try_for_each(|name| subject.check_name(name))?;
        subject.check_task_options(self.options())?;
        subject.check_workflow_options(self.workflow_options())
    }
}

/// Whether an engine accepts this as the name of a workflow, task or worker.
pub(in crate::hatchet) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::hatchet::task::{DefaultFilter, DesiredLabel, IdempotencyMethod, Stub, Task, Window};

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
            (t().on_event("k").on_event("other").on_event("k"), "event"),
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
            (t().concurrency(Concurrency::per("")), "concurrency expression"),
            (t().concurrency(Concurrency::total(0)), "concurrency max_runs"),
            (t().concurrency(Concurrency::per("'k'").max_runs_by(" ")), "concurrency max_runs"),
            (t().concurrency(Concurrency::per("'k'").shared("")), "concurrency name"),
            (t().rate_limit(RateLimit::of("")), "rate limit key"),
            (t().rate_limit(RateLimit::of("k").units(0)), "rate limit units"),
            (t().rate_limit(RateLimit::of("k").units("")), "rate limit units"),
            (t().rate_limit(RateLimit::of("k")).rate_limit(RateLimit::of("k").units(2)), "rate limit key"),
            (
                t().rate_limit(RateLimit::of("input.k").units("input.n")).rate_limit(RateLimit::per(
                    "input.k",
                    1,
                    Window::Day,
                )),
                "rate limit key",
            ),
            (
                t().rate_limit(RateLimit::per("input.k", 1, Window::Day)).rate_limit(RateLimit::per(
                    "input.k",
                    9,
                    Window::Year,
                )),
                "rate limit key",
            ),
            (t().rate_limit(RateLimit::per("", 1, Window::Day)), "rate limit key"),
            (t().rate_limit(RateLimit::per("'k'", 0, Window::Day)), "rate limit limit"),
            (t().desired_label(DesiredLabel::new("", 1)), "desired label"),
            (t().slots(0), "slots"),
            (t().on_event(""), "event"),
            (t().default_filter(DefaultFilter::new("", "s")), "default filter expression"),
            (t().default_filter(DefaultFilter::new("true", "")), "default filter scope"),
            (t().default_filter(DefaultFilter::new("true", "s").payload(&[1])), "default filter payload"),
            (
                t().default_filter(DefaultFilter::new("true", "s"))
                    .default_filter(DefaultFilter::new("true", "s").payload(&Empty::new())),
                "default filter expression",
            ),
            (
                t().default_filter(DefaultFilter::new("true", "s").payload(&json!({ "a": 1, "b": 2 })))
                    .default_filter(DefaultFilter::new("true", "s").payload(&json!({ "b": 2, "a": 1 }))),
                "default filter expression",
            ),
            (t().on_cron(""), "cron"),
            (t().on_cron("* * *"), "cron"),
            (t().on_cron("@daily"), "cron"),
            (t().on_cron("60 * * * *"), "cron"),
            (t().on_cron("0 0 30 2 *"), "cron"),
            (t().on_cron("0 3 * * *").on_cron("0 4 * * *").on_cron("0 3 * * *"), "cron"),
        ] {
            let error = task.erase().validate().unwrap_err();
            assert_eq!(error.field(), field, "{error}");
        }
        let error = Stub::<[u8; 1], Empty>::new("t").blocking_task(|_, _| Ok(Empty::new())).on_cron("0 3 * * *");
        assert_eq!(error.cron_input(&[1]).erase().validate().unwrap_err().field(), "cron input");
    }

    #[test]
    fn values_at_the_limits_are_accepted() {
        let task = named("a.b-C_9")
            .retries(2_147_483_647)
            .backoff(1.0, MAX_BACKOFF)
            .execution_timeout(MAX_DURATION)
            .schedule_timeout(MIN_DURATION)
            .on_cron("* * * * *")
            .on_cron("TZ=Europe/Berlin 0 0 3 * * *")
            .default_filter(DefaultFilter::new("true", "s"))
            .default_filter(DefaultFilter::new("true", "s").payload(&json!({ "a": 1 })))
            .rate_limit(RateLimit::of("input.k"))
            .rate_limit(RateLimit::per("input.k", 1, Window::Day))
            .rate_limit(RateLimit::of("k"))
            .rate_limit(RateLimit::of("k").units("input.n"))
            .cron_input(&Empty::new())
            .slots(2_147_483_647);
        assert_eq!(task.erase().validate(), Ok(()));
        assert_eq!(named("t").backoff(1000.0, Duration::from_secs(1)).erase().validate(), Ok(()));
    }

    #[test]
    fn error_of_a_cron_names_the_value_and_the_rule() {
        let error = named("t").on_cron("61 * * * *").erase().validate().unwrap_err().to_string();
        assert_eq!(
            error,
            "task \"t\": invalid cron \"61 * * * *\": `61` is not a valid minute: the values are 0 to 59"
        );
    }
}
