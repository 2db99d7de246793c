//! The README's commands, run word for word from the project's folder, and what it shows of their output.
//!
//! A comment before a block says what to do with it: `run` runs it to its end, `background` keeps it until all is run,
//! `not run: <why>` leaves it out. The `text` block that follows, if any, shows lines of its output; one that ends with
//! ` …` may go on. A block after `paste` is Rust, which `.ci/paste` tries.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// For one block, with what it builds.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, PartialEq)]
enum Mode {
    Run,
    Background,
    NotRun,
}

#[derive(Debug)]
struct Block {
    mode: Mode,
    commands: String,
    /// Lines that the output must have, in this order.
    shown: Vec<String>,
}

/// All `sh` blocks of the README. One without a comment is an error: nobody would know whether it is true.
fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut mode = None;
    let mut lines = readme.lines();
    // Only a `text` block that belongs to a command is its output.
    let mut output_may_follow = false;
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            mode = Some(match comment.split(':').next() {
                Some("run") => Mode::Run,
                Some("background") => Mode::Background,
                Some("not run") => Mode::NotRun,
                Some("paste") => continue,
                _ => panic!("the README has an unknown comment: {comment}"),
            });
        } else if let Some(kind) = line.strip_prefix("```") {
            let body: Vec<String> = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
            match kind {
                "sh" => {
                    let mode = mode.take().unwrap_or_else(|| panic!("no comment before {body:?}"));
                    blocks.push(Block { mode, commands: body.join("\n"), shown: Vec::new() });
                    output_may_follow = true;
                }
                "text" if output_may_follow => {
                    if let Some(block) = blocks.last_mut() {
                        block.shown = body;
                    }
                    output_may_follow = false;
                }
                _ => {}
            }
        }
    }
    blocks
}

/// A line without what changes from run to run: digits.
fn steady(line: &str) -> String {
    let mut steady = String::new();
    for c in line.chars() {
        if !c.is_ascii_digit() && c != '.' {
            steady.push(c);
        } else if !steady.ends_with('#') {
            steady.push('#');
        }
    }
    steady.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: Vec<String>,
}

impl Running {
    /// Starts a block in the project's folder, away from a developer's own token and engine.
    fn start(commands: &str, engine: &std::path::Path) -> Self {
        let mut child = Command::new("sh")
            .args(["-e", "-c", commands])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("HATCHET_EMBEDDED_DIR", engine)
            // Empty counts as not set, and wins over what a .env file says.
            .env("HATCHET_CLIENT_TOKEN", "")
            .env_remove("HATCHET_TEST_TARGET")
            .env_remove("MAKEFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, to end all of it at once.
            .process_group(0)
            .spawn()
            .expect("sh runs");
        let (sender, lines) = mpsc::channel();
        let readers: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for reader in readers {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(reader).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self { child, lines, said: Vec::new() }
    }

    /// Reads until the lines are there in their order, or the output ends.
    fn expect(&mut self, shown: &[String], commands: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut wanted = shown.iter().filter(|line| !line.trim().is_empty()).peekable();
        while let Some(line) = wanted.peek() {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(said) => {
                    let shown = match line.strip_suffix(" …") {
                        Some(begun) => steady(&said).starts_with(&steady(begun)),
                        None => steady(&said) == steady(line),
                    };
                    if shown {
                        wanted.next();
                    }
                    self.said.push(said);
                }
                Err(_) => panic!("`{commands}` did not say `{line}`, but:\n{}", self.said.join("\n")),
            }
        }
    }

    fn finish(mut self, commands: &str) {
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.said.push(line);
        }
        let status = self.child.wait().expect("it was started");
        assert!(status.success(), "`{commands}` ended with {status} and said:\n{}", self.said.join("\n"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

#[test]
fn every_command_does_what_the_readme_shows() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let engine = tempfile::tempdir().unwrap();
    let mut background = Vec::new();
    for block in blocks(&readme) {
        match block.mode {
            Mode::NotRun => println!("not run: {}", block.commands),
            Mode::Run => {
                let mut running = Running::start(&block.commands, engine.path());
                running.expect(&block.shown, &block.commands);
                running.finish(&block.commands);
            }
            Mode::Background => {
                let mut running = Running::start(&block.commands, engine.path());
                running.expect(&block.shown, &block.commands);
                background.push(running);
            }
        }
    }
    assert!(!background.is_empty(), "the README starts a worker");
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let help = Command::new(env!("CARGO_BIN_EXE_runner")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "130"] {
        assert!(readme.contains(&format!("| {code} | ")), "README: {code}");
        assert!(help.contains(&format!("{code} ")), "--help: {code}");
    }
}

#[test]
fn every_flag_and_variable_of_the_help_is_in_the_readme() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (runner, worker) = (env!("CARGO_BIN_EXE_runner"), env!("CARGO_BIN_EXE_worker"));
    for (binary, words) in [(runner, &["--help"][..]), (runner, &["doctor", "--help"]), (worker, &["--help"])] {
        let help = Command::new(binary).args(words).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for word in help.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with("HATCHET_") {
                assert!(readme.contains(word.split('=').next().unwrap()), "{word}");
            }
        }
    }
}

/// No container is built here; what its file names has to exist, and the build that it asks for has to be a checked one.
#[test]
fn the_container_is_built_of_what_there_is() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once("```dockerfile\n").expect("the README has a container");
    let (file, _) = rest.split_once("```").unwrap();
    let line =
        |word: &str| file.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("no {word}: {file}"));

    let build: Vec<&str> = line("cargo build").split_whitespace().collect();
    let binary = build[build.iter().position(|word| *word == "--bin").expect("one binary") + 1];
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_worker"));
    assert_eq!(Some(binary), program.file_stem().and_then(|name| name.to_str()), "{build:?}");
    let makefile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile")).unwrap();
    assert!(build.contains(&"--release") && build.contains(&"--locked"), "{build:?}");
    let features: Vec<&str> = build.iter().copied().filter(|word| word.contains("features")).collect();
    assert_eq!(features, ["--no-default-features"]);
    assert!(makefile.contains("clippy --quiet --no-default-features --lib --bins"), "nobody checks {features:?}");

    let source = file.lines().find_map(|line| line.strip_prefix("COPY . ")).expect("the sources are copied");
    assert!(build.windows(2).any(|words| words == ["cd", source]), "{build:?} is not in {source}");
    let copied: Vec<&str> = line("--from=build").split_whitespace().collect();
    assert_eq!(copied[2], format!("{source}/target/release/{binary}"));
    let entry = line("ENTRYPOINT").strip_prefix("ENTRYPOINT ").unwrap();
    let entry: Vec<String> =
        serde_json::from_str(entry).expect("the form without a shell, which keeps signals from it");
    assert_eq!(Some(entry[0].as_str()), copied[3].rsplit('/').next());

    let help = Command::new(env!("CARGO_BIN_EXE_worker")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for setting in line("ENV").split_whitespace().skip(1) {
        let variable = setting.split('=').next().unwrap();
        assert!(help.contains(variable), "{variable} is not in --help");
    }
}
