//! Version, help, completions and short flags of both binaries.

use std::process::Command;

use super::{Program, Workspace};

const BINARIES: [(&str, &str); 2] =
    [("runner", env!("CARGO_BIN_EXE_runner")), ("worker", env!("CARGO_BIN_EXE_worker"))];

/// Runs a command that succeeds. Returns its stdout.
fn output(binary: &str, args: &[&str]) -> String {
    let output = Program::start(&mut Workspace::new().command(binary, args)).wait().expect(0);
    assert!(output.stderr.is_empty(), "{output:?}");
    output.stdout.join("\n")
}

#[test]
fn version_has_the_commit_of_the_checkout() {
    let git = Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short=7", "HEAD"]).output();
    let is_checkout = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists();
    let commit = git.ok().filter(|output| is_checkout && output.status.success());
    for (name, binary) in BINARIES {
        let version = output(binary, &["--version"]);
        let plain = format!("{name} {}", env!("CARGO_PKG_VERSION"));
        match &commit {
            Some(commit) => {
                assert_eq!(version, format!("{plain} ({})", String::from_utf8_lossy(&commit.stdout).trim()));
            }
            None => assert!(version.starts_with(&plain), "{version}"),
        }
        assert_eq!(version, output(binary, &["-V"]));
    }
}

#[test]
fn help_is_a_flag_and_a_subcommand() {
    let [(_, runner), (_, worker)] = BINARIES;
    for (binary, command, headings) in [
        (runner, "", &["Commands:", "Existing runs:", "Connection:", "Logs:", "Exit codes"][..]),
        (runner, "bench", &["Load:", "Report:", "Exit codes"]),
        (runner, "doctor", &["Connection:", "Exit codes"]),
        (runner, "completions", &["Arguments:", "zsh"]),
        (runner, "run", &["Arguments:", "Connection:", "Exit codes"]),
        (runner, "runs", &["Commands:", "replay"]),
        (runner, "runs list", &["Selection:", "Connection:", "Exit codes"]),
        (runner, "cron create", &["Arguments:", "EXPRESSION", "Exit codes"]),
        (worker, "", &["Capacity:", "Start and stop:", "Health:", "Benchmark:", "Exit codes"]),
        (worker, "completions", &["Arguments:", "zsh"]),
    ] {
        let command: Vec<&str> = command.split_whitespace().collect();
        let help = output(binary, &[&["help"], &command[..]].concat());
        assert_eq!(help, output(binary, &[&command[..], &["--help"]].concat()));
        for part in headings.iter().chain(&["Examples:"]) {
            assert!(help.contains(part), "no `{part}` in {help}");
        }
    }
}

#[test]
fn examples_of_the_help_are_valid() {
    let workspace = Workspace::new();
    let [(_, runner), (_, worker)] = BINARIES;
    let mut checked = 0;
    for (binary, args) in [
        (runner, &["--help"][..]),
        (runner, &["bench", "--help"]),
        (runner, &["doctor", "--help"]),
        (runner, &["run", "--help"]),
        (runner, &["runs", "--help"]),
        (runner, &["workers", "--help"]),
        (runner, &["workflows", "--help"]),
        (runner, &["events", "--help"]),
        (runner, &["cron", "--help"]),
        (runner, &["scheduled", "--help"]),
        (worker, &["-h"]),
    ] {
        let help = output(binary, args);
        let examples = help.split("Examples:\n").nth(1).unwrap().lines().take_while(|line| line.starts_with("  "));
        for line in examples {
            // A description follows after two spaces.
            let command = line.trim_start().split("  ").next().unwrap();
            // The parser refuses an invalid argument before it prints the help.
            let output = Program::start(&mut workspace.shell(&format!("{command} --help"))).wait();
            assert_eq!(output.code, Some(0), "{command}: {output:?}");
            checked += 1;
        }
    }
    assert!(checked > 12, "{checked}");
}

#[test]
fn completions_have_flags_and_names_of_tasks() {
    for (name, binary) in BINARIES {
        for (shell, first_line) in
            [("bash", format!("_{name}()")), ("zsh", format!("#compdef {name}")), ("fish", "#".into())]
        {
            let script = output(binary, &["completions", shell]);
            assert!(script.starts_with(&first_line), "{script}");
            for part in ["sync-sleep-task", "embedded", "completions"] {
                assert!(script.contains(part), "{shell} of {name} lacks {part}");
            }
        }
    }
}

#[test]
fn bash_completes_flags_and_names_of_tasks() {
    let workspace = Workspace::new();
    for (line, expected) in [
        ("runner --task-name sync", "sync-sleep-task"),
        ("runner -t sync", "sync-sleep-task"),
        ("runner bench --tasks cpu-heavy-t", "cpu-heavy-task"),
        ("runner bench --with", "--with-worker"),
        ("runner doc", "doctor"),
        ("runner run sync", "sync-sleep-task"),
        ("runner runs rep", "replay"),
        ("runner cron create sync", "sync-sleep-task"),
        ("worker --tasks sync", "sync-sleep-task"),
        ("worker --engine", "--engine-only"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let [.., previous, current] = words[..] else { panic!("{line}") };
        let name = words[0];
        let script = format!(
            "source <({name} completions bash); COMP_WORDS=({line}); COMP_CWORD={}; _{name} {name} {current} \
             {previous}; echo \"${{COMPREPLY[@]}}\"",
            words.len() - 1
        );
        let mut bash = workspace.command("bash", &["-c", &script]);
        bash.env("PATH", format!("{}:{}", folder_of_binaries(), std::env::var("PATH").unwrap()));
        let output = Program::start(&mut bash).wait().expect(0);
        assert_eq!(output.stdout, [expected], "{line}: {output:?}");
    }
}

fn folder_of_binaries() -> String {
    let folder = std::path::Path::new(BINARIES[0].1).parent().unwrap();
    folder.to_str().unwrap().to_owned()
}

#[test]
fn completion_of_an_unknown_shell_is_refused() {
    for (_, binary) in BINARIES {
        let output = Program::start(&mut Workspace::new().command(binary, &["completions", "cmd"])).wait().expect(2);
        assert!(output.stderr[0].contains("'cmd'") && output.stdout.is_empty(), "{output:?}");
    }
    let [_, (_, worker)] = BINARIES;
    let args = ["--slots", "3", "completions", "bash"];
    Program::start(&mut Workspace::new().command(worker, &args)).wait().expect(2);
}

#[test]
fn short_flags_have_the_meaning_of_long_flags() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["-e", "-t", "externally-triggered-task"]);
    let run = |args: &[&str]| Program::start(&mut workspace.runner_command(args)).wait().expect(0);
    let output =
        run(&["-e", "-t", "externally-triggered-task", "-i", r#"{"name":"Ada"}"#, "-m", "k=v", "-s", "-o", "json"]);
    let lines = output.json_lines();
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert!(events.contains(&"chunk") && events.contains(&"result"), "{output:?}");
    workspace.write("input.json", r#"{"name":"Bob"}"#);
    let id = run(&["-e", "-t", "externally-triggered-task", "-f", "input.json", "--no-wait"]).stdout[0].clone();
    let output = run(&["-e", "-r", &id]);
    assert!(output.stdout.concat().contains("Hello, Bob!"), "{output:?}");
    assert!(run(&["-l"]).stdout.concat().contains("externally-triggered-task"));
    let settings = run(&["-e", "-v", "--explain-config"]).stdout.join("\n");
    let level = settings.lines().find(|line| line.starts_with("HATCHET_CLIENT_LOG_LEVEL")).unwrap();
    assert!(level.contains("debug") && level.ends_with("--verbose"), "{level}");
    workspace.runner(&["-v", "--log-level", "info", "-l"]).expect(2);
}
