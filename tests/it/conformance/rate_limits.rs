//! Rate limits: keys, windows, fixed and computed units, pauses.

use hatchet_quickstart::hatchet::wire::{
    proto::{
        PauseRateLimitRequest, PutRateLimitRequest, RateLimitDuration as Window,
        v1::{CreateTaskRateLimit, RunStatus},
    },
    timestamp_now,
};
use serde_json::{Value, json};
use tonic::{Code, Status};

use super::deviations::Deviation;
use crate::support::{ControlWorker, RawWorker, Target, Workflow, assert_refused, only_task};

async fn try_put(target: &Target, key: &str, limit: i32, duration: i32) -> Result<(), Status> {
    let request = PutRateLimitRequest { key: key.to_owned(), limit, duration };
    target.workflows().put_rate_limit(request).await.map(|_| ())
}

async fn put(target: &Target, key: &str, limit: i32, window: Window) {
    try_put(target, key, limit, window.into()).await.unwrap();
}

async fn limited(target: &Target, base: &str, rule: CreateTaskRateLimit) -> Workflow {
    target.workflow_with(base, |task| task.rate_limits = vec![rule]).await
}

fn fixed(key: &str, units: i32) -> CreateTaskRateLimit {
    CreateTaskRateLimit { key: key.to_owned(), units: Some(units), ..Default::default() }
}

/// The only listed rate limit whose key contains this text.
async fn listed(target: &Target, search: &str) -> Value {
    let path = format!("/api/v1/tenants/{}/rate-limits?search={search}", target.tenant);
    let (status, body) = target.rest.get(&path).await;
    assert_eq!((status, body["rows"].as_array().map(Vec::len)), (200, Some(1)), "{body}");
    body["rows"][0].clone()
}

#[tokio::test]
async fn run_beyond_the_units_of_a_window_waits() {
    let target = Target::start().await;
    let key = target.name("minute");
    put(&target, &key, 3, Window::Minute).await;
    let workflow = limited(&target, "limited", fixed(&key, 2)).await;
    let mut control = ControlWorker::start(&target).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let first = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, first);
    worker.complete(&action, "{}").await;
    let second = target.trigger(&workflow, json!({})).await;
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none(), "the window has one unit left");
    assert_eq!(target.details(&second).await.unwrap().status(), RunStatus::Queued);
    let path = format!("/api/v1/stable/tasks/{second}/task-events?limit=50&offset=0");
    let is_limited = |row: &Value| row["eventType"] == "REQUEUED_RATE_LIMIT";
    let events = target.rest.get_until(&path, "the wait is recorded", |body| {
        body["rows"].as_array().is_some_and(|rows| rows.iter().any(is_limited))
    });
    let events = events.await;
    let message = events["rows"].as_array().unwrap().iter().find(|row| is_limited(row)).unwrap()["message"].clone();
    let text = format!("Rate limit exceeded for key {key}, attempting to consume 2 units, but only had 1 remaining");
    assert_eq!(message, text);
    target.cancel(&[&second]).await;
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn next_window_has_all_units_again() {
    let target = Target::start().await;
    let key = target.name("second");
    put(&target, &key, 2, Window::Second).await;
    let workflow = limited(&target, "limited", fixed(&key, 1)).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let started = std::time::Instant::now();
    for _ in 0..5 {
        target.trigger(&workflow, json!({})).await;
    }
    for _ in 0..5 {
        let action = worker.next_start().await;
        worker.complete(&action, "{}").await;
    }
    assert!(started.elapsed().as_millis() > 900, "five units took {:?} at two a second", started.elapsed());
    worker.close().await;
}

#[tokio::test]
async fn computed_rule_creates_the_limit_of_its_key() {
    let target = Target::start().await;
    let prefix = target.name("user");
    let rule = CreateTaskRateLimit {
        key: "dynamic".to_owned(),
        key_expr: Some(format!("'{prefix}-' + input.user")),
        units_expr: Some("int(input.units)".to_owned()),
        limit_values_expr: Some("int(additional_metadata.limit)".to_owned()),
        duration: Some(hatchet_quickstart::hatchet::wire::proto::v1::RateLimitDuration::Hour.into()),
        ..Default::default()
    };
    let workflow = limited(&target, "computed", rule).await;
    let request = |input: Value| {
        let metadata = Some(json!({ "limit": "3" }).to_string());
        hatchet_quickstart::hatchet::wire::proto::v1::TriggerWorkflowRequest {
            additional_metadata: metadata,
            ..workflow.request(input)
        }
    };
    let mut control = ControlWorker::start(&target).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let first = target.try_trigger(request(json!({"user": "a", "units": 2}))).await.unwrap();
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, first);
    worker.complete(&action, "{}").await;
    let waiting = target.try_trigger(request(json!({"user": "a", "units": 2}))).await.unwrap();
    let other = target.try_trigger(request(json!({"user": "b", "units": 2}))).await.unwrap();
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, other, "another key has units of its own");
    worker.complete(&action, "{}").await;
    control.complete_runs(&target).await;
    assert!(worker.waiting_action().is_none());
    let row = listed(&target, &format!("{prefix}-a")).await;
    assert_eq!((&row["limitValue"], &row["window"]), (&json!(3), &json!("1 HOUR")));
    target.cancel(&[&waiting]).await;
    let failed = target.try_trigger(request(json!({"units": 2}))).await.unwrap();
    let details = target.done(&failed).await;
    assert_eq!(details.status(), RunStatus::Failed);
    let error = only_task(&details).error.clone().unwrap_or_default();
    assert_eq!(error, format!("failed to parse step expression ('{prefix}-' + input.user): no such key: user"));
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn negative_limit_of_a_rule_sets_no_limit() {
    let target = Target::start().await;
    let key = target.name("fixed");
    put(&target, &key, 7, Window::Hour).await;
    // The form in which SDKs declare a fixed key.
    let rule = CreateTaskRateLimit { limit_values_expr: Some("-1".to_owned()), duration: Some(1), ..fixed(&key, 2) };
    let workflow = limited(&target, "fixed", rule).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let run = target.trigger(&workflow, json!({})).await;
    let action = worker.next_start().await;
    assert_eq!(action.workflow_run_id, run);
    let row = listed(&target, &key).await;
    assert_eq!((&row["limitValue"], &row["window"]), (&json!(7), &json!("1 HOUR")));
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn changed_limit_keeps_the_units_of_the_window() {
    let target = Target::start().await;
    let key = target.name("changed");
    put(&target, &key, 5, Window::Day).await;
    let row = listed(&target, &key).await;
    assert_eq!((&row["limitValue"], &row["value"], &row["window"]), (&json!(5), &json!(5), &json!("1 DAY")));
    assert_eq!(row["tenantId"], target.tenant);
    put(&target, &key, 9, Window::Day).await;
    assert_eq!(listed(&target, &key).await["value"], 5, "more units come with the next window");
    put(&target, &key, 2, Window::Day).await;
    let row = listed(&target, &key).await;
    assert_eq!((&row["limitValue"], &row["value"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn list_is_searched_ordered_and_paged() {
    let target = Target::start().await;
    let prefix = target.name("list");
    for (suffix, limit) in [("b", 1), ("a", 3), ("c", 2)] {
        put(&target, &format!("{prefix}-{suffix}"), limit, Window::Week).await;
    }
    for (query, expected) in [
        ("", &["a", "b", "c"][..]),
        ("&orderByField=key&orderByDirection=desc", &["c", "b", "a"]),
        ("&orderByField=limitValue&orderByDirection=asc", &["b", "c", "a"]),
        ("&limit=1&offset=1", &["b"]),
    ] {
        let path = format!("/api/v1/tenants/{}/rate-limits?search={prefix}{query}", target.tenant);
        let (status, body) = target.rest.get(&path).await;
        assert_eq!(status, 200, "{body}");
        let keys: Vec<&str> = body["rows"].as_array().unwrap().iter().filter_map(|row| row["key"].as_str()).collect();
        let expected: Vec<String> = expected.iter().map(|suffix| format!("{prefix}-{suffix}")).collect();
        assert_eq!(keys, expected, "{query}");
    }
}

#[tokio::test]
async fn pause_holds_runs_and_is_never_shortened() {
    let target = Target::start().await;
    let key = target.name("paused");
    put(&target, &key, 5, Window::Second).await;
    let pause = async |seconds: i64| {
        let mut until = timestamp_now();
        until.seconds += seconds;
        let request = PauseRateLimitRequest { key: key.clone(), paused_until: Some(until) };
        target
            .workflows()
            .pause_rate_limit(request)
            .await
            .map(|paused| (until, paused.into_inner().paused_until.unwrap()))
    };
    if !target.deviates(Deviation::RateLimitsCanBePaused) {
        assert_eq!(pause(1).await.unwrap_err().code(), Code::Unimplemented);
        return;
    }
    let workflow = limited(&target, "paused", fixed(&key, 1)).await;
    let mut control = ControlWorker::start(&target).await;
    let mut worker = RawWorker::start(&target, &workflow, 10).await;
    let (until, paused) = pause(2).await.unwrap();
    assert!((paused.seconds - until.seconds).abs() <= 1);
    let (_, kept) = pause(1).await.unwrap();
    assert!(kept.seconds >= paused.seconds, "an earlier time does not shorten the pause");
    let run = target.trigger(&workflow, json!({})).await;
    control.complete_runs(&target).await;
    let early = worker.waiting_action();
    assert!(early.is_none() || timestamp_now().seconds >= paused.seconds, "started during the pause");
    let action = match early {
        Some(action) => action,
        None => worker.next_start().await,
    };
    assert_eq!(action.workflow_run_id, run);
    worker.complete(&action, "{}").await;
    let request = PauseRateLimitRequest { key: target.name("unknown"), paused_until: Some(until) };
    let unknown = target.workflows().pause_rate_limit(request).await;
    assert_refused(unknown, Code::NotFound, "rate limit not found");
    worker.close().await;
    control.close().await;
}

#[tokio::test]
async fn invalid_rate_limit_is_rejected_with_its_field() {
    let target = Target::start().await;
    assert_refused(try_put(&target, "", 1, 0).await, Code::InvalidArgument, "key is required");
    let mut definition = target.definition("invalid");
    let field = "CreateWorkflowVersionOpts.Tasks[0].RateLimits[0]";
    let with = |change: fn(&mut CreateTaskRateLimit)| {
        let mut rule = fixed("x", 1);
        change(&mut rule);
        rule
    };
    for (rule, name) in [
        (with(|rule| rule.key.clear()), "Key"),
        (with(|rule| rule.key_expr = Some("input.".to_owned())), "KeyExpr"),
        (with(|rule| (rule.key_expr, rule.units_expr) = (Some("'a'".into()), Some("nope".into()))), "UnitsExpr"),
        (with(|rule| (rule.key_expr, rule.limit_values_expr) = (Some("'a'".into()), Some("1 +".into()))), "LimitExpr"),
    ] {
        definition.tasks[0].rate_limits = vec![rule];
        assert_refused(target.try_put(&definition).await, Code::InvalidArgument, &format!("{field}.{name}'"));
    }
    let key = target.name("known");
    put(&target, &key, 1, Window::Minute).await;
    let computed = CreateTaskRateLimit { key_expr: Some("input.k".to_owned()), ..fixed(&key, 1) };
    let computed_units = CreateTaskRateLimit { units_expr: Some("int(input.n)".to_owned()), ..fixed(&key, 1) };
    for (rules, text) in [
        (vec![fixed(&target.name("unknown"), 1)], "RateLimits[0].Key': there is no rate limit"),
        (vec![fixed(&key, 1), fixed(&key, 2)], "RateLimits[1].Key': another rule"),
        (vec![computed.clone(), fixed(&key, 1), computed.clone()], "RateLimits[2].Key': another rule"),
        (vec![computed_units.clone(), computed.clone()], "RateLimits[1].Key': another rule"),
    ] {
        definition.tasks[0].rate_limits = rules;
        let refused = target.try_put(&definition).await;
        if target.deviates(Deviation::MalformedDefinitionIsInvalid) {
            assert_refused(refused, Code::InvalidArgument, text);
        } else {
            assert_eq!(refused.unwrap_err().code(), Code::Internal);
        }
    }
    for other in [computed, computed_units] {
        definition.tasks[0].rate_limits = vec![fixed(&key, 1), other];
        target.put(&definition).await;
    }
}
