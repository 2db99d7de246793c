//! Schedules and crons.

use std::time::{Duration, SystemTime};

use hatchet_quickstart::{
    hatchet::{
        client::{CronFilter, ErrorKind, ScheduleFilter, ScheduledRun},
        wire::ScheduleId,
    },
    prelude::*,
};
use serde_json::{Value, json};

use super::{Json, Library, json_object, within};
use crate::support::{RawWorker, eventually};

#[tokio::test]
async fn schedule_is_listed_changed_and_deleted() {
    let library = Library::start().await;
    let workflow = library.target.workflow("timed").await;
    let stub: Stub<Json, Json> = Stub::from_name(workflow.name.clone());
    let input = json_object(json!({ "n": 1 }));
    let in_hours = |hours: u64| SystemTime::now() + Duration::from_secs(3_600 * hours);
    let case = library.target.name("case");
    let call = library.client.schedule(&stub, &input).at(in_hours(1)).metadata("case", case.as_str());
    let schedule = call.priority(Priority::Medium).await.unwrap();
    let rest = library.client.rest().unwrap();
    let stored = schedule.get().await.unwrap();
    assert_eq!((&stored.workflow_name, &stored.input, stored.priority), (&workflow.name, &input, Some(2)));
    assert_eq!(stored.additional_metadata["case"], case.as_str());

    let changed = schedule.reschedule(in_hours(5)).await.unwrap();
    assert_ne!(changed.trigger_at, stored.trigger_at);
    let filter = ScheduleFilter::default().workflow(workflow.workflow_id.parse().unwrap()).metadata("case", &case);
    let listed = rest.schedules(&filter).await.unwrap();
    assert_eq!(listed.iter().map(|listed| listed.metadata.id.clone()).collect::<Vec<_>>(), [schedule.id().to_string()]);

    schedule.delete().await.unwrap();
    assert_eq!(schedule.get().await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(rest.schedules(&filter).await.unwrap().is_empty());
}

#[tokio::test]
async fn many_schedules_are_changed_and_deleted() {
    let library = Library::start().await;
    let workflow = library.target.workflow("timed").await;
    let stub: Stub<Json, Json> = Stub::from_name(workflow.name.clone());
    let in_hours = |hours: u64| SystemTime::now() + Duration::from_secs(3_600 * hours);
    let mut ids = Vec::new();
    for hours in 1..=3 {
        ids.push(library.client.schedule(&stub, &Json::new()).at(in_hours(hours)).await.unwrap().id());
    }
    let rest = library.client.rest().unwrap();
    let before = rest.schedule(ids[2]).await.unwrap().trigger_at;
    let unknown: ScheduleId = "11111111-2222-4333-8444-555555555555".parse().unwrap();
    let times = [(ids[0], in_hours(7)), (ids[1], in_hours(8)), (unknown, in_hours(9))];
    assert_eq!(rest.reschedule_many(times).await.unwrap(), ids[..2]);
    let mut triggers = Vec::new();
    for id in &ids {
        triggers.push(rest.schedule(*id).await.unwrap().trigger_at);
    }
    assert!(triggers[2] == before && triggers[2] < triggers[0] && triggers[0] < triggers[1], "{triggers:?}");
    let error = rest.reschedule_many([(ids[0], SystemTime::UNIX_EPOCH - Duration::from_secs(1))]).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("invalid time"), "{error}");
    assert_eq!(rest.delete_schedules(&[ids[0], unknown, ids[2]]).await.unwrap(), [ids[0], ids[2]]);
    let filter = ScheduleFilter::default().workflow(workflow.workflow_id.parse().unwrap());
    let left = rest.schedules(&filter).await.unwrap();
    assert_eq!(left.iter().filter_map(ScheduledRun::id).collect::<Vec<_>>(), [ids[1]]);
    assert_eq!(rest.delete_schedules(&ids[1..2]).await.unwrap().len(), 1);
    assert!(rest.reschedule_many([]).await.unwrap().is_empty() && rest.delete_schedules(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn delayed_run_starts_with_its_options() {
    let library = Library::start().await;
    let workflow = library.target.workflow("timed").await;
    let mut worker = RawWorker::start(&library.target, &workflow, 1).await;
    let stub: Stub<Json, Json> = Stub::from_name(workflow.name.clone());
    let input = json_object(json!({ "n": 2 }));
    let call = library.client.schedule(&stub, &input).after(Duration::from_secs(1)).metadata("team", "a");
    call.priority(Priority::High).await.unwrap();
    let action = worker.next_start().await;
    let payload: Value = serde_json::from_str(&action.action_payload).unwrap();
    assert_eq!((&payload["input"], action.priority), (&json!({ "n": 2 }), 3));
    assert!(action.additional_metadata.as_deref().unwrap().contains("team"));
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn past_time_starts_run_immediately() {
    let library = Library::start().await;
    let workflow = library.target.workflow("past").await;
    let mut worker = RawWorker::start(&library.target, &workflow, 1).await;
    let stub: Stub<Json, Json> = Stub::from_name(workflow.name.clone());
    let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    within("the schedule is accepted", library.client.schedule(&stub, &Json::new()).at(hour_ago)).await.unwrap();
    let action = worker.next_start().await;
    worker.complete(&action, "{}").await;
    worker.close().await;
}

#[tokio::test]
async fn cron_is_listed_changed_and_deleted() {
    let library = Library::start().await;
    let workflow = library.target.workflow("nightly").await;
    let stub: Stub<Json, Json> = Stub::from_name(workflow.name.clone());
    let input = json_object(json!({ "n": 1 }));
    let call = library.client.cron(&stub, "at-three", "0 3 * * *", &input).metadata("team", "a");
    let cron = call.priority(Priority::High).await.unwrap();
    let rest = library.client.rest().unwrap();
    let stored = cron.get().await.unwrap();
    assert_eq!((stored.name.as_str(), stored.expression.as_str(), stored.enabled), ("at-three", "0 3 * * *", true));
    assert_eq!((&stored.workflow_name, &stored.input, stored.priority), (&workflow.name, &input, Some(3)));
    assert_eq!(stored.additional_metadata["team"], "a");

    let duplicate = library.client.cron(&stub, "at-three", "0 3 * * *", &input).await.unwrap_err();
    assert_eq!(duplicate.kind(), ErrorKind::Invalid, "{duplicate}");

    cron.set_enabled(false).await.unwrap();
    let filter = CronFilter::default().workflow(workflow.workflow_id.parse().unwrap()).name("at-three");
    eventually("the cron is disabled", async || {
        let listed = rest.crons(&filter).await.unwrap();
        assert_eq!(listed.len(), 1);
        (!listed[0].enabled).then_some(())
    })
    .await;
    cron.delete().await.unwrap();
    assert!(rest.crons(&filter).await.unwrap().is_empty());
    // A real engine answers 500.
    assert!(matches!(cron.get().await.unwrap_err().kind(), ErrorKind::NotFound | ErrorKind::Engine));
}

#[tokio::test]
async fn invalid_later_run_is_refused_with_the_field() {
    let library = Library::start().await;
    let workflow = library.target.workflow("invalid").await;
    let (stub, array): (Stub<Json, Json>, Stub<Vec<u8>, Json>) =
        (Stub::from_name(workflow.name.clone()), Stub::from_name(workflow.name.clone()));
    let (client, input) = (&library.client, Json::new());
    for (error, field) in [
        (client.cron(&stub, "", "0 3 * * *", &input).await.unwrap_err(), "invalid cron name"),
        (
            client.cron(&stub, "c", "0 3 * *", &input).await.unwrap_err(),
            "invalid cron expression \"0 3 * *\": it has 4 fields",
        ),
        (client.cron(&stub, "c", "0 24 * * *", &input).await.unwrap_err(), "`24` is not a valid hour"),
        (client.cron(&stub, "c", "0 0 30 2 *", &input).await.unwrap_err(), "never fires"),
        (client.cron(&stub, "c", "@every soon", &input).await.unwrap_err(), "`soon` is not an interval"),
        (client.cron(&array, "c", "@daily", &vec![1]).await.unwrap_err(), "invalid input of"),
        (client.cron(&stub, "c", "@daily", &input).metadata("k", "\0").await.unwrap_err(), "invalid metadata"),
        (client.schedule(&stub, &input).after(Duration::MAX).await.unwrap_err(), "invalid time"),
        (client.schedule(&array, &vec![1]).after(Duration::ZERO).await.unwrap_err(), "invalid input of"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(field), "{error}");
    }
    let unknown: Stub<Json, Json> = Stub::from_name(library.target.name("unknown"));
    let error = client.schedule(&unknown, &input).after(Duration::from_secs(60)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = client.cron(&unknown, "c", "@daily", &input).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound), "{error}");
}
