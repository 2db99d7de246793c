//! The programs on a pseudo-terminal: colors, the lines of a worker about its runs, the elapsed time.

use super::{Program, Workspace};

const GREET: [&str; 4] = ["--task-name", "externally-triggered-task", "--input-json", r#"{"name":"Ada"}"#];
const FAIL: [&str; 4] = ["--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":-1}"#];

/// The start of the escape sequence of a color.
const COLOR: &str = "\x1b[3";

#[test]
fn worker_shows_runs_on_a_terminal_only() {
    let workspace = Workspace::new();
    let worker = |args: &[&str]| {
        let mut command = workspace.worker_command(args);
        command.env("NO_COLOR", "1");
        command
    };
    let on_terminal = Program::start_on_terminal(worker(&["--embedded"]));
    on_terminal.out.until("a registered worker", |line| line.starts_with("  tasks "));
    let id = workspace.trigger(&GREET);
    workspace.runner(&["--run-id", &id]).expect(0);
    workspace.runner(&FAIL).expect(1);
    let stopped = on_terminal.stop().expect(0);
    let shown = |part: &str| {
        stopped.stdout.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {stopped:#?}"))
    };
    let run = format!("INFO externally-triggered-task {}", &id[..8]);
    assert!(shown(&format!("{run} started")) < shown(&format!("{run} | greeting Ada")), "{stopped:#?}");
    assert!(shown(&format!("{run} | greeting Ada")) < shown(&format!("{run} completed in ")), "{stopped:#?}");
    shown(" ERROR sync-sleep-task ");
    shown("s: TaskError: invalid seconds \"-1\": 0 to 3600");
    assert!(!stopped.stdout.concat().contains(COLOR), "{stopped:#?}");

    let run_twice = |worker: Program| {
        workspace.runner(&GREET).expect(0);
        workspace.runner(&FAIL).expect(1);
        worker.stop().expect(0)
    };
    for args in [&["--embedded"][..], &["--embedded", "--log-format", "human"]] {
        let stopped = run_twice(workspace.worker(args));
        assert!(!stopped.stderr.concat().contains("greeting Ada"), "{stopped:#?}");
    }
    let stopped = run_twice(workspace.worker(&["--embedded", "--log-level", "debug"]));
    let event = |message: &str| {
        let line = stopped.stderr.iter().find(|line| line.contains(&format!(r#""message":"{message}""#)));
        let line = line.unwrap_or_else(|| panic!("{message}: {stopped:#?}"));
        serde_json::from_str::<serde_json::Value>(line).unwrap()
    };
    assert_eq!(event("greeting Ada")["task"], "externally-triggered-task");
    assert_eq!(event("started")["attempt"], 1);
    assert!(event("completed")["duration_ms"].is_number());
    assert_eq!(event("failed")["error"], "TaskError: invalid seconds \"-1\": 0 to 3600");
}

#[test]
fn quiet_worker_shows_no_runs_and_no_banner() {
    let workspace = Workspace::new();
    let worker = Program::start_on_terminal(workspace.worker_command(&["--embedded", "--quiet"]));
    // The engine announces itself in this file.
    crate::support::until("an engine", || workspace.path(".hatchet/handshake.json").exists().then_some(()));
    workspace.runner(&GREET).expect(0);
    let stopped = worker.stop().expect(0);
    assert!(stopped.stdout.is_empty(), "{stopped:#?}");
}

#[test]
fn worker_shows_the_token_on_a_terminal_only() {
    let link = |args: &[&str], on_terminal: bool| {
        let workspace = Workspace::new();
        let mut command = workspace.worker_command(&[&["--embedded"], args].concat());
        let worker = if on_terminal { Program::start_on_terminal(command) } else { Program::start(&mut command) };
        let lines = if on_terminal { &worker.out } else { &worker.err };
        let line = lines.until("the dashboard", |line| line.trim_start().starts_with("dashboard "));
        let handshake = workspace.handshake();
        let stopped = worker.stop().expect(0);
        let output = [stopped.stdout, stopped.stderr].concat().concat();
        let (address, link) =
            (format!("{}/", handshake.api_url), format!("{}/#token={}", handshake.api_url, handshake.token));
        assert!(line.contains(&address), "{line}");
        assert_eq!(output.contains(&handshake.token), line.trim_end().ends_with(&link), "{output}");
        (line.trim_end().ends_with(&link), line)
    };
    for args in [&[][..], &["--engine-only"]] {
        assert!(link(args, true).0, "{args:?}");
        let (signed_in, line) = link(args, false);
        assert!(!signed_in && line.contains("`runner open --embedded`"), "{line}");
    }
    // A log collector may read a terminal, as that of a container.
    assert!(!link(&["--log-format", "json"], true).0);
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded", "--embedded-dir", "it's here", "--tasks", "sync-sleep-task"]);
    let line = worker.err.wait_for("dashboard ");
    assert!(line.ends_with(r"(open it with `runner open --embedded --embedded-dir 'it'\''s here'`)"), "{line}");
}

#[test]
fn runner_shows_the_elapsed_time_on_a_terminal_only() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let run = |args: &[&str], no_color: bool| {
        let sleep = ["--embedded", "--task-name", "sync-sleep-task", "--input-json", r#"{"seconds":3}"#];
        let mut command = workspace.runner_command(&[&sleep[..], args].concat());
        if no_color {
            command.env("NO_COLOR", "1");
        }
        Program::start_on_terminal(command).wait().expect(0).stdout.join("\n")
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let shown = run(&[], true);
            // The line is erased before the next line is printed.
            assert!(shown.contains("s  RUNNING\n\r\x1b[1A\x1b[J"), "{shown:?}");
            assert!(shown.contains("\x1b[J   ") && shown.contains("s  COMPLETED\n"), "{shown:?}");
            assert!(!shown.contains(COLOR), "{shown:?}");
        });
        scope.spawn(|| {
            let shown = run(&[], false);
            assert!(shown.contains("s  \x1b[32mCOMPLETED\x1b[0m\n"), "{shown:?}");
        });
        scope.spawn(|| {
            let shown = run(&["--quiet"], false);
            assert!(shown.starts_with('{') && !shown.contains('\r'), "{shown:?}");
        });
        let shown = run(&["--output", "json"], false);
        assert!(!shown.contains('\r') && !shown.contains('\x1b'), "{shown:?}");
    });
}

#[test]
fn environment_forces_or_forbids_colors() {
    let workspace = Workspace::new();
    let doctor = |variables: &[(&str, &str)]| {
        let mut command = workspace.runner_command(&["doctor", "--embedded"]);
        command.envs(variables.iter().copied());
        Program::start(&mut command).wait().expect(5).stdout.concat()
    };
    assert!(!doctor(&[]).contains('\x1b'));
    assert!(doctor(&[("CLICOLOR_FORCE", "1")]).contains("\x1b[31m✗\x1b[0m"));
    assert!(!doctor(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\x1b'));
}
