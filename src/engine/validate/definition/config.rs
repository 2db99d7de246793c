//! Converts declarations to the configuration that a real engine returns.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use uuid::Uuid;

use super::task::MAX_BACKOFF_SECONDS;
use crate::hatchet::wire::{
    Declaration,
    proto::v1::{
        BaseMatchCondition, Concurrency, ConcurrencyLimitStrategy, CreateTaskOpts, CreateTaskRateLimit,
        DesiredWorkerLabels, IdempotencyMethod, RateLimitDuration, StickyStrategy, TaskConditions,
        WorkerLabelComparator,
    },
};

/// Builds the `workflowConfig` of a declaration.
pub(crate) fn workflow_config(declaration: &Declaration) -> Value {
    let declared = declaration.message();
    let sticky = declared.sticky.and_then(|sticky| StickyStrategy::try_from(sticky).ok());
    let mut groups = Groups::default();
    let mut config = json!({
        "Name": declared.name,
        "description": declared.description,
        "EventTriggers": some_if_any(&declared.event_triggers),
        "CronTriggers": some_if_any(&declared.cron_triggers),
        "CronInput": declared.cron_input.as_ref().map(|input| STANDARD.encode(input)),
        "Tasks": declared.tasks.iter().map(|declared_task| task(declared_task, &mut groups)).collect::<Vec<_>>(),
        "Sticky": sticky.map(|sticky| sticky.as_str_name()),
        "DefaultPriority": declared.default_priority,
    });
    let mut rules: Vec<Value> = declared.concurrency.iter().chain(&declared.concurrency_arr).map(rule).collect();
    if !rules.is_empty() {
        if declared.tasks.len() == 1 && declared.on_failure_task.is_none() {
            rules.extend(declared.tasks[0].concurrency.iter().map(rule));
            config["Tasks"][0]["concurrency"] = rules.into();
        } else {
            config["concurrency"] = rules.into();
        }
    }
    if let Some(on_failure) = &declared.on_failure_task {
        config["onFailureJob"] = task(on_failure, &mut groups);
    }
    if let Some(schema) = declared.input_json_schema.as_ref().filter(|schema| !schema.is_empty()) {
        config["inputJsonSchema"] = STANDARD.encode(schema).into();
    }
    if let Some(rule) = &declared.idempotency {
        let method = rule.method.and_then(|method| IdempotencyMethod::try_from(method).ok()).unwrap_or_default();
        config["idempotency"] =
            json!({ "expression": rule.expression, "ttlMs": rule.ttl_ms, "method": method.as_str_name() });
    }
    config
}

fn task(declared: &CreateTaskOpts, groups: &mut Groups) -> Value {
    let max_seconds = declared.backoff_factor.map(|_| declared.backoff_max_seconds.unwrap_or(MAX_BACKOFF_SECONDS));
    let mut task = json!({
        "ReadableId": declared.readable_id,
        "Action": declared.action.to_lowercase(),
        "Timeout": Some(&declared.timeout).filter(|timeout| !timeout.is_empty()),
        "ScheduleTimeout": declared.schedule_timeout,
        "Parents": declared.parents,
        "Retries": declared.retries,
        "RateLimits": declared.rate_limits.iter().map(rate_limit).collect::<Vec<_>>(),
        "DesiredWorkerLabels": labels(&declared.worker_labels),
        "RetryBackoffFactor": declared.backoff_factor,
        "RetryBackoffMaxSeconds": max_seconds,
        "TriggerConditions": declared.conditions.as_ref().map(|set| conditions(set, groups)).unwrap_or_default(),
    });
    if !declared.concurrency.is_empty() {
        task["concurrency"] = declared.concurrency.iter().map(rule).collect();
    }
    if !declared.slot_requests.is_empty() {
        task["slotRequests"] = json!(declared.slot_requests);
    }
    task
}

/// The groups of conditions of a workflow, numbered in their order. A condition without a group is one of its own.
#[derive(Default)]
struct Groups {
    ids: HashMap<String, usize>,
    count: usize,
}

impl Groups {
    fn index(&mut self, base: &BaseMatchCondition) -> usize {
        let new = self.count;
        let has_none = base.or_group_id.is_empty() || base.or_group_id == Uuid::nil().to_string();
        let index = if has_none { new } else { *self.ids.entry(base.or_group_id.clone()).or_insert(new) };
        self.count += usize::from(index == new);
        index
    }
}

fn conditions(declared: &TaskConditions, groups: &mut Groups) -> Vec<Value> {
    let mut condition = |kind: &str, base: &Option<BaseMatchCondition>| {
        let base = base.clone().unwrap_or_default();
        json!({
            "MatchConditionKind": kind,
            "Action": base.action().as_str_name(),
            "Expression": base.expression,
            "ReadableDataKey": base.readable_data_key,
            "OrGroupIdIndex": groups.index(&base),
            "EventKey": null,
            "SleepDuration": null,
            "ParentReadableId": null,
        })
    };
    let mut all = Vec::new();
    for event in &declared.user_event_conditions {
        let mut shown = condition("USER_EVENT", &event.base);
        shown["EventKey"] = event.user_event_key.as_str().into();
        all.push(shown);
    }
    for sleep in &declared.sleep_conditions {
        let mut shown = condition("SLEEP", &sleep.base);
        shown["SleepDuration"] = sleep.sleep_for.as_str().into();
        all.push(shown);
    }
    for parent in &declared.parent_override_conditions {
        let mut shown = condition("PARENT_OVERRIDE", &parent.base);
        shown["ParentReadableId"] = parent.parent_readable_id.as_str().into();
        shown["ReadableDataKey"] = parent.parent_readable_id.as_str().into();
        all.push(shown);
    }
    all
}

fn rule(declared: &Concurrency) -> Value {
    let strategy = declared.limit_strategy.and_then(|strategy| ConcurrencyLimitStrategy::try_from(strategy).ok());
    json!({
        "MaxRuns": declared.max_runs,
        "LimitStrategy": strategy.map(|strategy| strategy.as_str_name()),
        "Expression": declared.expression,
    })
}

fn rate_limit(declared: &CreateTaskRateLimit) -> Value {
    let duration = declared.duration.and_then(|duration| RateLimitDuration::try_from(duration).ok());
    json!({
        "Key": declared.key,
        "KeyExpr": declared.key_expr,
        "Units": declared.units,
        "UnitsExpr": declared.units_expr,
        "LimitExpr": declared.limit_values_expr,
        "Duration": duration.map(|duration| duration.as_str_name()),
    })
}

/// The desired labels by key; null without any.
fn labels(declared: &HashMap<String, DesiredWorkerLabels>) -> Value {
    let label = |(key, label): (&String, &DesiredWorkerLabels)| {
        let comparator = label.comparator.and_then(|comparator| WorkerLabelComparator::try_from(comparator).ok());
        let value = json!({
            "Key": key,
            "StrValue": label.str_value,
            "IntValue": label.int_value,
            "Required": label.required,
            "Weight": label.weight,
            "Comparator": comparator.map(|comparator| comparator.as_str_name()),
        });
        (key.clone(), value)
    };
    if declared.is_empty() { Value::Null } else { Value::Object(declared.iter().map(label).collect()) }
}

fn some_if_any(texts: &[String]) -> Option<&[String]> {
    Some(texts).filter(|texts| !texts.is_empty())
}
