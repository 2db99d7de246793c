//! The message that registers a workflow.

use std::collections::HashMap;

use uuid::Uuid;

use crate::hatchet::{
    client::{Client, desired_label},
    task::{
        Action, Concurrency, ConditionKind, DefaultFilter, Idempotency, IdempotencyMethod, Limit, MaxRuns, RateLimit,
        RateLimitKey, RateLimitValue, RegisteredFlow, RegisteredFlowTask, Role, Sticky,
    },
    transport::ClientError,
    wire::{SLOT_TYPE, format_duration, proto::v1},
    worker::attempt::action_id,
};

/// Converts a workflow. The same workflow results in the same message, so that an engine creates no new version when a
/// worker registers again.
pub(super) fn workflow_request(
    client: &Client,
    workflow: &RegisteredFlow<'_>,
) -> Result<v1::CreateWorkflowVersionRequest, ClientError> {
    let (config, options) = (client.config(), workflow.options);
    let (mut tasks, mut on_failure_task) = (Vec::new(), None);
    for task in &workflow.tasks {
        let request = task_request(client, workflow.name, task)?;
        match task.role {
            Role::Task | Role::OnSuccess => tasks.push(request),
            Role::OnFailure => on_failure_task = Some(request),
        }
    }
    let valid_json = |json: &Result<String, String>| json.clone().ok();
    Ok(v1::CreateWorkflowVersionRequest {
        name: config.namespaced(workflow.name),
        description: options.description.clone(),
        version: options.version.clone(),
        event_triggers: options.events.iter().map(|key| config.namespaced(key)).collect(),
        cron_triggers: options.crons.clone(),
        tasks,
        cron_input: options.cron_input.as_ref().and_then(valid_json),
        on_failure_task,
        sticky: options.sticky.map(|sticky| match sticky {
            Sticky::Soft => v1::StickyStrategy::Soft.into(),
            Sticky::Hard => v1::StickyStrategy::Hard.into(),
        }),
        default_priority: Some(i32::from(options.default_priority.number())),
        concurrency_arr: options.concurrency.iter().map(concurrency).collect(),
        default_filters: options.default_filters.iter().map(default_filter).collect(),
        input_json_schema: Some(workflow.input_schema.to_string().into_bytes()),
        idempotency: options.idempotency.as_ref().map(idempotency_config),
        ..Default::default()
    })
}

fn task_request(
    client: &Client,
    workflow: &str,
    task: &RegisteredFlowTask<'_>,
) -> Result<v1::CreateTaskOpts, ClientError> {
    let options = task.task.options();
    Ok(v1::CreateTaskOpts {
        readable_id: task.name.clone(),
        action: action_id(client, workflow, &task.name)?.as_str().to_owned(),
        timeout: format_duration(options.execution_timeout),
        schedule_timeout: Some(format_duration(options.schedule_timeout)),
        inputs: "{}".to_owned(),
        parents: task.parents.clone(),
        retries: i32::try_from(options.retries).unwrap_or(i32::MAX),
        backoff_factor: options.backoff.map(|backoff| backoff.factor),
        backoff_max_seconds: options.backoff.map(|b| i32::try_from(b.max.as_secs()).unwrap_or(i32::MAX)),
        rate_limits: options.rate_limits.iter().map(rate_limit).collect(),
        worker_labels: options.desired_labels.iter().map(|label| (label.key.clone(), desired_label(label))).collect(),
        concurrency: options.concurrency.iter().map(concurrency).collect(),
        conditions: (!task.conditions.is_empty()).then(|| conditions(client, task)),
        slot_requests: HashMap::from([(SLOT_TYPE.to_owned(), number(options.slots))]),
        ..Default::default()
    })
}

/// Converts the conditions of a task. The conditions of a group have the same group id; ids are unique in the task. The
/// key of the data that satisfies a condition is unique as well.
fn conditions(client: &Client, task: &RegisteredFlowTask<'_>) -> v1::TaskConditions {
    let mut converted = v1::TaskConditions::default();
    let mut count = 0;
    for (group, (action, conditions)) in (1..).zip(task.conditions) {
        for condition in conditions.conditions() {
            count += 1;
            let base = |key: String, expression: &str| {
                Some(v1::BaseMatchCondition {
                    readable_data_key: format!("{key}:{count}"),
                    action: match action {
                        Action::Wait => v1::Action::Queue,
                        Action::Skip => v1::Action::Skip,
                        Action::Cancel => v1::Action::Cancel,
                    }
                    .into(),
                    or_group_id: Uuid::from_u128(group).to_string(),
                    expression: expression.to_owned(),
                })
            };
            match condition {
                ConditionKind::Sleep(duration) => {
                    let sleep_for = format_duration(*duration);
                    let base = base(format!("sleep:{sleep_for}"), "");
                    converted.sleep_conditions.push(v1::SleepMatchCondition { base, sleep_for });
                }
                ConditionKind::Event { key, filter, scope, since } => {
                    converted.user_event_conditions.push(v1::UserEventMatchCondition {
                        base: base(key.clone(), filter.as_deref().unwrap_or_default()),
                        user_event_key: client.config().namespaced(key),
                        event_scope: scope.clone(),
                        consider_events_since: since.map(Into::into),
                    });
                }
                ConditionKind::ParentOutput { task, expression } => {
                    converted.parent_override_conditions.push(v1::ParentOverrideMatchCondition {
                        base: base(task.clone(), expression),
                        parent_readable_id: task.clone(),
                    });
                }
            }
        }
    }
    converted
}

fn concurrency(limit: &Concurrency) -> v1::Concurrency {
    let strategy = match limit.limit {
        Limit::RoundRobin => v1::ConcurrencyLimitStrategy::GroupRoundRobin,
        Limit::CancelInProgress => v1::ConcurrencyLimitStrategy::CancelInProgress,
        Limit::CancelNewest => v1::ConcurrencyLimitStrategy::CancelNewest,
        Limit::CancelQueuedExceptNewest => v1::ConcurrencyLimitStrategy::CancelQueuedExceptNewest,
        Limit::CancelQueuedExceptOldest => v1::ConcurrencyLimitStrategy::CancelQueuedExceptOldest,
    };
    // With an expression, engines require a fixed number as well, which earlier engines apply.
    let (max_runs, max_runs_expression) = match &limit.max_runs {
        MaxRuns::Fixed(max_runs) => (number(*max_runs), None),
        MaxRuns::Expression(expression) => (1, Some(expression.clone())),
    };
    v1::Concurrency {
        expression: limit.expression.clone(),
        max_runs: Some(max_runs),
        limit_strategy: Some(strategy.into()),
        name: limit.shared_name.clone(),
        is_tenant_scoped: limit.shared_name.as_ref().map(|_| true),
        max_runs_expression,
    }
}

fn rate_limit(limit: &RateLimit) -> v1::CreateTaskRateLimit {
    let (units, units_expr) = match &limit.units {
        RateLimitValue::Fixed(units) => (Some(number(*units)), None),
        RateLimitValue::Expression(expression) => (None, Some(expression.clone())),
    };
    match &limit.key {
        RateLimitKey::Static(key) => {
            v1::CreateTaskRateLimit { key: key.clone(), units, units_expr, ..Default::default() }
        }
        RateLimitKey::Dynamic { expression, limit, window } => v1::CreateTaskRateLimit {
            // Required by engines, which read the expression instead.
            key: expression.clone(),
            units,
            key_expr: Some(expression.clone()),
            units_expr,
            limit_values_expr: Some(match limit {
                RateLimitValue::Fixed(limit) => limit.to_string(),
                RateLimitValue::Expression(expression) => expression.clone(),
            }),
            duration: Some(window.number()),
        },
    }
}

fn default_filter(filter: &DefaultFilter) -> v1::DefaultFilter {
    let payload = filter.payload.as_ref().and_then(|json| json.as_ref().ok());
    v1::DefaultFilter {
        expression: filter.expression.clone(),
        scope: filter.scope.clone(),
        payload: payload.map(|json| json.clone().into_bytes()),
    }
}

fn idempotency_config(options: &Idempotency) -> v1::IdempotencyConfig {
    let method = match options.method {
        IdempotencyMethod::Ttl => v1::IdempotencyMethod::Ttl,
        IdempotencyMethod::Status => v1::IdempotencyMethod::Status,
    };
    v1::IdempotencyConfig {
        expression: options.expression.clone(),
        ttl_ms: i64::try_from(options.ttl.as_millis()).unwrap_or(i64::MAX),
        method: Some(method.into()),
    }
}

/// Converts a number whose limit was checked before.
fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
