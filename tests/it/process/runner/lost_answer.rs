//! A connection that breaks after the engine has accepted a trigger and before its answer arrives.

use hatchet_quickstart::hatchet::client::{Client, ClientConfig, RunSummary, Sources};

use tonic::Status;

use crate::process::{Ended, Program, Workspace};
use crate::{
    chaos::proxy::Proxy,
    fake::Fake,
    support::{all_runs, eventually},
};

/// Part of an input by which the proxy recognises the trigger.
const MARKER: &str = "its answer is lost";
const HELLO: [&str; 4] =
    ["--task-name", "externally-triggered-task", "--input-json", r#"{"name":"its answer is lost"}"#];
/// A benchmark. Its trial run has the index 0.
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

/// A worker with an engine, and a proxy in front of the engine.
struct Site {
    workspace: Workspace,
    _worker: Program,
    proxy: Proxy,
    client: Client,
}

impl Site {
    async fn start() -> Self {
        let workspace = Workspace::new();
        let _worker = workspace.worker(&["--embedded"]);
        let at = workspace.handshake();
        let proxy = Proxy::to(at.grpc_address.parse().unwrap()).await;
        let client = Client::new(ClientConfig::from_handshake(&at, &Sources::default()).unwrap()).unwrap();
        Self { workspace, _worker, proxy, client }
    }

    /// Starts a runner behind the proxy, with this path appended to the address of the REST API.
    fn runner(&self, args: &[&str], rest_path: &str) -> Program {
        let address = self.proxy.address.to_string();
        let args = [args, &["--host-port", &address, "--tls-strategy", "none"]].concat();
        let mut command = self.workspace.runner_command(&args);
        Program::start(self.by_token(&mut command, rest_path))
    }

    fn by_token<'a>(&self, command: &'a mut std::process::Command, rest_path: &str) -> &'a mut std::process::Command {
        let at = self.workspace.handshake();
        command.env("HATCHET_CLIENT_TOKEN", &at.token);
        command.env("HATCHET_CLIENT_SERVER_URL", format!("{}{rest_path}", at.api_url))
    }

    /// Runs a printed command.
    fn run_printed(&self, ended: &Ended, after: &str) -> Ended {
        let mut shell = self.workspace.shell(&ended.printed_command(after));
        Program::start(self.by_token(&mut shell, "")).wait()
    }

    async fn runs(&self) -> Vec<RunSummary> {
        all_runs(&self.client).await
    }

    /// Breaks the connection when the engine has accepted this number of runs, whose answer the proxy withholds.
    async fn cut(&self, runs: usize) {
        eventually("the engine has accepted it", async || (self.runs().await.len() >= runs).then_some(())).await;
        self.proxy.restore();
        self.proxy.reset();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_whose_answer_was_lost_is_followed() {
    let site = Site::start().await;
    site.proxy.drop_received_after(MARKER.as_bytes());
    let runner = site.runner(&HELLO, "");
    site.cut(1).await;
    let ended = runner.wait().expect(0);
    assert_eq!(ended.json()["message"], format!("Hello, {MARKER}!"));
    assert_eq!(site.runs().await.len(), 1, "it was triggered once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_answer_without_rest_prints_a_find_command() {
    let site = Site::start().await;
    for (args, output) in [(&HELLO[..], "Hello"), (&[&HELLO[..], &["--no-wait"]].concat(), "-")] {
        let before = site.runs().await.len();
        site.proxy.drop_received_after(MARKER.as_bytes());
        let runner = site.runner(args, "/nowhere");
        site.cut(before + 1).await;
        let ended = runner.wait();
        let ended = ended.expect_error(7, &["not known whether it started", "the connection broke", "404"]);
        let again = site.run_printed(&ended, "look again with ").expect(0);
        assert!(again.stdout.concat().contains(output), "{again:?}");
        assert_eq!(site.runs().await.len(), before + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn search_during_rest_outage_is_logged_once() {
    let site = Site::start().await;
    site.proxy.drop_received_after(MARKER.as_bytes());
    let address = site.proxy.address.to_string();
    let args = [&HELLO[..], &["--host-port", &address, "--tls-strategy", "none"]].concat();
    let mut command = site.workspace.runner_command(&args);
    command.env("HATCHET_CLIENT_TOKEN", &site.workspace.handshake().token);
    let runner = Program::start(command.env("HATCHET_CLIENT_SERVER_URL", "http://127.0.0.1:9"));
    site.cut(1).await;
    let line = "reading the engine's list of runs failed, retrying for up to";
    runner.err.wait_for(line);
    // In this time the list is read several times.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    runner.signal("INT");
    let ended = runner.wait().expect(130);
    assert_eq!(ended.stderr.iter().filter(|said| said.contains(line)).count(), 1, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_of_full_engine_is_shown_within_timeout() {
    let (workspace, fake) = (Workspace::new(), Fake::start().await);
    fake.script(|script| script.trigger_failures.extend(vec![Status::resource_exhausted("the engine is full"); 20]));
    let args = [&HELLO[..], &["--timeout", "2s", "--tls-strategy", "none"]].concat();
    let mut command = workspace.runner_command(&args);
    let runner = Program::start(command.env("HATCHET_CLIENT_TOKEN", fake.token()));
    runner.wait().expect_error(5, &["the engine is at a limit: the engine is full"]);
    assert!(fake.script(|script| script.triggers.len()) > 1, "it was repeated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_trigger_prints_a_find_command() {
    let site = Site::start().await;
    site.proxy.drop_received_after(MARKER.as_bytes());
    let runner = site.runner(&HELLO, "");
    eventually("the engine has accepted it", async || site.runs().await.pop()).await;
    runner.signal("INT");
    let ended = runner.wait().expect(130).expect_stderr("not known whether a run was started");
    site.proxy.restore();
    let again = site.run_printed(&ended, "look for it with ").expect(0);
    assert_eq!(again.json()["message"], format!("Hello, {MARKER}!"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench_recovers_runs_whose_answer_was_lost() {
    let site = Site::start().await;
    site.proxy.drop_received_after(b"number 7");
    let bench = site.runner(&BENCH, "");
    site.cut(11).await;
    let ended = bench.wait().expect(0);
    assert!(ended.stdout[0].starts_with("10 of 10 runs completed"), "{ended:?}");
    assert_eq!(site.runs().await.len(), 11, "the trial run and ten runs");
    let report = std::fs::read_to_string(site.workspace.path("out/report.md")).unwrap();
    assert!(report.contains("10 runs count as started that were found"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench_reports_runs_whose_start_is_not_known() {
    let site = Site::start().await;
    site.proxy.drop_received_after(b"number 7");
    let bench = site.runner(&BENCH, "/nowhere");
    // Without REST, no worker is listed, so there is no trial run.
    site.cut(10).await;
    let ended = bench.wait().expect(7).expect_stderr("not known whether 10 of 10 runs started");
    assert_eq!(ended.stdout[1].trim(), "10 not known whether started", "{ended:?}");
    let line = std::fs::read_to_string(site.workspace.path("out/runs.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert_eq!(line["accepted_as"], "unanswered");
    let pair = format!("run_key={}", line["key"].as_str().unwrap());
    site.workspace.runner(&["--find", &pair]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench_timeout_with_unknown_starts_is_exit_7() {
    let site = Site::start().await;
    site.proxy.drop_received_after(b"number 7");
    let bench = site.runner(&[&BENCH[..], &["--timeout", "1s"]].concat(), "/nowhere");
    let ended = bench.wait().expect(7).expect_stderr("not known whether 10 of 10 runs started");
    ended.expect_stderr("`runner --find run_key=KEY");
    let lines = std::fs::read_to_string(site.workspace.path("out/runs.jsonl")).unwrap();
    let run: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(run["accepted_as"], "unanswered");
    assert!(run["error"].is_string(), "{run}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn find_requires_exactly_one_run() {
    let site = Site::start().await;
    let [first, second] = ["a", "b"].map(|value| {
        let pair = format!("case={value}");
        site.workspace.trigger(&[
            "--task-name",
            "externally-triggered-task",
            "--metadata",
            &pair,
            "--metadata",
            "both=1",
        ])
    });
    let found = site.workspace.runner(&["--find", "case=a"]).expect(0);
    assert_eq!(found.json()["message"], "Hello, World!");
    assert_eq!(site.workspace.runner(&["--find", "case=b", "--no-wait"]).expect(0).stdout, [second.as_str()]);
    site.workspace.runner(&["--find", "both=1"]).expect_error(2, &["2 runs have both=1", &first, &second]);
    site.workspace.runner(&["--find", "case=c"]).expect_error(7, &["no run with the metadata case=c"]);
    site.workspace.runner(&["--find", "case=c", "--timeout", "1s"]).expect_error(4, &["whether there is such a run"]);
}
