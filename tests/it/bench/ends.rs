//! Benchmarks that do not go as planned: a line, a report of what is known, an exit code.

use super::{Place, bench, runs, start, summary};

const SLEEPS: [&str; 2] = ["--tasks", "sync-sleep-task"];

#[test]
fn nobody_has_the_task() {
    let place = Place::new();
    let _engine = place.engine();
    let ended = bench(&place, &["--runs", "5", "--out", "out"]).expect(1);
    let ended = ended.expect_said("no worker for externally-triggered-task is online");
    assert!(ended.stdout.iter().any(|line| line.contains("5 refused")), "{ended:?}");
    assert_eq!(summary(&place.path("out"))["outcomes"]["externally-triggered-task"]["refused"], 5);
}

#[test]
fn time_is_over() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded", "--run-keys"]);
    let input = ["--input-json", r#"{"seconds":600}"#];
    let words =
        [&SLEEPS[..], &input, &["--runs", "3", "--timeout", "1s", "--key-prefix", "p", "--out", "out"]].concat();
    let ended = bench(&place, &words).expect(4).expect_said("3 of 3 runs have not ended in time");
    ended.expect_said("--key-prefix p");
    assert_eq!(summary(&place.path("out"))["state"], "timed out");
    assert_eq!(runs(&place.path("out"))[0]["status"], "UNKNOWN");
}

#[test]
fn time_is_over_in_the_trial_run() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded"]);
    let words = [&SLEEPS[..], &["--input-json", r#"{"seconds":600}"#, "--timeout", "1s"]].concat();
    let ended = bench(&place, &words).expect(4).expect_said("a trial run of sync-sleep-task");
    ended.expect_said("was abandoned after").expect_said("runs have not ended in time");
}

#[test]
fn an_interrupted_benchmark_is_gone_on_with() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded", "--run-keys", "--slots", "1"]);
    let input = ["--input-json", r#"{"seconds":0.3}"#];
    let words = [&SLEEPS[..], &input, &["--runs", "12", "--key-prefix", "p", "--out", "out"]].concat();
    let first = start(&place, &words);
    first.err.until_said(r#""event":"progress""#);
    first.signal("INT");
    first.wait().expect(130).expect_said("continue with the same command").expect_said("report: out/report.html");
    assert_eq!(summary(&place.path("out"))["state"], "interrupted");
    let again = bench(&place, &words).expect(0);
    assert!(again.stdout[0].starts_with("12 of 12 runs completed"), "{again:?}");
    assert_eq!(summary(&place.path("out"))["dedupe"]["duplicates"], 12);
}

#[test]
fn the_engine_goes_away_half_way() {
    let place = Place::new();
    let engine = place.engine();
    let _worker = place.worker(&["--embedded", "--run-keys"]);
    let input = ["--input-json", r#"{"seconds":30}"#];
    let words = [&SLEEPS[..], &input, &["--runs", "5", "--timeout", "8s", "--out", "out"]].concat();
    let program = start(&place, &words);
    program.err.until_said(r#""accepted":5"#);
    engine.kill();
    let ended = program.wait().expect(4).expect_said("no answer from the engine for");
    ended.expect_said("the times of starts and finishes are not known");
    let doubts = summary(&place.path("out"))["doubts"].to_string();
    assert!(doubts.contains("did not answer"), "{doubts}");
}

#[cfg(target_os = "linux")]
#[test]
fn its_own_worker_dies() {
    let place = Place::new();
    let _engine = place.engine();
    let input = ["--input-json", r#"{"seconds":30}"#];
    let words = [&SLEEPS[..], &input, &["--with-worker", "--runs", "3", "--out", "out"]].concat();
    let program = start(&place, &words);
    program.err.until_said(r#""accepted":3"#);
    let children = program.children();
    assert_eq!(children.len(), 1, "{children:?}");
    let killed = std::process::Command::new("sh").args(["-c", &format!("kill -9 {}", children[0])]).status();
    assert!(killed.unwrap().success());
    program.wait().expect(130).expect_said("the worker of this benchmark ended");
}

#[cfg(target_os = "linux")]
#[test]
fn the_disk_is_full() {
    let place = Place::new();
    let _worker = place.worker(&["--embedded", "--run-keys"]);
    std::fs::create_dir(place.path("out")).unwrap();
    for name in ["runs.jsonl", "runs.jsonl.new"] {
        std::os::unix::fs::symlink("/dev/full", place.path("out").join(name)).unwrap();
    }
    let ended = bench(&place, &["--runs", "500", "--out", "out"]).expect(2);
    let ended = ended.expect_said("No space left").expect_said("the report is incomplete");
    assert!(ended.stdout[0].starts_with("500 of 500"), "the figures are shown all the same: {ended:?}");
    assert_eq!(summary(&place.path("out"))["state"], "complete");
}
