//! A connection that breaks after the engine has accepted a trigger and before its response arrives.

use hatchet_quickstart::hatchet::client::{Client, ClientConfig, RunSummary, Sources};

use tonic::Status;

use crate::{
    chaos::proxy::Proxy,
    fake::Fake,
    process::{Program, ProgramOutput, Workspace, connection::RestStub},
    support::{all_runs, eventually},
};

/// Part of an input by which the proxy recognizes the trigger.
const MARKER: &str = "its response is lost";
const HELLO: [&str; 4] =
    ["--task-name", "externally-triggered-task", "--input-json", r#"{"name":"its response is lost"}"#];
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
struct Fixture {
    workspace: Workspace,
    _worker: Program,
    proxy: Proxy,
    client: Client,
}

impl Fixture {
    async fn start() -> Self {
        let workspace = Workspace::new();
        let _worker = workspace.worker(&["--embedded"]);
        let handshake = workspace.handshake();
        let proxy = Proxy::to(handshake.grpc_address.parse().unwrap()).await;
        let client = Client::new(ClientConfig::from_handshake(&handshake, &Sources::default()).unwrap()).unwrap();
        Self { workspace, _worker, proxy, client }
    }

    /// Starts a runner behind the proxy, with this path appended to the address of the REST API.
    fn runner(&self, args: &[&str], rest_path: &str) -> Program {
        let address = self.proxy.address.to_string();
        let args = [args, &["--host-port", &address, "--tls-strategy", "none"]].concat();
        let mut command = self.workspace.runner_command(&args);
        Program::start(self.use_token(&mut command, rest_path))
    }

    fn use_token<'a>(&self, command: &'a mut std::process::Command, rest_path: &str) -> &'a mut std::process::Command {
        let handshake = self.workspace.handshake();
        command.env("HATCHET_CLIENT_TOKEN", &handshake.token);
        command.env("HATCHET_CLIENT_SERVER_URL", format!("{}{rest_path}", handshake.api_url))
    }

    /// Runs a printed command.
    fn run_printed(&self, output: &ProgramOutput, after: &str) -> ProgramOutput {
        let mut shell = self.workspace.shell(&output.printed_command(after));
        Program::start(self.use_token(&mut shell, "")).wait()
    }

    async fn runs(&self) -> Vec<RunSummary> {
        all_runs(&self.client).await
    }

    /// Breaks the connection when the engine has accepted this number of runs, whose responses the proxy withholds.
    async fn break_connection(&self, runs: usize) {
        eventually("the engine has accepted the runs", async || (self.runs().await.len() >= runs).then_some(())).await;
        self.proxy.restore();
        self.proxy.reset();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_with_lost_response_is_followed() {
    let fixture = Fixture::start().await;
    fixture.proxy.drop_received_after(MARKER.as_bytes());
    let runner = fixture.runner(&HELLO, "");
    fixture.break_connection(1).await;
    let output = runner.wait().expect(0);
    assert_eq!(output.json()["message"], format!("Hello, {MARKER}!"));
    assert_eq!(fixture.runs().await.len(), 1, "the run was triggered once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_response_without_rest_prints_find_command() {
    let fixture = Fixture::start().await;
    for (args, expected) in [(&HELLO[..], "Hello"), (&[&HELLO[..], &["--no-wait"]].concat(), "-")] {
        let before = fixture.runs().await.len();
        fixture.proxy.drop_received_after(MARKER.as_bytes());
        let runner = fixture.runner(args, "/nowhere");
        fixture.break_connection(before + 1).await;
        let output = runner.wait().expect_error(7, &["not known whether it started", "the connection broke", "404"]);
        let again = fixture.run_printed(&output, "search again with ").expect(0);
        assert!(again.stdout.concat().contains(expected), "{again:?}");
        assert_eq!(fixture.runs().await.len(), before + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn search_during_rest_outage_is_logged_once() {
    let fixture = Fixture::start().await;
    fixture.proxy.drop_received_after(MARKER.as_bytes());
    let address = fixture.proxy.address.to_string();
    let args = [&HELLO[..], &["--host-port", &address, "--tls-strategy", "none"]].concat();
    let mut command = fixture.workspace.runner_command(&args);
    command.env("HATCHET_CLIENT_TOKEN", &fixture.workspace.handshake().token);
    let rest = RestStub::start("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", None).await;
    let runner = Program::start(command.env("HATCHET_CLIENT_SERVER_URL", format!("http://{}", rest.address)));
    fixture.break_connection(1).await;
    let line = "reading the engine's list of runs failed, retrying for up to";
    runner.err.wait_for(line);
    let requests = || rest.heads.lock().unwrap().len();
    let logged_at = requests();
    eventually("the list is read again", async || (requests() >= logged_at + 2).then_some(())).await;
    runner.signal("INT");
    let output = runner.wait().expect(130);
    assert_eq!(output.stderr.iter().filter(|printed| printed.contains(line)).count(), 1, "{output:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusal_of_full_engine_is_shown_within_timeout() {
    let (workspace, fake) = (Workspace::new(), Fake::start().await);
    fake.script(|script| script.trigger_failures.extend(vec![Status::resource_exhausted("the engine is full"); 20]));
    let args = [&HELLO[..], &["--timeout", "2s", "--tls-strategy", "none"]].concat();
    let mut command = workspace.runner_command(&args);
    let runner = Program::start(command.env("HATCHET_CLIENT_TOKEN", fake.token()));
    runner.wait().expect_error(5, &["the engine is at a limit: the engine is full"]);
    assert!(fake.script(|script| script.triggers.len()) > 1, "the trigger was repeated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timeout_after_sending_prints_find_command() {
    let (workspace, fake) = (Workspace::new(), Fake::start().await);
    fake.script(|script| script.trigger_delay = std::time::Duration::from_secs(60));
    let args = [&HELLO[..], &["--timeout", "5", "--tls-strategy", "none"]].concat();
    let mut command = workspace.runner_command(&args);
    let runner = Program::start(command.env("HATCHET_CLIENT_TOKEN", fake.token()));
    let parts = ["has not responded within 5s", "not known whether a run was started", "`runner --find "];
    runner.wait().expect_error(4, &parts);
    assert_eq!(fake.script(|script| script.triggers.len()), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_trigger_prints_find_command() {
    let fixture = Fixture::start().await;
    fixture.proxy.drop_received_after(MARKER.as_bytes());
    let runner = fixture.runner(&HELLO, "");
    eventually("the engine has accepted the runs", async || fixture.runs().await.pop()).await;
    runner.signal("INT");
    let output = runner.wait().expect(130).expect_stderr("not known whether a run was started");
    fixture.proxy.restore();
    let again = fixture.run_printed(&output, "search for it with ").expect(0);
    assert_eq!(again.json()["message"], format!("Hello, {MARKER}!"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench_finds_runs_with_lost_responses() {
    let fixture = Fixture::start().await;
    fixture.proxy.drop_received_after(b"number 7");
    let bench = fixture.runner(&BENCH, "");
    fixture.break_connection(11).await;
    let output = bench.wait().expect(0);
    assert!(output.stdout[0].starts_with("10 of 10 runs completed"), "{output:?}");
    assert_eq!(fixture.runs().await.len(), 11, "the trial run and ten runs");
    let report = std::fs::read_to_string(fixture.workspace.path("out/report.md")).unwrap();
    assert!(report.contains("10 runs were found after"), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench_reports_runs_with_unknown_start() {
    let fixture = Fixture::start().await;
    fixture.proxy.drop_received_after(b"number 7");
    let bench = fixture.runner(&BENCH, "/nowhere");
    // Without REST, no worker is listed, so there is no trial run.
    fixture.break_connection(10).await;
    let output = bench.wait().expect(7).expect_stderr("not known whether 10 of 10 runs started");
    assert_eq!(output.stdout[1].trim(), "10 not known whether started", "{output:?}");
    let line = std::fs::read_to_string(fixture.workspace.path("out/runs.jsonl")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert_eq!(line["accepted_as"], "unanswered");
    let pair = format!("run_key={}", line["key"].as_str().unwrap());
    fixture.workspace.runner(&["--find", &pair]).expect(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench_timeout_with_unknown_starts_is_exit_7() {
    let fixture = Fixture::start().await;
    fixture.proxy.drop_received_after(b"number 7");
    let bench = fixture.runner(&[&BENCH[..], &["--timeout", "4s"]].concat(), "/nowhere");
    let output = bench.wait().expect(7).expect_stderr("not known whether 10 of 10 runs started");
    output.expect_stderr("`runner --find run_key=KEY");
    let lines = std::fs::read_to_string(fixture.workspace.path("out/runs.jsonl")).unwrap();
    let run: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(run["accepted_as"], "unanswered");
    assert!(run["error"].is_string(), "{run}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn find_requires_exactly_one_run() {
    let fixture = Fixture::start().await;
    let [first, second] = ["a", "b"].map(|value| {
        let pair = format!("case={value}");
        fixture.workspace.trigger(&[
            "--task-name",
            "externally-triggered-task",
            "--metadata",
            &pair,
            "--metadata",
            "both=1",
        ])
    });
    // The engine may list a run late, so a search without a result takes 12 s.
    let missing = fixture.workspace.start_runner(&["--find", "case=c"]);
    let timed_out = fixture.workspace.start_runner(&["--find", "case=c", "--timeout", "1s"]);
    let found = fixture.workspace.runner(&["--find", "case=a"]).expect(0);
    assert_eq!(found.json()["message"], "Hello, World!");
    assert_eq!(fixture.workspace.runner(&["--find", "case=b", "--no-wait"]).expect(0).stdout, [second.as_str()]);
    fixture.workspace.runner(&["--find", "both=1"]).expect_error(2, &["2 runs have both=1", &first, &second]);
    timed_out.wait().expect_error(4, &["whether such a run exists"]);
    missing.wait().expect_error(7, &["no run with the metadata case=c"]);
}
