//! Run keys: the same benchmark twice is one.

use super::{Place, bench, runs, summary};
#[cfg(feature = "durable")]
use crate::support::Target;

#[test]
fn the_same_prefix_starts_nothing_new() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded", "--run-keys"]);
    // More collisions than fit into headers of the usual size.
    let words = ["--runs", "400", "--key-prefix", "same"];
    bench(&place, &[&words[..], &["--out", "one"]].concat()).expect(0);
    let ended = bench(&place, &[&words[..], &["--out", "two"]].concat()).expect(0);
    assert!(ended.stdout.iter().any(|line| line.contains("0 started, 400 duplicates")), "{ended:?}");
    let (one, two) = (runs(&place.path("one")), runs(&place.path("two")));
    for (first, again) in one.iter().zip(&two) {
        assert_eq!((&first["key"], &first["run_id"]), (&again["key"], &again["run_id"]));
        assert_eq!((again["accepted_as"].as_str(), again["status"].as_str()), (Some("duplicate"), Some("COMPLETED")));
    }
    let (one, two) = (summary(&place.path("one")), summary(&place.path("two")));
    assert_eq!(two["latency"]["total"], serde_json::Value::Null, "times of another benchmark are not this one's");
    let until = |summary: &serde_json::Value| summary["dedupe"]["until"].as_str().unwrap()[..19].to_owned();
    assert!(until(&two) <= until(&one), "the keys are as old as the first: {} {}", until(&one), until(&two));
}

#[cfg(feature = "durable")]
#[test]
fn also_with_a_worker_and_an_engine_of_its_own_each_time() {
    let place = Place::new();
    let words = ["--with-worker", "--runs", "40", "--key-prefix", "same"];
    bench(&place, &[&words[..], &["--out", "one"]].concat()).expect(0);
    let ended = bench(&place, &[&words[..], &["--out", "two"]].concat()).expect(0);
    assert!(ended.stdout.iter().any(|line| line.contains("0 started, 40 duplicates")), "{ended:?}");
    let ended = bench(&place, &[&words[..], &["--embedded-ephemeral", "--out", "three"]].concat()).expect(0);
    assert!(ended.stdout.iter().any(|line| line.contains("40 started, 0 duplicates")), "{ended:?}");
}

#[test]
fn more_runs_under_one_prefix_start_only_what_is_new() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded", "--run-keys"]);
    bench(&place, &["--runs", "10", "--key-prefix", "p", "--out", "out"]).expect(0);
    let ended = bench(&place, &["--runs", "25", "--key-prefix", "p", "--out", "out"]).expect(0);
    assert!(ended.stdout.iter().any(|line| line.contains("15 started, 10 duplicates")), "{ended:?}");
}

#[test]
fn a_worker_of_its_own_and_executions_counted_by_the_tasks() {
    let place = Place::new();
    let words = ["--with-worker", "--verify-dedupe", "--runs", "50", "--out", "out"];
    bench(&place, &words).expect(0);
    let verified = summary(&place.path("out"))["dedupe"]["verified"].clone();
    assert_eq!((&verified["refused"], &verified["executions"]), (&50.into(), &50.into()));
    assert_eq!(verified["wrong"].as_array().map(Vec::len), Some(0), "{verified}");
    // It is gone, and its engine with it.
    let id = runs(&place.path("out"))[0]["run_id"].as_str().unwrap().to_owned();
    place.runner(&["--run-id", &id]).expect_error(5, &["no embedded engine runs here"]);
}

#[test]
fn runs_that_would_wait_too_long_for_a_slot_are_said_before() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded", "--slots", "1"]);
    // A trial takes half a second and more, so the last of so many waits for ten minutes, twice what it may.
    let words = ["--tasks", "sync-sleep-task", "--input-json", r#"{"seconds":0.5}"#, "--runs", "1200"];
    let program = super::start(&place, &words);
    let said = program.err.until_said("the last runs of sync-sleep-task will wait about");
    for part in ["for one of 1 slots", "cancelled after 300 s", "--run-keys"] {
        assert!(said.contains(part), "{said}");
    }
}

#[cfg(feature = "durable")]
#[tokio::test]
async fn keyed_task_is_found_among_many_names_without_a_worker() {
    let place = Place::new();
    place.worker(&["--embedded", "--run-keys"]).stop();
    let engine = place.engine();
    let target = Target::at(&place.handshake());
    let other = |n: usize| {
        let mut definition = target.definition("other");
        // They contain the name that is looked for, and stand before it.
        definition.name = format!("a{n:04}-externally-triggered-task-keyed");
        definition
    };
    for n in 0..1100 {
        target.put(&other(n)).await;
    }
    let ended = bench(&place, &["--runs", "3", "--timeout", "2s", "--out", "out"]).expect(4);
    ended.expect_said("no worker for externally-triggered-task-keyed is online");
    engine.stop().expect(0);
}

#[test]
fn without_keyed_tasks_dedupe_is_off_and_said_to_be() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let words = ["--runs", "5", "--key-prefix", "p"];
    for out in ["one", "two"] {
        let ended = bench(&place, &[&words[..], &["--out", out]].concat()).expect(0);
        ended.expect_said("dedupe of externally-triggered-task is off");
        assert_eq!(summary(&place.path(out))["dedupe"]["started"], 5);
    }
}
