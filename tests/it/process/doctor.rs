//! `runner doctor`: what it says of things that are well, and of each that is not.

use std::collections::BTreeMap;

use hatchet_quickstart::hatchet::{
    client::{Client, ClientConfig, Sources},
    task::Stub,
    worker::{Worker, WorkerOptions},
};
use serde_json::{Map, Value};

use super::{Ended, Place, Program, address, tls};
use crate::fake::token;

/// Runs it with these settings, and gives each check's status and message; of several workers, the first.
fn checks(ended: &Ended) -> BTreeMap<String, (String, String)> {
    let mut checks = BTreeMap::new();
    for line in ended.json_lines() {
        assert_eq!(line["event"], "check", "{line}");
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        assert!(!text("message").contains('\n'), "{line}");
        checks.entry(text("check")).or_insert((text("status"), text("message")));
    }
    checks
}

fn doctor(place: &Place, words: &[&str], settings: &[(&str, &str)]) -> Ended {
    let mut command = place.runner_command(&[&["doctor", "--output", "json"], words].concat());
    command.envs(settings.iter().copied());
    Program::start(&mut command).wait()
}

/// Asserts that one check failed, for this reason, and that what comes after it was left out.
#[track_caller]
fn expect_broken(ended: Ended, code: i32, check: &str, parts: &[&str], left_out: &[&str]) {
    let ended = ended.expect(code);
    let checks = checks(&ended);
    let broken: Vec<_> = checks.iter().filter(|(_, (status, _))| status == "failed").collect();
    assert_eq!(broken.len(), 1, "{checks:#?}");
    assert_eq!(broken[0].0, check, "{checks:#?}");
    for part in parts {
        assert!(broken[0].1.1.contains(part), "no `{part}` in {broken:?}");
    }
    for check in left_out {
        assert_eq!(checks[*check].0, "skipped", "{checks:#?}");
    }
    ended.expect_said(&format!("error: not all is well: {check}"));
}

#[test]
fn all_is_well() {
    let place = Place::new();
    let worker = place.worker(&["--embedded", "--slots", "7", "--cpu-threads", "3"]);
    // The flag may stand on either side of the word.
    Program::start(&mut place.runner_command(&["--embedded", "doctor"])).wait().expect(0);
    let ended = doctor(&place, &["--embedded"], &[]).expect(0);
    let found = checks(&ended);
    assert!(found.values().all(|(status, _)| status == "ok"), "{found:#?}");
    assert!(found["version"].1.contains("has slot types"), "{found:#?}");
    assert!(found["clock"].1.contains("agrees"), "{found:#?}");
    assert!(found["workers"].1.contains("1 online, 7 slot(s) free"), "{found:#?}");
    let mut workers: Vec<Value> = ended.json_lines().into_iter().filter(|line| line["check"] == "workers").collect();
    let names = ["externally-triggered-task", "sync-sleep-task", "cpu-heavy-task", "cpu-heavy-with-process-pool"];
    // Beside the quickstart's there may be others.
    workers.retain(|line| names.iter().any(|name| line["task"] == *name));
    let tasks: Vec<&Value> = workers.iter().map(|line| &line["task"]).collect();
    assert_eq!(tasks, names, "an alias is a workflow of its own");
    assert_eq!(workers[2]["message"], "1 online, 3 slot(s) free", "the process' worker for CPU tasks");
    let human = Program::start(&mut place.runner_command(&["doctor", "--embedded"])).wait().expect(0);
    assert!(human.stderr.is_empty() && human.stdout.iter().all(|line| line.starts_with("✓ ")), "{human:#?}");
    worker.stop().expect(0);
}

#[test]
fn settings_that_cannot_be_used() {
    let place = Place::new();
    expect_broken(doctor(&place, &[], &[]), 2, "token", &["HATCHET_CLIENT_TOKEN", "--embedded"], &["tcp", "workers"]);
    let bad = [("HATCHET_CLIENT_TOKEN", "hello")];
    expect_broken(doctor(&place, &[], &bad), 2, "token", &["does not start with `ey`"], &["address"]);
    let token = token("127.0.0.1:9", "");
    let bad = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_HOST_PORT", "localhost")];
    expect_broken(doctor(&place, &[], &bad), 2, "address", &["HATCHET_CLIENT_HOST_PORT"], &["tcp"]);
}

#[test]
fn nothing_there() {
    let place = Place::new();
    expect_broken(doctor(&place, &["--embedded"], &[]), 5, "folder", &["make run-worker"], &["token", "tcp"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap().to_string();
    drop(listener);
    let token = token(&closed, "");
    let parts = ["nothing answers at", "HATCHET_CLIENT_HOST_PORT"];
    expect_broken(doctor(&place, &[], &[("HATCHET_CLIENT_TOKEN", &token)]), 5, "tcp", &parts, &["tls", "version"]);
}

#[test]
fn no_worker_and_an_open_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let engine = place.engine();
    let ended = doctor(&place, &["--embedded"], &[]).expect(5);
    assert_eq!(checks(&ended)["workers"].0, "failed");
    ended.expect_said("workers of cpu-heavy-task");
    std::fs::set_permissions(place.path(".hatchet"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let found = checks(&doctor(&place, &["--embedded"], &[]).expect(5));
    assert!(found["folder"].1.contains("chmod go= .hatchet"), "{found:#?}");
    engine.stop().expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn task_registered_by_its_alias_only_is_reported() {
    let place = Place::new();
    let _engine = place.engine();
    let config = ClientConfig::from_handshake(&place.handshake(), &Sources::default()).unwrap();
    let alias = Stub::new("cpu-heavy-with-process-pool").task(|input: Map<String, Value>, _| async { Ok(input) });
    let mut worker =
        Worker::new(&Client::new(config).unwrap()).options(WorkerOptions::default()).register(alias).start().unwrap();
    worker.listening().await.unwrap();
    let ended = doctor(&place, &["--embedded"], &[]).expect(5);
    let found: BTreeMap<String, String> = ended
        .json_lines()
        .into_iter()
        .filter(|line| line["check"] == "workers")
        .map(|line| (line["task"].as_str().unwrap().to_owned(), line["status"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!((found["cpu-heavy-task"].as_str(), found["cpu-heavy-with-process-pool"].as_str()), ("failed", "ok"));
    // As it is triggered, so it was checked.
    let trigger = |name: &str| place.runner(&["--task-name", name, "--input-json", r#"{"limit":10}"#, "--no-wait"]);
    trigger("cpu-heavy-task").expect_error(8, &["start a worker that registers cpu-heavy-task"]);
    trigger("cpu-heavy-with-process-pool").expect(0);
}

#[test]
fn tls_where_there_is_none_and_a_token_of_another_engine() {
    let (place, other) = (Place::new(), Place::new());
    let (_engine, _other) = (place.engine(), other.engine());
    let (token, address) = (place.handshake().token, place.handshake().grpc_address);
    let parts = ["speaks plaintext and we speak TLS: set HATCHET_CLIENT_TLS_STRATEGY=none"];
    expect_broken(doctor(&place, &[], &[("HATCHET_CLIENT_TOKEN", &token)]), 5, "tls", &parts, &["authentication"]);
    let stranger = other.handshake().token;
    let settings = [
        ("HATCHET_CLIENT_TOKEN", stranger.as_str()),
        ("HATCHET_CLIENT_HOST_PORT", &address),
        ("HATCHET_CLIENT_TLS_STRATEGY", "none"),
    ];
    let parts = ["refused the token", "HATCHET_CLIENT_TOKEN"];
    expect_broken(doctor(&place, &[], &settings), 5, "authentication", &parts, &["version", "rest"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn tls_on_the_other_side_only_or_with_a_stranger() {
    let place = Place::new();
    let engine = tls::tls_engine(&place).await;
    let token = engine.token();
    let run = async |strategy: &str| {
        let mut command = place.runner_command(&["doctor", "--output", "json"]);
        command.env("HATCHET_CLIENT_TOKEN", &token).env("HATCHET_CLIENT_TLS_STRATEGY", strategy);
        tls::run(command).await
    };
    let parts = ["speaks TLS and we speak plaintext: set HATCHET_CLIENT_TLS_STRATEGY=tls"];
    expect_broken(run("none").await, 5, "tls", &parts, &["authentication"]);
    expect_broken(run("tls").await, 5, "tls", &["HATCHET_CLIENT_TLS_ROOT_CA_FILE"], &["authentication"]);
}

#[test]
fn an_engine_that_says_nothing() {
    for (words, check, parts) in [
        (&b""[..], "tls", ["took the connection and said nothing", "HATCHET_CLIENT_HOST_PORT"]),
        (address::SETTINGS, "authentication", ["has not answered a call", "an engine that hangs"]),
    ] {
        let address = address::stranger(words, true);
        let token = token(&address, "");
        let settings = [("HATCHET_CLIENT_TOKEN", token.as_str()), ("HATCHET_CLIENT_TLS_STRATEGY", "none")];
        let ended = doctor(&Place::new(), &[], &settings);
        expect_broken(ended, 5, check, &[&parts[..], &[&address]].concat(), &["workers"]);
    }
}
