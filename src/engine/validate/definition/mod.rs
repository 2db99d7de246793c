//! Validates workflow definitions.
//!
//! The error of an invalid definition names the field. A definition with a feature that this engine does not have is
//! refused, so that no workflow runs without a feature that it relies on.

mod concurrency;
mod conditions;
mod config;
mod parents;
mod placement;
mod rate_limits;
mod task;
mod unsupported;

use std::{collections::HashSet, sync::Arc, time::Duration};

use self::{conditions::validate_conditions, parents::resolve_parents, task::validate_task};
pub(crate) use self::{config::workflow_config, placement::validate_desired_labels, rate_limits::parse_window};
use super::{
    error::Invalid,
    event_filter::{FilterFields, validate_rule},
    field::{is_name, not_a_name},
    json,
};
#[cfg(feature = "durable")]
use crate::hatchet::wire::Declaration;
use crate::{
    engine::{
        cron::CronRule,
        options::Timings,
        state::{
            FilterRule,
            idempotency::{Expression, Lease},
            workflows::{Definition, Idempotency, TaskDefinition},
        },
    },
    hatchet::wire::{excerpt, proto::v1},
};

/// Validates a new definition. Tasks that declare no timeout get the timeouts of `timings`.
pub(crate) fn validate_definition(
    mut content: v1::CreateWorkflowVersionRequest,
    timings: &Timings,
) -> Result<Definition, Invalid> {
    if !is_name(&content.name) {
        return Err(Invalid::definition("Name", &not_a_name(&content.name)));
    }
    unsupported::check(&content)?;
    conditions::normalize(&mut content);
    if content.tasks.is_empty() {
        return Err(Invalid::definition("Tasks", "a workflow needs at least one task"));
    }
    let default_priority = content.default_priority.unwrap_or(1);
    if !(1..=3).contains(&default_priority) {
        let reason = format!("{default_priority} is not between 1 and 3");
        return Err(Invalid::definition("DefaultPriority", &reason));
    }
    if let Some(schema) = content.input_json_schema.as_ref().filter(|schema| !schema.is_empty()) {
        serde_json::from_slice::<serde::de::IgnoredAny>(schema)
            .map_err(|e| Invalid::definition("InputJsonSchema", &format!("not JSON: {e}")))?;
    }
    let (mut tasks, mut concurrency) =
        (validate_tasks(&content, timings)?, concurrency::validate_workflow_rules(&content)?);
    if let [only] = &mut tasks[..] {
        // As in a real engine, the rules of a workflow of one task are rules of the task, before its own.
        concurrency.append(&mut only.concurrency);
        std::mem::swap(&mut concurrency, &mut only.concurrency);
    }
    Ok(Definition {
        name: content.name.as_str().into(),
        tasks,
        sticky: placement::validate_sticky(content.sticky)?,
        concurrency,
        default_priority,
        events: validate_events(&content)?,
        filters: validate_filters(&content.default_filters)?,
        crons: validate_crons(&content)?,
        cron_input: json::validate_input(content.cron_input.as_deref().unwrap_or_default(), usize::MAX)
            .map_err(|_| Invalid::definition("CronInput", "not JSON"))?,
        idempotency: content.idempotency.as_ref().map(validate_idempotency).transpose()?,
        content: content.into(),
    })
}

/// Returns the error of a definition with a rule whose rate limit does not exist.
pub(crate) fn missing_rate_limit(task: usize, rule: usize, key: &str) -> Invalid {
    let reason = format!("there is no rate limit `{}`: create it with PutRateLimit first", excerpt(key));
    Invalid::definition(&format!("Tasks[{task}].RateLimits[{rule}].Key"), &reason)
}

/// Validates a definition that an engine accepted earlier and stored. It may contain fields that an earlier version
/// accepted and this version refuses; the workflow must remain usable. Its crons are ignored, since they are stored
/// separately, and empty schedule timeouts mean the default.
#[cfg(feature = "durable")]
pub(crate) fn validate_stored_definition(content: Declaration, timings: &Timings) -> Result<Definition, Invalid> {
    let mut valid = content.message().clone();
    valid.cron_triggers.clear();
    for task in valid.tasks.iter_mut().chain(&mut valid.on_failure_task) {
        task.schedule_timeout = task.schedule_timeout.take().filter(|timeout| !timeout.is_empty());
        for removed in rate_limits::remove_duplicates(&mut task.rate_limits) {
            let (workflow, task, key) = (excerpt(&valid.name), excerpt(&task.readable_id), excerpt(&removed.key));
            tracing::warn!(
                "task `{task}` of the stored workflow `{workflow}` has several rules for the rate limit `{key}`: only \
                 the first applies"
            );
        }
    }
    Ok(Definition { content, ..validate_definition(valid, timings)? })
}

/// Validates all tasks, and puts the on-failure task last.
fn validate_tasks(
    content: &v1::CreateWorkflowVersionRequest,
    timings: &Timings,
) -> Result<Vec<TaskDefinition>, Invalid> {
    let mut tasks = Vec::with_capacity(content.tasks.len() + 1);
    let parents = resolve_parents(&content.tasks)?;
    for (index, (declared, parents)) in content.tasks.iter().zip(parents).enumerate() {
        let path = format!("Tasks[{index}]");
        let named = parents.iter().filter_map(|index| Some((content.tasks.get(*index)?.readable_id.as_str(), *index)));
        let conditions = validate_conditions(&path, declared.conditions.as_ref(), &named.collect::<Vec<_>>())?;
        tasks.push(TaskDefinition { parents, conditions, ..validate_task(&path, declared, timings)? });
    }
    if let Some(last) = &content.on_failure_task {
        if content.tasks.iter().any(|task| task.readable_id == last.readable_id) {
            return Err(parents::duplicate_name(tasks.len(), &last.readable_id));
        }
        if !last.parents.is_empty() {
            let reason = "an on-failure task cannot have parents: it runs after all other tasks";
            return Err(Invalid::definition("OnFailureTask.Parents", reason));
        }
        if validate_conditions("OnFailureTask", last.conditions.as_ref(), &[])?.is_some() {
            let reason = "an on-failure task cannot have conditions: it runs after all other tasks";
            return Err(Invalid::definition("OnFailureTask.TriggerConditions", reason));
        }
        tasks.push(TaskDefinition { on_failure: true, ..validate_task("OnFailureTask", last, timings)? });
    }
    Ok(tasks)
}

fn validate_events(content: &v1::CreateWorkflowVersionRequest) -> Result<Vec<Arc<str>>, Invalid> {
    if content.event_triggers.iter().any(String::is_empty) {
        return Err(Invalid::definition("EventTriggers", "a key is empty"));
    }
    Ok(content.event_triggers.iter().map(|key| key.as_str().into()).collect())
}

/// Validates the filters of events. Each scope may occur once with the same expression and payload.
fn validate_filters(declared: &[v1::DefaultFilter]) -> Result<Vec<FilterRule>, Invalid> {
    let mut filters = Vec::with_capacity(declared.len());
    let mut known = HashSet::with_capacity(declared.len());
    for (index, filter) in declared.iter().enumerate() {
        let invalid = |(field, reason): (&str, String)| {
            Invalid::definition(&format!("DefaultFilters[{index}].{}", capitalized(field)), &reason)
        };
        let payload = match &filter.payload {
            Some(bytes) => {
                std::str::from_utf8(bytes).map_err(|_| invalid(("payload", "it is not UTF-8".to_owned())))?
            }
            None => "{}",
        };
        let fields = FilterFields { scope: &filter.scope, expression: &filter.expression, payload: Some(payload) };
        let rule = validate_rule(fields).map_err(invalid)?;
        if !known.insert(rule.unique_key()) {
            return Err(invalid(("expression", "another filter has this scope, expression and payload".to_owned())));
        }
        filters.push(rule);
    }
    Ok(filters)
}

fn capitalized(field: &str) -> String {
    let (first, rest) = field.split_at(field.chars().next().map_or(0, char::len_utf8));
    first.to_uppercase() + rest
}

/// Validates the cron expressions, and removes duplicates.
fn validate_crons(content: &v1::CreateWorkflowVersionRequest) -> Result<Vec<CronRule>, Invalid> {
    let rule = |(index, text): (usize, &String)| {
        CronRule::parse_declared(text).map_err(|e| Invalid::definition(&format!("CronTriggers[{index}]"), &e))
    };
    let mut rules = content.cron_triggers.iter().enumerate().map(rule).collect::<Result<Vec<_>, _>>()?;
    let mut known = HashSet::new();
    rules.retain(|rule| known.insert(rule.text().to_owned()));
    Ok(rules)
}

fn validate_idempotency(config: &v1::IdempotencyConfig) -> Result<Idempotency, Invalid> {
    let expression =
        Expression::compile(&config.expression).map_err(|e| Invalid::definition("Idempotency.Expression", &e))?;
    let ttl = match u64::try_from(config.ttl_ms) {
        Ok(ms @ 1..) => Duration::from_millis(ms),
        _ => return Err(Invalid::definition("Idempotency.TtlMs", &format!("{} is not at least 1", config.ttl_ms))),
    };
    let until_end = match config.method.map(v1::IdempotencyMethod::try_from) {
        None | Some(Ok(v1::IdempotencyMethod::Ttl)) => false,
        Some(Ok(v1::IdempotencyMethod::Status)) => true,
        Some(Err(unknown)) => {
            return Err(Invalid::definition("Idempotency.Method", &format!("{unknown}: use TTL or STATUS")));
        }
    };
    Ok(Idempotency { expression, lease: Lease { ttl, until_end } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal() -> v1::CreateWorkflowVersionRequest {
        let task = v1::CreateTaskOpts { readable_id: "t".into(), action: "W:T".into(), ..Default::default() };
        v1::CreateWorkflowVersionRequest { name: "W".into(), tasks: vec![task], ..Default::default() }
    }

    fn with(change: impl FnOnce(&mut v1::CreateWorkflowVersionRequest)) -> Result<Definition, String> {
        let mut content = minimal();
        change(&mut content);
        validate_definition(content, &Timings::default()).map_err(Invalid::into_message)
    }

    #[test]
    fn minimal_definition_has_the_engine_defaults() {
        let definition = with(|_| ()).unwrap();
        let task = &definition.tasks[0];
        assert_eq!((&*task.action, task.retries, definition.default_priority), ("w:t", 0, 1));
        assert_eq!(task.timeout, Duration::from_secs(300));
        assert_eq!(*task.requirements, [("default".into(), 1)]);
    }

    #[test]
    fn duplicate_cron_counts_once() {
        let definition = with(|c| c.cron_triggers = ["0 0 1 1 *", "0 0 2 1 *", "0 0 1 1 *"].map(String::from).into());
        let crons: Vec<_> = definition.unwrap().crons.iter().map(|rule| rule.text().to_owned()).collect();
        assert_eq!(crons, ["0 0 1 1 *", "0 0 2 1 *"]);
    }

    #[cfg(feature = "durable")]
    #[test]
    fn stored_definition_may_contain_fields_refused_today() {
        let mut content = minimal();
        content.cron_triggers = vec!["0 0 L * *".into()];
        content.tasks[0].schedule_timeout = Some(String::new());
        content.tasks[0].rate_limits = vec![v1::CreateTaskRateLimit { key: "k".into(), ..Default::default() }; 2];
        assert!(validate_definition(content.clone(), &Timings::default()).is_err());
        let stored = validate_stored_definition(content.clone().into(), &Timings::default()).unwrap();
        assert_eq!((stored.content, stored.crons.len()), (content.into(), 0));
        assert_eq!(stored.tasks[0].schedule_timeout, Timings::default().schedule_timeout);
        assert_eq!(stored.tasks[0].rate_limits.len(), 1);
    }

    #[test]
    fn error_names_the_invalid_field() {
        type Change = fn(&mut v1::CreateWorkflowVersionRequest);
        let invalid: [(&str, Change); 25] = [
            ("Opts.Name", |c| c.name = "a b".into()),
            ("Opts.Tasks'", |c| c.tasks.clear()),
            ("ReadableId", |c| c.tasks[0].readable_id.clear()),
            ("Action", |c| c.tasks[0].action = "x".into()),
            ("Timeout", |c| c.tasks[0].timeout = "60".into()),
            ("ScheduleTimeout", |c| c.tasks[0].schedule_timeout = Some("1d".into())),
            ("ScheduleTimeout", |c| c.tasks[0].schedule_timeout = Some(String::new())),
            ("Retries", |c| c.tasks[0].retries = -1),
            ("BackoffFactor", |c| c.tasks[0].backoff_factor = Some(0.5)),
            ("BackoffMaxSeconds", |c| {
                c.tasks[0].backoff_factor = Some(2.0);
                c.tasks[0].backoff_max_seconds = Some(0);
            }),
            ("SlotRequests", |c| c.tasks[0].slot_requests = [("cpu".into(), 0)].into()),
            ("RateLimits[1].Key", |c| {
                let rule = |key: &str| v1::CreateTaskRateLimit { key: key.into(), ..Default::default() };
                c.tasks[0].rate_limits = vec![rule("k"), rule("k")];
            }),
            ("DefaultPriority", |c| c.default_priority = Some(4)),
            ("InputJsonSchema", |c| c.input_json_schema = Some(b"{".to_vec())),
            ("Idempotency", |c| {
                c.idempotency = Some(v1::IdempotencyConfig { expression: "input.a".into(), ..Default::default() });
            }),
            ("Tasks[1].Timeout", |c| {
                c.tasks.push(v1::CreateTaskOpts { readable_id: "u".into(), ..c.tasks[0].clone() });
                c.tasks[1].timeout = "60".into();
            }),
            ("OnFailureTask.Action", |c| {
                c.on_failure_task = Some(v1::CreateTaskOpts { readable_id: "f".into(), ..Default::default() });
            }),
            ("Tasks[1].ReadableId", |c| c.on_failure_task = Some(c.tasks[0].clone())),
            ("CronTriggers[0]", |c| c.cron_triggers.push("@every 5m".into())),
            ("CronTriggers[0]", |c| c.cron_triggers.push("0 0 30 2 *".into())),
            ("CronTriggers[1]", |c| c.cron_triggers = vec!["0 0 1 1 *".into(), "0 0 L * *".into()]),
            ("CronInput", |c| c.cron_input = Some("{".into())),
            ("DefaultFilters[0].Scope", |c| c.default_filters.push(Default::default())),
            ("DefaultFilters[1].Expression", |c| {
                let filter = v1::DefaultFilter { scope: "s".into(), expression: "true".into(), payload: None };
                c.default_filters = vec![filter.clone(), filter];
            }),
            ("EventTriggers", |c| c.event_triggers.push(String::new())),
        ];
        for (field, change) in invalid {
            let error = with(change).unwrap_err();
            assert!(error.contains(field) && !error.contains('\n'), "{field}: {error}");
        }
    }

    #[test]
    fn filters_are_duplicates_if_their_payloads_are_equal_objects() {
        let filter = |payload: &str| v1::DefaultFilter {
            scope: "s".into(),
            expression: "true".into(),
            payload: Some(payload.as_bytes().to_vec()),
        };
        let second =
            |payload: &str| with(|c| c.default_filters = vec![filter(r#"{"a":{"x":1,"y":2},"b":3}"#), filter(payload)]);
        assert!(second(r#"{ "b": 3, "a": {"y": 2, "x": 1} }"#).unwrap_err().contains("DefaultFilters[1].Expression"));
        let definition = second(r#"{"b": 3, "a": {"y": 1, "x": 2}}"#).unwrap();
        assert_eq!(&*definition.filters[1].payload, r#"{"b": 3, "a": {"y": 1, "x": 2}}"#, "the text is unchanged");
    }

    #[test]
    fn unsupported_features_are_refused_by_name() {
        type Change = fn(&mut v1::CreateWorkflowVersionRequest);
        let unsupported: [(&str, Change); 3] = [
            ("durable", |c| c.on_failure_task = Some(v1::CreateTaskOpts { is_durable: true, ..c.tasks[0].clone() })),
            ("durable", |c| c.tasks[0].is_durable = true),
            ("batch", |c| c.tasks[0].batch = Some(Default::default())),
        ];
        for (feature, change) in unsupported {
            let error = with(change).unwrap_err();
            assert!(error.contains(feature) && error.contains("real Hatchet"), "{feature}: {error}");
        }
        assert!(with(|c| c.tasks[0].conditions = Some(Default::default())).is_ok(), "SDKs send empty conditions");
    }
}
