//! Sources of settings, and the choice of the engine.

use crate::fake::token;
use crate::process::{Program, Workspace};

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

#[test]
fn environment_precedes_env_files() {
    let workspace = Workspace::new();
    let worker = |workspace: &Workspace, settings: &[(&str, &str)]| {
        let mut command = workspace.worker_command(&[]);
        command.envs(settings.iter().copied());
        Program::start(&mut command).wait()
    };
    workspace.write(".env", "HATCHET_WORKER_SLOTS=from-env\nHATCHET_CLIENT_TOKEN=ey\nUNRELATED=1\n");
    worker(&workspace, &[]).expect_error(2, &[r#"HATCHET_WORKER_SLOTS "from-env""#, "from .env)"]);
    workspace.write(".env.local", "# a comment\nexport HATCHET_WORKER_SLOTS=\"from-local\"\n");
    worker(&workspace, &[]).expect_error(2, &[r#"HATCHET_WORKER_SLOTS "from-local""#, "from .env.local"]);
    let process = [("HATCHET_WORKER_SLOTS", "from-process")];
    worker(&workspace, &process).expect_error(2, &[r#"HATCHET_WORKER_SLOTS "from-process""#, "the environment"]);
    let mut command = workspace.worker_command(&["--slots", "from-flag"]);
    command.envs(process);
    Program::start(&mut command).wait().expect_error(2, &[r#"HATCHET_WORKER_SLOTS "from-flag""#, "from --slots"]);
}

#[test]
fn token_in_an_env_file_is_used() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded"]);
    let token = workspace.handshake().token;
    workspace.write(".env", &format!("HATCHET_CLIENT_TOKEN={token}\nHATCHET_CLIENT_TLS_STRATEGY=none\n"));
    let mut command = workspace.runner_command(&[&HELLO[..], &["--no-wait"]].concat());
    let output = Program::start(&mut command).wait().expect(0);
    output.expect_stderr("uses the Hatchet engine by the token from .env at 127.0.0.1:");
    worker.stop().expect(0);
}

#[test]
fn log_format_defaults_to_runner_text_and_worker_json() {
    let workspace = Workspace::new();
    workspace.write(".env", "X='unclosed\n");
    let runner = |args| Program::start(&mut workspace.runner_command(args)).wait().expect(0);
    let worker = Program::start(&mut workspace.worker_command(&["--embedded=never"])).wait().expect(2);
    for (output, is_json) in [
        (runner(&["--list-tasks"][..]), false),
        (runner(&["--list-tasks", "--log-format", "json"][..]), true),
        (worker, true),
    ] {
        let line = output.stderr.iter().find(|line| line.contains("it is ignored")).expect("a warning about .env");
        assert_eq!(line.starts_with('{'), is_json, "{output:?}");
    }
}

/// `.env` files with an unreadable line, and its number.
const UNREADABLE: [(&str, usize); 3] = [
    ("HATCHET_CLIENT_TOKEN = \"ey.secret\n", 1),
    ("# it\nX='secret\nHATCHET_CLIENT_NAMESPACE=team\n", 2),
    ("\nHATCHET_CLIENT_TOKEN ey.secret\n", 2),
];

#[test]
fn unreadable_line_is_reported_but_not_printed() {
    for (text, number) in UNREADABLE {
        let workspace = Workspace::new();
        workspace.write(".env", text);
        let output = Program::start(&mut workspace.runner_command(&HELLO)).wait().expect(2);
        assert!(!output.stderr.join("\n").contains("secret"), "{output:?}");
        output.expect_stderr(&format!(".env:{number} "));
    }
}

#[test]
fn nul_byte_in_an_env_file_is_reported() {
    let workspace = Workspace::new();
    workspace.write(".env", "A=1\nB=\x002\n");
    let output = Program::start(&mut workspace.runner_command(&HELLO)).wait().expect(2);
    output.expect_stderr(".env contains a NUL byte in line 2");
}

#[test]
fn auto_mode_fails_after_an_unreadable_line() {
    for (text, number) in UNREADABLE {
        let workspace = Workspace::new();
        workspace.write(".env", text);
        let location = format!("(.env:{number})");
        let parts = [location.as_str(), "HATCHET_CLIENT_TOKEN", "--embedded"];
        Program::start(&mut workspace.worker_command(&["--embedded=auto"])).wait().expect_error(2, &parts);
        let mut command = workspace.runner_command(&[&HELLO[..], &["--embedded=auto"]].concat());
        Program::start(&mut command).wait().expect_error(2, &parts);
        let mut command = workspace.worker_command(&[]);
        Program::start(command.env("HATCHET_EMBEDDED", "1")).wait().expect_error(2, &parts);
        assert!(!workspace.path(".hatchet").exists());
        // With a token from the environment, the choice is certain.
        let mut command = workspace.runner_command(&["--embedded=auto", "--explain-config=json"]);
        let output = Program::start(command.env("HATCHET_CLIENT_TOKEN", token("engine:7070", ""))).wait().expect(0);
        assert!(output.stdout.iter().any(|line| line.contains(&format!(".env:{number} "))), "{output:#?}");
    }
}

#[test]
fn lines_after_an_unusual_line_are_read() {
    for line in ["MSG=it's", "PW=a{\"b", "X='a", "\u{feff}A=1", "A=1\r", "export A='x", "no equals sign"] {
        let workspace = Workspace::new();
        workspace.write(".env", &format!("{line}\nHATCHET_CLIENT_TOKEN={}\n", token("engine:7070", "")));
        let mut command = workspace.runner_command(&["--embedded=auto", "--explain-config=json"]);
        let output = Program::start(&mut command).wait().expect(0);
        assert!(output.stdout[0].contains("the token from .env"), "{line}: {output:#?}");
    }
    let workspace = Workspace::new();
    workspace.write(".env", &format!("\u{feff}HATCHET_CLIENT_TOKEN={}\r\n", token("engine:7070", "")));
    let output =
        Program::start(&mut workspace.runner_command(&["--embedded=auto", "--explain-config=json"])).wait().expect(0);
    assert!(output.stdout[0].contains("the token from .env"), "{output:#?}");
}

#[cfg(unix)]
#[test]
fn env_file_of_another_type_is_skipped() {
    type Make = fn(&std::path::Path);
    let makes: [(Make, &str); 3] = [
        (|path| std::fs::create_dir(path).unwrap(), "a directory"),
        (|path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()), "a pipe"),
        (|path| std::os::unix::fs::symlink("nowhere", path).unwrap(), "a symbolic link"),
    ];
    let check = |(make, kind): (Make, &str)| {
        let workspace = Workspace::new();
        make(&workspace.path(".env"));
        let worker = workspace.worker(&["--embedded=auto"]);
        worker.err.wait_for(&format!(".env is {kind}"));
        Program::start(&mut workspace.runner_command(&[&HELLO[..], &["--embedded=auto"]].concat())).wait().expect(0);
        let doctor = Program::start(&mut workspace.runner_command(&["doctor", "--embedded=auto"])).wait().expect(0);
        assert!(doctor.stdout[0].contains(&format!(".env is {kind}")), "{doctor:#?}");
        worker.stop().expect(0);
    };
    std::thread::scope(|scope| {
        for case in makes {
            scope.spawn(move || check(case));
        }
    });
}

#[test]
fn embedded_flag_precedes_the_token() {
    let workspace = Workspace::new();
    let mut command = workspace.worker_command(&["--embedded"]);
    command.env("HATCHET_CLIENT_TOKEN", token("127.0.0.1:9", ""));
    let worker = Program::start(&mut command);
    worker.err.wait_for("the token from the environment is ignored");
    worker.err.until("the banner", |line| line.starts_with("  tasks "));
    let mut command = workspace.runner_command(&[&["--embedded"], &HELLO[..]].concat());
    command.env("HATCHET_CLIENT_TOKEN", token("127.0.0.1:9", ""));
    Program::start(&mut command).wait().expect(0).expect_stderr("the token from the environment is ignored");
    worker.stop().expect(0);
}

#[test]
fn auto_mode_uses_a_token_if_set() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded=auto"]);
    worker.err.wait_for("embedded engine (no HATCHET_CLIENT_TOKEN is set)");
    let mut command = workspace.runner_command(&[&["--embedded=auto"], &HELLO[..]].concat());
    Program::start(&mut command).wait().expect(0);
    let mut command = workspace.runner_command(&[&["--embedded=auto"], &HELLO[..]].concat());
    command.env("HATCHET_CLIENT_TOKEN", "abc");
    Program::start(&mut command).wait().expect_error(2, &["HATCHET_CLIENT_TOKEN"]);
    worker.stop().expect(0);
}

#[test]
fn token_precedes_the_embedded_variable() {
    let workspace = Workspace::new();
    let mut command = workspace.worker_command(&[]);
    command.env("HATCHET_EMBEDDED", "1");
    let worker = Program::start(&mut command);
    worker.err.wait_for("embedded engine (HATCHET_EMBEDDED)");
    worker.err.until("the banner", |line| line.starts_with("  tasks "));
    let mut command = workspace.runner_command(&HELLO);
    command.env("HATCHET_EMBEDDED", "true");
    Program::start(&mut command).wait().expect(0).expect_stderr("embedded engine (HATCHET_EMBEDDED)");
    let mut command = workspace.runner_command(&[&HELLO[..], &["--no-wait"]].concat());
    let settings = [("HATCHET_EMBEDDED", "1"), ("HATCHET_CLIENT_TLS_STRATEGY", "none")];
    command.envs(settings).env("HATCHET_CLIENT_TOKEN", workspace.handshake().token);
    Program::start(&mut command).wait().expect(0).expect_stderr("HATCHET_EMBEDDED is ignored");
    let mut command = workspace.runner_command(&[&["--embedded=never"], &HELLO[..]].concat());
    command.env("HATCHET_EMBEDDED", "1");
    Program::start(&mut command).wait().expect_error(2, &["HATCHET_CLIENT_TOKEN"]);
    worker.stop().expect(0);
}

#[test]
fn banner_shows_namespace_and_selected_tasks() {
    let workspace = Workspace::new();
    let args = ["--embedded", "--namespace", "Team", "--tasks", "cpu-heavy-with-process-pool", "--cpu-threads", "1"];
    let worker = workspace.worker(&[&args[..], &["--slots", "7", "--name", "w1"]].concat());
    for line in ["  namespace team_", "  tasks     cpu-heavy-task, cpu-heavy-with-process-pool"] {
        worker.err.until(line, |printed| printed == line);
    }
    let cpu_worker =
        |printed: &str| printed.starts_with("  worker    team_w1-cpu ") && printed.ends_with(", 1 slot(s)");
    worker.err.until("the worker for CPU tasks", cpu_worker);
    let cpu = ["--namespace", "team", "--task-name", "cpu-heavy-with-process-pool", "--input-json", r#"{"limit":100}"#];
    assert_eq!(workspace.runner(&cpu).expect(0).json()["primes"], 25);
    worker.stop().expect(0);
}

#[test]
fn banner_shows_one_worker_per_slot_pool() {
    let workspace = Workspace::new();
    let worker = workspace.worker(&["--embedded", "--name", "w1", "--slots", "7", "--cpu-threads", "3"]);
    for (name, slots) in [("w1", 7), ("w1-cpu", 3)] {
        let (head, tail) = (format!("  worker    {name} "), format!(", {slots} slot(s)"));
        worker.err.until(name, |line| line.starts_with(&head) && line.ends_with(&tail));
    }
    worker.stop().expect(0);
}
