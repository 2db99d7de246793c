//! A link that is cut between the engine's acceptance of a trigger and its answer.

use hatchet_quickstart::hatchet::client::{Client, ClientConfig, RunSummary, Sources};

use super::{Ended, Place, Program};
use crate::{
    chaos::proxy::Proxy,
    support::{all_runs, eventually},
};

/// Part of an input, by which the link knows the trigger.
const MARKER: &str = "its answer is lost";
const HELLO: [&str; 4] =
    ["--task-name", "externally-triggered-task", "--input-json", r#"{"name":"its answer is lost"}"#];
/// The trial run before the others has the index 0.
const BENCH: [&str; 9] = [
    "bench",
    "--tasks",
    "sync-sleep-task",
    "--runs",
    "10",
    "--input-json",
    r#"{"seconds":1,"note":"number {index}"}"#,
    "--out",
    "out",
];

/// A worker with an engine, and a link to it.
struct Site {
    place: Place,
    _worker: Program,
    proxy: Proxy,
    client: Client,
}

impl Site {
    async fn start() -> Self {
        let place = Place::new();
        let _worker = place.worker(&["--embedded"]);
        let at = place.handshake();
        let proxy = Proxy::to(at.grpc_address.parse().unwrap()).await;
        let client = Client::new(ClientConfig::from_handshake(&at, &Sources::default()).unwrap()).unwrap();
        Self { place, _worker, proxy, client }
    }

    /// A runner behind the link, with this path after the address of its REST part.
    fn runner(&self, words: &[&str], rest_path: &str) -> Program {
        let address = self.proxy.address.to_string();
        let words = [words, &["--host-port", &address, "--tls-strategy", "none"]].concat();
        let mut command = self.place.runner_command(&words);
        Program::start(self.by_token(&mut command, rest_path))
    }

    fn by_token<'a>(&self, command: &'a mut std::process::Command, rest_path: &str) -> &'a mut std::process::Command {
        let at = self.place.handshake();
        command.env("HATCHET_CLIENT_TOKEN", &at.token);
        command.env("HATCHET_CLIENT_SERVER_URL", format!("{}{rest_path}", at.api_url))
    }

    /// Runs the command that a program has printed.
    fn paste(&self, ended: &Ended, after: &str) -> Ended {
        let mut shell = self.place.shell(&ended.printed_command(after));
        Program::start(self.by_token(&mut shell, "")).wait()
    }

    async fn runs(&self) -> Vec<RunSummary> {
        all_runs(&self.client).await
    }

    /// Cuts the link when so many runs are accepted of the trigger that it does not let be answered.
    async fn cut(&self, runs: usize) {
        eventually("the engine has accepted it", async || (self.runs().await.len() >= runs).then_some(())).await;
        self.proxy.restore();
        self.proxy.reset();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runner_follows_the_run_that_started() {
    let site = Site::start().await;
    site.proxy.drop_received_after(MARKER.as_bytes());
    let runner = site.runner(&HELLO, "");
    site.cut(1).await;
    let ended = runner.wait().expect(0);
    assert_eq!(ended.json()["message"], format!("Hello, {MARKER}!"));
    assert_eq!(site.runs().await.len(), 1, "it was triggered once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runner_without_a_list_of_runs_prints_the_command_that_looks_again() {
    let site = Site::start().await;
    for (words, output) in [(&HELLO[..], "Hello"), (&[&HELLO[..], &["--no-wait"]].concat(), "-")] {
        let before = site.runs().await.len();
        site.proxy.drop_received_after(MARKER.as_bytes());
        let runner = site.runner(words, "/nowhere");
        site.cut(before + 1).await;
        let ended = runner.wait();
        let ended = ended.expect_error(7, &["not known whether it started", "the connection broke", "404"]);
        let again = site.paste(&ended, "look again with ").expect(0);
        assert!(again.stdout.concat().contains(output), "{again:?}");
        assert_eq!(site.runs().await.len(), before + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_trigger_prints_the_command_that_looks_for_its_run() {
    let site = Site::start().await;
    site.proxy.drop_received_after(MARKER.as_bytes());
    let runner = site.runner(&HELLO, "");
    eventually("the engine has accepted it", async || site.runs().await.pop()).await;
    runner.signal("INT");
    let ended = runner.wait().expect(130).expect_said("not known whether a run was started");
    site.proxy.restore();
    let again = site.paste(&ended, "look for it with ").expect(0);
    assert_eq!(again.json()["message"], format!("Hello, {MARKER}!"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench_without_keys_follows_the_runs_that_started() {
    let site = Site::start().await;
    site.proxy.drop_received_after(b"number 7");
    let bench = site.runner(&BENCH, "");
    site.cut(11).await;
    let ended = bench.wait().expect(0);
    assert!(ended.stdout[0].starts_with("10 of 10 runs completed"), "{ended:?}");
    assert_eq!(site.runs().await.len(), 11, "the trial and the ten");
    let report = std::fs::read_to_string(site.place.path("out/report.md")).unwrap();
    assert!(report.contains("10 runs count as started that were found"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench_without_a_list_of_runs_says_what_is_not_known() {
    let site = Site::start().await;
    site.proxy.drop_received_after(b"number 7");
    let bench = site.runner(&BENCH, "/nowhere");
    // The workers are not listed either, so there is no trial.
    site.cut(10).await;
    let ended = bench.wait().expect(7).expect_said("not known whether 10 of 10 runs started");
    assert_eq!(ended.stdout[1].trim(), "10 not known whether started", "{ended:?}");
    let line = std::fs::read_to_string(site.place.path("out/runs.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert_eq!(line["accepted_as"], "unanswered");
    let pair = format!("run_key={}", line["key"].as_str().unwrap());
    site.place.runner(&["--find", &pair]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn find_needs_exactly_one_run() {
    let site = Site::start().await;
    let [first, second] = ["a", "b"].map(|value| {
        let pair = format!("case={value}");
        site.place.trigger(&["--task-name", "externally-triggered-task", "--metadata", &pair, "--metadata", "both=1"])
    });
    let found = site.place.runner(&["--find", "case=a"]).expect(0);
    assert_eq!(found.json()["message"], "Hello, World!");
    assert_eq!(site.place.runner(&["--find", "case=b", "--no-wait"]).expect(0).stdout, [second.as_str()]);
    site.place.runner(&["--find", "both=1"]).expect_error(2, &["2 runs have both=1", &first, &second]);
    site.place.runner(&["--find", "case=c"]).expect_error(7, &["no run with the metadata case=c"]);
    site.place.runner(&["--find", "case=c", "--timeout", "1s"]).expect_error(4, &["whether there is such a run"]);
}
