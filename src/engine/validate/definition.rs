//! Reading a declaration: what is wrong with it is named, what this engine does not have is refused by name.

use std::{collections::HashSet, time::Duration};

use tonic::Status;

use super::{
    parents,
    payload::{self as check, brief},
};
use crate::{
    engine::{
        cron::CronRule,
        options::Timings,
        state::triggers::idempotency::Expression,
        state::{
            attempt::BackOff,
            model::{Definition, Idempotency, Lease, TaskDefinition},
        },
    },
    hatchet::wire::{ActionId, format_duration, parse_duration, proto::v1},
};

/// Longest back-off where the task gives a factor and no bound: a day, the real engine's.
const MAX_BACKOFF: Duration = Duration::from_secs(86_400);

/// Checks a declaration.
pub(in crate::engine) fn definition(
    content: v1::CreateWorkflowVersionRequest,
    timings: &Timings,
) -> Result<Definition, Status> {
    name("Name", &content.name)?;
    refuse(&content.name, &unsupported(&content))?;
    if content.tasks.is_empty() {
        return Err(invalid("Tasks", "a workflow needs at least one task"));
    }
    let default_priority = content.default_priority.unwrap_or(1);
    if !(1..=3).contains(&default_priority) {
        return Err(invalid("DefaultPriority", &format!("{default_priority} is not between 1 and 3")));
    }
    if let Some(schema) = content.input_json_schema.as_ref().filter(|schema| !schema.is_empty()) {
        serde_json::from_slice::<serde::de::IgnoredAny>(schema)
            .map_err(|e| invalid("InputJsonSchema", &format!("not JSON: {e}")))?;
    }
    Ok(Definition {
        name: content.name.clone(),
        tasks: tasks(&content, timings)?,
        default_priority,
        events: events(&content)?,
        crons: crons(&content)?,
        cron_input: check::input(content.cron_input.as_deref().unwrap_or_default(), usize::MAX)
            .map_err(|_| invalid("CronInput", "not JSON"))?,
        idempotency: content.idempotency.as_ref().map(idempotency).transpose()?,
        content,
    })
}

/// Reads a declaration that was kept. It may hold what an earlier version took and this one refuses, which is no reason
/// to lose it: crons, which are kept by themselves, and empty schedule timeouts, which are the default.
#[cfg(feature = "durable")]
pub(in crate::engine) fn stored(
    content: v1::CreateWorkflowVersionRequest,
    timings: &Timings,
) -> Result<Definition, Status> {
    let mut checked = content.clone();
    checked.cron_triggers.clear();
    for task in checked.tasks.iter_mut().chain(&mut checked.on_failure_task) {
        task.schedule_timeout = task.schedule_timeout.take().filter(|timeout| !timeout.is_empty());
    }
    Ok(Definition { content, ..definition(checked, timings)? })
}

/// All tasks, the one for failures last.
fn tasks(content: &v1::CreateWorkflowVersionRequest, timings: &Timings) -> Result<Vec<TaskDefinition>, Status> {
    let mut tasks = Vec::with_capacity(content.tasks.len() + 1);
    let parents = parents::resolve(&content.tasks)?;
    for (at, (task, parents)) in content.tasks.iter().zip(parents).enumerate() {
        tasks.push(TaskDefinition { parents, ..self::task(&format!("Tasks[{at}]"), task, timings)? });
    }
    if let Some(last) = &content.on_failure_task {
        if content.tasks.iter().any(|task| task.readable_id == last.readable_id) {
            return Err(parents::twice(tasks.len(), &last.readable_id));
        }
        if !last.parents.is_empty() {
            return Err(invalid("OnFailureTask.Parents", "a task for failures has no parents: it runs after all"));
        }
        tasks.push(TaskDefinition { on_failure: true, ..task("OnFailureTask", last, timings)? });
    }
    Ok(tasks)
}

fn events(content: &v1::CreateWorkflowVersionRequest) -> Result<Vec<String>, Status> {
    if content.event_triggers.iter().any(String::is_empty) {
        return Err(invalid("EventTriggers", "a key is empty"));
    }
    Ok(content.event_triggers.clone())
}

fn crons(content: &v1::CreateWorkflowVersionRequest) -> Result<Vec<CronRule>, Status> {
    let rule = |(at, text): (usize, &String)| {
        CronRule::parse_declared(text).map_err(|e| invalid(&format!("CronTriggers[{at}]"), &e))
    };
    let mut rules = content.cron_triggers.iter().enumerate().map(rule).collect::<Result<Vec<_>, _>>()?;
    // One that is named twice fires once.
    let mut known = HashSet::new();
    rules.retain(|rule| known.insert(rule.text().to_owned()));
    Ok(rules)
}

fn task(at: &str, task: &v1::CreateTaskOpts, timings: &Timings) -> Result<TaskDefinition, Status> {
    name(&format!("{at}.ReadableId"), &task.readable_id)?;
    let action: ActionId = task.action.parse().map_err(|e| invalid(&format!("{at}.Action"), &format!("{e}")))?;
    let duration = |field: &str, text: Option<&str>, default: Duration| match text {
        None => Ok((default, format_duration(default))),
        Some(text) => parse_duration(text)
            .map(|parsed| (parsed, text.to_owned()))
            .map_err(|e| invalid(&format!("{at}.{field}"), &e.to_string())),
    };
    let retries = u32::try_from(task.retries)
        .map_err(|_| invalid(&format!("{at}.Retries"), &format!("{} is negative", task.retries)))?;
    Ok(TaskDefinition {
        name: task.readable_id.clone(),
        action: action.as_str().to_owned(),
        needs: needs(at, task)?,
        timeout: duration(
            "Timeout",
            Some(task.timeout.as_str()).filter(|text| !text.is_empty()),
            timings.execution_timeout,
        )?,
        schedule_timeout: duration("ScheduleTimeout", task.schedule_timeout.as_deref(), timings.schedule_timeout)?.0,
        retries,
        backoff: backoff(at, task)?,
        parents: Vec::new(),
        on_failure: false,
    })
}

fn needs(at: &str, task: &v1::CreateTaskOpts) -> Result<Vec<(String, i64)>, Status> {
    if task.slot_requests.is_empty() {
        return Ok(vec![("default".to_owned(), 1)]);
    }
    task.slot_requests
        .iter()
        .map(|(kind, units)| match units {
            1.. => Ok((kind.clone(), i64::from(*units))),
            _ => Err(invalid(&format!("{at}.SlotRequests"), &format!("{units} units of {}: at least 1", brief(kind)))),
        })
        .collect()
}

fn backoff(at: &str, task: &v1::CreateTaskOpts) -> Result<Option<BackOff>, Status> {
    let Some(factor) = task.backoff_factor else { return Ok(None) };
    if !(1.0..=1000.0).contains(&factor) {
        return Err(invalid(&format!("{at}.RetryBackoffFactor"), &format!("{factor} is not between 1 and 1000")));
    }
    let max = match task.backoff_max_seconds {
        None => MAX_BACKOFF,
        Some(seconds @ 1..=86_400) => Duration::from_secs(u64::from(seconds.unsigned_abs())),
        Some(other) => {
            return Err(invalid(
                &format!("{at}.RetryBackoffMaxSeconds"),
                &format!("{other} is not between 1 and 86400"),
            ));
        }
    };
    Ok(Some(BackOff { factor: f64::from(factor), max }))
}

fn idempotency(config: &v1::IdempotencyConfig) -> Result<Idempotency, Status> {
    let expression = Expression::compile(&config.expression).map_err(|e| invalid("Idempotency.Expression", &e))?;
    let ttl = match u64::try_from(config.ttl_ms) {
        Ok(ms @ 1..) => Duration::from_millis(ms),
        _ => return Err(invalid("Idempotency.TtlMs", &format!("{} is not at least 1", config.ttl_ms))),
    };
    let until_end = match config.method.map(v1::IdempotencyMethod::try_from) {
        None | Some(Ok(v1::IdempotencyMethod::Ttl)) => false,
        Some(Ok(v1::IdempotencyMethod::Status)) => true,
        Some(Err(unknown)) => return Err(invalid("Idempotency.Method", &format!("{unknown}: use TTL or STATUS"))),
    };
    Ok(Idempotency { expression, lease: Lease { ttl, until_end } })
}

/// What a declaration asks for that comes with later versions of this engine.
fn unsupported(content: &v1::CreateWorkflowVersionRequest) -> Vec<&'static str> {
    let of_task =
        |asks: fn(&v1::CreateTaskOpts) -> bool| content.tasks.iter().chain(&content.on_failure_task).any(asks);
    [
        (
            content.concurrency.is_some()
                || !content.concurrency_arr.is_empty()
                || of_task(|t| !t.concurrency.is_empty()),
            "concurrency groups",
        ),
        (!content.default_filters.is_empty(), "event filters (default_filters)"),
        (content.sticky.is_some(), "sticky workers"),
        (of_task(|t| !t.rate_limits.is_empty()), "rate limits"),
        (of_task(|t| !t.worker_labels.is_empty()), "worker affinity (worker_labels)"),
        (of_task(|t| t.is_durable), "durable tasks"),
        (of_task(|t| t.batch.is_some()), "batch tasks"),
        (
            of_task(|t| {
                t.conditions.as_ref().is_some_and(|c| {
                    !c.parent_override_conditions.is_empty()
                        || !c.sleep_conditions.is_empty()
                        || !c.user_event_conditions.is_empty()
                })
            }),
            "conditions",
        ),
    ]
    .into_iter()
    .filter_map(|(asked, feature)| asked.then_some(feature))
    .collect()
}

fn refuse(workflow: &str, features: &[&str]) -> Result<(), Status> {
    if features.is_empty() {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "workflow `{}` uses {}: this embedded engine does not have that yet; a real Hatchet has (set \
         HATCHET_CLIENT_TOKEN), or declare the workflow without it",
        brief(workflow),
        features.join(", ")
    )))
}

/// The rule for names of workflows, tasks and workers.
pub(in crate::engine) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn name(field: &str, text: &str) -> Result<(), Status> {
    if is_name(text) {
        return Ok(());
    }
    Err(invalid(field, &format!("`{}` is not a name: use letters, digits and . - _", brief(text))))
}

pub(in crate::engine) fn invalid(field: &str, reason: &str) -> Status {
    Status::invalid_argument(format!(
        "Validation failed with the following errors: 0: validation failed on field 'CreateWorkflowVersionOpts.{field}': {reason}"
    ))
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
        definition(content, &Timings::default()).map_err(|status| status.message().to_owned())
    }

    #[test]
    fn the_least_declaration_has_the_engines_defaults() {
        let definition = with(|_| ()).unwrap();
        let task = &definition.tasks[0];
        assert_eq!((task.action.as_str(), task.retries, definition.default_priority), ("w:t", 0, 1));
        assert_eq!(task.timeout.0, Duration::from_secs(300));
        assert_eq!(task.needs, [("default".to_owned(), 1)]);
    }

    #[test]
    fn cron_named_twice_is_one() {
        let definition = with(|c| c.cron_triggers = ["0 0 1 1 *", "0 0 2 1 *", "0 0 1 1 *"].map(String::from).into());
        let crons: Vec<_> = definition.unwrap().crons.iter().map(|rule| rule.text().to_owned()).collect();
        assert_eq!(crons, ["0 0 1 1 *", "0 0 2 1 *"]);
    }

    #[cfg(feature = "durable")]
    #[test]
    fn stored_declaration_keeps_content_that_is_refused_by_now() {
        let mut content = minimal();
        content.cron_triggers = vec!["0 0 L * *".into()];
        content.tasks[0].schedule_timeout = Some(String::new());
        assert!(definition(content.clone(), &Timings::default()).is_err());
        let stored = stored(content.clone(), &Timings::default()).unwrap();
        assert_eq!((stored.content, stored.crons.len()), (content, 0));
        assert_eq!(stored.tasks[0].schedule_timeout, Timings::default().schedule_timeout);
    }

    #[test]
    fn each_fault_names_its_field() {
        type Change = fn(&mut v1::CreateWorkflowVersionRequest);
        let faults: [(&str, Change); 22] = [
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
            ("EventTriggers", |c| c.event_triggers.push(String::new())),
        ];
        for (field, change) in faults {
            let error = with(change).unwrap_err();
            assert!(error.contains(field) && !error.contains('\n'), "{field}: {error}");
        }
    }

    #[test]
    fn what_is_not_there_yet_is_refused_by_name() {
        type Change = fn(&mut v1::CreateWorkflowVersionRequest);
        let asked: [(&str, Change); 9] = [
            ("durable", |c| c.on_failure_task = Some(v1::CreateTaskOpts { is_durable: true, ..c.tasks[0].clone() })),
            ("concurrency", |c| c.tasks[0].concurrency.push(Default::default())),
            ("filters", |c| c.default_filters.push(Default::default())),
            ("sticky", |c| c.sticky = Some(0)),
            ("rate limits", |c| c.tasks[0].rate_limits.push(Default::default())),
            ("affinity", |c| c.tasks[0].worker_labels = [("l".into(), Default::default())].into()),
            ("durable", |c| c.tasks[0].is_durable = true),
            ("batch", |c| c.tasks[0].batch = Some(Default::default())),
            ("conditions", |c| {
                let conditions =
                    v1::TaskConditions { sleep_conditions: vec![Default::default()], ..Default::default() };
                c.tasks[0].conditions = Some(conditions);
            }),
        ];
        for (feature, change) in asked {
            let error = with(change).unwrap_err();
            assert!(error.contains(feature) && error.contains("real Hatchet"), "{feature}: {error}");
        }
        assert!(with(|c| c.tasks[0].conditions = Some(Default::default())).is_ok(), "SDKs send an empty one");
    }
}
