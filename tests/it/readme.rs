//! Executes the commands of the README and of the pages in `src/guide` and compares their output; checks their tables.
//!
//! A comment before a block sets how it is executed: `run` waits until the command exits, `background` keeps it running
//! until the end of the page, `not run: <reason>` skips it. A `text` block after a command shows lines of its output; a
//! line that ends with ` …` may continue. `.ci/paste` compiles the Rust block after `paste`. Doctests compile the Rust
//! blocks of the guide.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Timeout of a block, including its build.
const TIMEOUT: Duration = Duration::from_secs(300);

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
    /// Lines that the output must contain, in this order.
    shown: Vec<String>,
}

/// All `sh` blocks of a page. Panics on a block without a comment, since nothing would check it.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut mode = None;
    let mut lines = page.lines();
    // Only the first `text` block after a command shows its output.
    let mut output_may_follow = false;
    while let Some(line) = lines.next() {
        if let Some(comment) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            mode = Some(match comment.split(':').next() {
                Some("run") => Mode::Run,
                Some("background") => Mode::Background,
                Some("not run") => Mode::NotRun,
                Some("paste") => continue,
                _ => panic!("unknown comment: {comment}"),
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

/// Replaces numbers with `#`, since they differ between runs.
fn normalize(line: &str) -> String {
    let mut normalized = String::new();
    for c in line.chars() {
        if !c.is_ascii_digit() && c != '.' {
            normalized.push(c);
        } else if !normalized.ends_with('#') {
            normalized.push('#');
        }
    }
    normalized.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    output: Vec<String>,
}

impl Running {
    /// Starts a block in the project's folder, isolated from a developer's own token and engine.
    fn start(commands: &str, engine: &Path) -> Self {
        let mut command = Command::new("sh");
        // Build scripts depend on these variables of the outer cargo. With them, an inner cargo would rebuild
        // everything, and so would the next `cargo test`.
        let is_of_cargo = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_cargo)) {
            command.env_remove(name);
        }
        // `make` builds nothing again if the blocks use the binaries of this test.
        if Path::new(RUNNER) == Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debug/runner") {
            command.env("CARGO", "true");
        }
        let mut child = command
            .args(["-e", "-c", commands])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("HATCHET_EMBEDDED_DIR", engine)
            // An empty value counts as unset and takes precedence over a `.env` file.
            .env("HATCHET_CLIENT_TOKEN", "")
            .env_remove("HATCHET_TEST_TARGET")
            .env_remove("MAKEFLAGS")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A new process group, so that all its processes can be stopped together.
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
        Self { child, lines, output: Vec::new() }
    }

    /// Reads until these lines have appeared in their order. Panics if the output ends before.
    fn expect(&mut self, shown: &[String], commands: &str) {
        let deadline = Instant::now() + TIMEOUT;
        let mut expected = shown.iter().filter(|line| !line.trim().is_empty()).peekable();
        while let Some(line) = expected.peek() {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(printed) => {
                    let matches = match line.strip_suffix(" …") {
                        Some(begin) => normalize(&printed).starts_with(&normalize(begin)),
                        None => normalize(&printed) == normalize(line),
                    };
                    if matches {
                        expected.next();
                    }
                    self.output.push(printed);
                }
                Err(_) => panic!("`{commands}` did not print `{line}`, but:\n{}", self.output.join("\n")),
            }
        }
    }

    fn finish(mut self, commands: &str) {
        let deadline = Instant::now() + TIMEOUT;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.output.push(line);
        }
        let status = self.child.wait().expect("the process is a child");
        assert!(status.success(), "`{commands}` ended with {status} and printed:\n{}", self.output.join("\n"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-TERM", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// The README and all pages of the guide: path and text.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md")];
    let guide = std::fs::read_dir(root.join("src/guide")).unwrap().map(|entry| entry.unwrap().path());
    paths.extend(guide.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    paths.sort();
    let pages = paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()));
    pages.collect()
}

fn page(name: &str) -> String {
    let found = pages().into_iter().find(|(path, _)| path.ends_with(name));
    found.unwrap_or_else(|| panic!("{name} does not exist")).1
}

fn help(binary: &str, arguments: &[&str]) -> String {
    let output = Command::new(binary).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

const RUNNER: &str = env!("CARGO_BIN_EXE_runner");
const WORKER: &str = env!("CARGO_BIN_EXE_worker");

#[test]
fn commands_print_documented_output() {
    // Each page has its own engine, so the pages are independent of each other.
    std::thread::scope(|scope| {
        for (path, text) in pages() {
            scope.spawn(move || execute(&path, &text));
        }
    });
}

/// Executes all blocks of a page in their order.
fn execute(path: &Path, text: &str) {
    let engine = tempfile::tempdir().unwrap();
    let mut background = Vec::new();
    for block in blocks(text) {
        if block.mode == Mode::NotRun {
            println!("not run: {}", block.commands);
            continue;
        }
        println!("{}: {}", path.display(), block.commands);
        let mut running = Running::start(&block.commands, engine.path());
        running.expect(&block.shown, &block.commands);
        match block.mode {
            Mode::Background => background.push(running),
            _ => running.finish(&block.commands),
        }
    }
}

#[test]
fn exit_codes_match_the_help() {
    let (page, help) = (page("guide/runs.md"), help(RUNNER, &["--help"]));
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "8", "130"] {
        assert!(page.contains(&format!("| {code} | ")), "the guide lacks {code}");
        assert!(help.contains(&format!("{code} ")), "--help lacks {code}");
    }
}

#[test]
fn settings_page_has_every_variable_of_the_help() {
    let settings = page("guide/settings.md");
    for (binary, arguments) in [(RUNNER, &["--help"][..]), (RUNNER, &["doctor", "--help"]), (WORKER, &["--help"])] {
        for name in help(binary, arguments).split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if name.starts_with("HATCHET_") {
                assert!(settings.contains(name), "{name}");
            }
        }
    }
}

/// The source of the crate, with string literals of several lines joined.
fn source() -> String {
    let mut text = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut parts = text.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |joined, part| joined + part.trim_start())
}

#[test]
fn messages_of_the_troubleshooting_page_exist() {
    let (page, source) = (page("guide/troubleshooting.md"), source());
    let table = page.lines().skip_while(|line| !line.starts_with("| message |")).skip(2);
    let messages: Vec<&str> = table
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(messages.len() > 20, "{messages:?}");
    let missing: Vec<&&str> =
        messages.iter().filter(|message| !message.split('…').all(|part| source.contains(part.trim()))).collect();
    assert!(missing.is_empty(), "no source file prints {missing:#?}");
}

#[test]
fn tests_of_the_sdk_page_exist() {
    let (page, root) = (page("guide/sdks.md"), Path::new(env!("CARGO_MANIFEST_DIR")));
    let mut count = 0;
    for code in page.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2)) {
        let Some((path, test)) = code.split_once(".rs::") else { continue };
        let is_full = path.starts_with("src/") || path.starts_with("tests/");
        let folder = if is_full { root.to_owned() } else { root.join("tests/it") };
        let source =
            std::fs::read_to_string(folder.join(format!("{path}.rs"))).unwrap_or_else(|e| panic!("{code}: {e}"));
        assert!(source.contains(&format!("fn {test}(")), "{code} does not exist");
        count += 1;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn links_lead_to_existing_files() {
    for (path, text) in pages() {
        let inline = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let definitions =
            text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).map(|(_, target)| target);
        for target in inline.chain(definitions).filter(|target| !target.starts_with("https://")) {
            let file = path.with_file_name(target);
            assert!(file.exists(), "{} links {target}, which does not exist", path.display());
        }
    }
}

#[test]
fn guide_lists_every_page() {
    let (readme, module) = (page("README.md"), include_str!("../../src/guide/mod.rs"));
    for (path, _) in pages().iter().filter(|(path, _)| !path.ends_with("README.md")) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(readme.contains(&format!("(src/guide/{name}.md)")), "README.md does not link {name}.md");
        assert!(module.contains(&format!("\n    {name}\n")), "src/guide/mod.rs does not include {name}.md");
        assert!(module.contains(&format!("({name})")) || module.contains(&format!("(mod@{name})")), "{name}");
    }
}

#[test]
fn dependency_lines_have_the_versions_of_this_crate() {
    let (readme, manifest) = (page("README.md"), include_str!("../../Cargo.toml"));
    let (_, rest) = readme.split_once("```toml\n").expect("the README has lines for Cargo.toml");
    let lines: Vec<&str> = rest.lines().take_while(|line| *line != "```").collect();
    assert_eq!(lines.len(), 4);
    let (name, _) = lines[0].split_once(" = ").unwrap();
    assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    for line in &lines[1..] {
        let (name, requirement) = line.split_once(" = ").unwrap();
        let version = requirement.split('"').nth(1).unwrap();
        let own = manifest.lines().find_map(|line| line.strip_prefix(&format!("{name} = "))).expect(name);
        assert!(own.split('"').nth(1).unwrap().starts_with(version), "{line}: this crate uses {own}");
    }
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    assert!(readme.contains(&format!("needs Rust {rust} ")), "the README does not state Rust {rust}");
}

/// Does not build the Dockerfile; checks its paths, variables and features.
#[test]
fn dockerfile_matches_the_crate() {
    let page = page("guide/deployment.md");
    let (_, rest) = page.split_once("```dockerfile\n").expect("the guide has a Dockerfile");
    let (file, _) = rest.split_once("```").unwrap();
    let line =
        |part: &str| file.lines().find(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part}: {file}"));

    let build: Vec<&str> = line("cargo build").split_whitespace().collect();
    let binary = build[build.iter().position(|argument| *argument == "--bin").expect("--bin is given") + 1];
    let program = std::path::Path::new(WORKER);
    assert_eq!(Some(binary), program.file_stem().and_then(|name| name.to_str()), "{build:?}");
    let makefile = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Makefile")).unwrap();
    assert!(build.contains(&"--release") && build.contains(&"--locked"), "{build:?}");
    let features: Vec<&str> = build.iter().copied().filter(|argument| argument.contains("features")).collect();
    assert_eq!(features, ["--no-default-features"]);
    assert!(
        makefile.contains("clippy --quiet --no-default-features --lib --bins"),
        "make lint does not check {features:?}"
    );

    let source = file.lines().find_map(|line| line.strip_prefix("COPY . ")).expect("a COPY of the sources");
    assert!(build.windows(2).any(|pair| pair == ["cd", source]), "{build:?} is not in {source}");
    let copied: Vec<&str> = line("--from=build").split_whitespace().collect();
    assert_eq!(copied[2], format!("{source}/target/release/{binary}"));
    let entry = line("ENTRYPOINT").strip_prefix("ENTRYPOINT ").unwrap();
    let entry: Vec<String> =
        serde_json::from_str(entry).expect("the form without a shell, which would not forward signals");
    assert_eq!(Some(entry[0].as_str()), copied[3].rsplit('/').next());

    let help = help(WORKER, &["--help"]);
    for setting in line("ENV").split_whitespace().skip(1) {
        let variable = setting.split('=').next().unwrap();
        assert!(help.contains(variable), "{variable} is not in --help");
    }
}
