//! The report of a benchmark.

use super::{Program, Workspace, bench, runs, summary};

#[test]
fn report_has_the_times_of_every_run() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    let args = [
        "--tasks",
        "externally-triggered-task,sync-sleep-task",
        "--runs",
        "30",
        "--batch",
        "7",
        "--input-json",
        r#"externally-triggered-task={"name":"<run {index}>"}"#,
        "--input-json",
        r#"sync-sleep-task={"seconds":0.01}"#,
        "--key-prefix",
        "first",
        "--out",
        "out",
    ];
    let output = bench(&workspace, &args).expect(0).expect_stderr("report: out/report.html");
    assert_eq!(output.stdout[0].split(" in ").next(), Some("60 of 60 runs completed"), "{output:?}");
    let out = workspace.path("out");
    let runs = runs(&out);
    assert_eq!(runs.len(), 60);
    for run in &runs {
        assert_eq!((run["status"].as_str(), run["accepted_as"].as_str()), (Some("COMPLETED"), Some("started")));
        let value = |name: &str| run[name].as_f64().unwrap_or_else(|| panic!("no {name}: {run}"));
        assert!(value("submitted_ms") <= value("accepted_ms") && value("started_ms") <= value("finished_ms"), "{run}");
        let key = format!("first:{}:{}", run["task"].as_str().unwrap(), run["index"]);
        assert_eq!(run["key"], *key);
    }
    let summary = summary(&out);
    assert_eq!((&summary["state"], &summary["prefix"]), (&"complete".into(), &"first".into()));
    assert_eq!(summary["latency"]["total"]["n"], 60);
    assert_eq!(summary["settings"]["tasks"][1]["workflow"], "sync-sleep-task-keyed");
    assert!(summary["dedupe"]["until"].is_string() && summary["dedupe"]["on"] == true, "{summary}");
    assert!(summary["slots"]["ideal_s"].as_f64().unwrap() <= summary["slots"]["taken_s"].as_f64().unwrap() + 0.01);
    let p95 = summary["latency"]["total"]["p95"].as_f64().unwrap();
    assert!(p95 <= summary["latency"]["total"]["p99"].as_f64().unwrap(), "{summary}");
    for name in ["queueing, p95", "running, p95", "total, p95"] {
        assert!(output.stdout.iter().any(|line| line.trim_start().starts_with(name)), "{output:?}");
    }
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("95th percentile of total time") && page.contains("<th>p95</th>"), "{page}");
    assert!(page.contains("<svg") && page.contains("Timeline") && page.ends_with("</html>\n"));
    // The page loads nothing and has no script.
    assert!(
        !page.contains("http") && !page.contains("<script") && !page.contains("src="),
        "the page is not self-contained"
    );
    let markdown = std::fs::read_to_string(out.join("report.md")).unwrap();
    assert!(markdown.contains("| all | 60 | 60 |") && markdown.contains("| p90 | p95 | p99 |"), "{markdown}");
}

#[test]
fn runs_follow_the_rate_and_reports_are_compared() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    let small = ["--runs", "40", "--output", "json"];
    bench(&workspace, &[&small[..], &["--out", "fast"]].concat()).expect(0);
    let output =
        bench(&workspace, &[&small[..], &["--rate", "50", "--out", "slow", "--compare", "fast"]].concat()).expect(0);
    // The last run is due after 0.78 s.
    let seconds = output.json()["seconds"].as_f64().unwrap();
    assert!(seconds >= 0.78, "{seconds}");
    let due: Vec<f64> = runs(&workspace.path("slow")).iter().map(|run| run["due_ms"].as_f64().unwrap()).collect();
    assert!(due.contains(&780.0) && due.contains(&20.0), "{due:?}");
    let warnings = output.json()["doubts"].to_string();
    assert!(warnings.contains("coordinated omission is avoided"), "{warnings}");
    let page = std::fs::read_to_string(workspace.path("slow/report.html")).unwrap();
    assert!(page.contains("Compared with"));
    assert!(std::fs::read_to_string(workspace.path("slow/report.md")).unwrap().contains("| now | before | change |"));
}

#[test]
fn equal_errors_are_grouped() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    let args = ["--tasks", "sync-sleep-task", "--runs", "12", "--input-json", r#"{"seconds":9999}"#, "--out", "out"];
    let output = bench(&workspace, &args).expect(1).expect_stderr("12 runs did not complete");
    assert!(output.stdout.iter().any(|line| line.contains("12 x ") && line.contains("0 to 3600")), "{output:?}");
    let errors = summary(&workspace.path("out"))["errors"].clone();
    assert_eq!((errors.as_array().map(Vec::len), &errors[0]["runs"]), (Some(1), &12.into()));
}

#[test]
fn slots_of_both_slot_pools_are_counted() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys", "--slots", "7", "--cpu-threads", "3"]);
    let args = ["--tasks", "sync-sleep-task,cpu-heavy-task", "--runs", "10", "--out", "out"];
    let inputs =
        ["--input-json", r#"sync-sleep-task={"seconds":0.2}"#, "--input-json", r#"cpu-heavy-task={"limit":1000}"#];
    let output = bench(&workspace, &[&args[..], &inputs].concat()).expect(0);
    assert_eq!(summary(&workspace.path("out"))["slots"]["limits"], serde_json::json!({ "cpu": 3, "default": 7 }));
    let ideal = output.stdout.iter().find_map(|line| line.strip_prefix("  ideal time: "));
    let ideal = ideal.unwrap_or_else(|| panic!("{output:?}"));
    // On a busy machine, either pool may be the slower one.
    let has_pool = ideal.contains("running on 7 default slot(s)") || ideal.contains("running on 3 cpu slot(s)");
    assert!(has_pool, "{ideal}");
    for file in ["report.md", "report.html"] {
        assert!(std::fs::read_to_string(workspace.path("out").join(file)).unwrap().contains(ideal), "{file}");
    }
}

#[test]
fn summary_of_an_earlier_version_can_be_compared() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    bench(&workspace, &["--runs", "2", "--out", "before"]).expect(0);
    let mut earlier = summary(&workspace.path("before"));
    for name in ["accepting", "queueing", "running", "telling", "total"] {
        assert!(earlier["latency"][name].as_object_mut().unwrap().remove("p95").is_some());
    }
    for name in ["running_s", "longest_s"] {
        assert!(earlier["slots"].as_object_mut().unwrap().remove(name).is_some());
    }
    workspace.write("before/summary.json", &earlier.to_string());
    let output = bench(&workspace, &["--runs", "2", "--out", "now", "--compare", "before"]).expect(0);
    let p95 = output.stdout.iter().find(|line| line.contains("total, p95")).unwrap();
    assert!(p95.ends_with("before –"), "{p95}");
}

#[test]
fn quiet_benchmark_prints_results_and_warnings_only() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded", "--run-keys"]);
    let args = ["--quiet", "--runs", "1", "--input-json", r#"{"nmae":"Ada"}"#, "--out", "out"];
    let output = bench(&workspace, &args).expect(0);
    assert_eq!(output.stderr.len(), 1, "{output:?}");
    assert!(output.stderr[0].starts_with("warning: --input-json for externally-triggered-task has"), "{output:?}");
    assert!(output.stdout[0].starts_with("1 of 1 runs completed"), "{output:?}");
    let mut command = workspace.runner_command(&[&["bench", "--embedded"], &args[..3], &["--out", "two"]].concat());
    command.env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR");
    let colored = Program::start(&mut command).wait().expect(0);
    assert!(colored.stdout[0].starts_with("\u{1b}[32m1 of 1 runs completed"), "{colored:?}");
}
