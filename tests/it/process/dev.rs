//! `.ci/dev`, the script behind `make dev`.
//!
//! The build is a stub: it fails if the source contains `broken`, otherwise it writes a program that logs the source
//! and then runs the worker.

use std::process::Command;

use crate::process::{Program, Workspace};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/dev");
const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

/// Leaves the program as it is if it was built from the same source.
const BUILD: &str = r#"
source=$(cat src/task)
case $source in *broken*) echo "error: $source" >&2; exit 1 ;; esac
[ ! -e worker ] || ! grep -q "'$source'" worker || exit 0
cat >worker.new <<END
#!/bin/sh
echo "binary of '$source'" >&2
case "\$*" in *--engine-only*) echo "\$\$" >engine.pid ;; esac
exec "WORKER" "\$@"
END
chmod +x worker.new
mv worker.new worker
"#;

/// A folder with a source file and a build script.
fn project(source: &str) -> Workspace {
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path("src")).unwrap();
    workspace.write("src/task", source);
    workspace.write("build.sh", &BUILD.replace("WORKER", env!("CARGO_BIN_EXE_worker")));
    workspace
}

/// The command of the script, with the default action of SIGINT: a shell cannot trap a signal that is ignored when it
/// starts, as in a test run in the background.
fn dev_command(workspace: &Workspace) -> Command {
    let script = ["bash", SCRIPT, "./worker", "sh build.sh", "--embedded=auto"];
    workspace.command("env", &[&["--default-signal=INT"], &script[..]].concat())
}

/// Starts the script and waits until its worker is registered.
fn start_dev(workspace: &Workspace) -> Program {
    let dev = Program::start(&mut dev_command(workspace));
    wait_for_worker(&dev, "first");
    dev
}

/// Waits until the worker of a source is registered.
fn wait_for_worker(dev: &Program, source: &str) {
    dev.err.wait_for_after(&format!("binary of '{source}'"), "  tasks ");
}

/// The process id of the latest engine.
fn engine_id(workspace: &Workspace) -> u32 {
    std::fs::read_to_string(workspace.path("engine.pid")).unwrap().trim().parse().unwrap()
}

#[test]
fn change_restarts_the_worker_and_keeps_the_engine() {
    let workspace = project("first");
    let dev = start_dev(&workspace);
    let engine = (engine_id(&workspace), workspace.handshake().grpc_address);
    let input = r#"{"seconds":1}"#;
    let runner = workspace.start_runner(&["--task-name", "sync-sleep-task", "--input-json", input]);
    runner.err.wait_for("RUNNING");
    workspace.write("src/task", "second");
    dev.err.wait_for("dev: src/task changed");
    dev.err.wait_for("dev: restarting the worker");
    // The running task finishes before the worker stops.
    runner.wait().expect(0);
    wait_for_worker(&dev, "second");
    assert_eq!((engine_id(&workspace), workspace.handshake().grpc_address), engine);
    workspace.runner(&HELLO).expect(0);
    dev.signal("INT");
    // The output ends when the last process that writes to it has ended.
    let output = dev.wait().expect(0);
    let count = |part: &str| output.stderr.iter().filter(|line| line.contains(part)).count();
    assert_eq!((count("engine at "), count("binary of 'second'")), (1, 1), "{output:#?}");
    assert_eq!(count("cancelled after the grace"), 0, "{output:#?}");
    assert!(!workspace.path(".hatchet/handshake.json").exists(), "the engine has stopped");
}

#[test]
fn failed_build_keeps_the_worker() {
    let workspace = project("broken at first");
    let dev = Program::start(&mut dev_command(&workspace));
    dev.err.wait_for("error: broken at first");
    dev.err.wait_for("dev: the build failed; waiting for a change");
    workspace.write("src/task", "first");
    wait_for_worker(&dev, "first");
    workspace.write("src/task", "broken again");
    dev.err.wait_for("error: broken again");
    dev.err.wait_for("dev: the build failed; the previous worker continues");
    workspace.runner(&HELLO).expect(0);
    // The build succeeds, but has nothing to do.
    workspace.write("src/task", "first");
    dev.err.wait_for("dev: the binary is unchanged; the worker continues");
    workspace.write("src/task", "second");
    wait_for_worker(&dev, "second");
    dev.stop().expect(0);
}

#[test]
fn failed_start_is_repeated_after_a_change() {
    let workspace = project("first");
    // Engine and worker refuse the setting.
    workspace.write(".env", "HATCHET_WORKER_GRACE=nonsense\n");
    let dev = Program::start(&mut dev_command(&workspace));
    dev.err.wait_for("invalid HATCHET_WORKER_GRACE");
    dev.err.wait_for("dev: the start failed; waiting for a change");
    workspace.write(".env", "");
    workspace.write("src/task", "second");
    wait_for_worker(&dev, "second");
    dev.stop().expect(0);
}

#[test]
fn killed_script_leaves_no_process() {
    let workspace = project("first");
    let dev = start_dev(&workspace);
    dev.signal("KILL");
    let output = dev.wait();
    assert_eq!(output.code, None, "{output:#?}");
    assert!(!workspace.path(".hatchet/handshake.json").exists(), "the engine has stopped: {output:#?}");
}

#[test]
fn lost_engine_ends_the_script() {
    let workspace = project("first");
    let dev = start_dev(&workspace);
    let kill = format!("kill -KILL {}", engine_id(&workspace));
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    dev.wait().expect(5).expect_stderr("dev: the engine ended unexpectedly");
}

#[test]
fn token_starts_no_engine() {
    let other = Workspace::new();
    let engine = other.engine();
    let workspace = project("first");
    let token = format!("HATCHET_CLIENT_TOKEN={}\nHATCHET_CLIENT_TLS_STRATEGY=none\n", other.handshake().token);
    workspace.write(".env", &token);
    let dev = start_dev(&workspace);
    other.runner(&HELLO).expect(0);
    let output = dev.stop().expect(0);
    assert!(!output.stderr.iter().any(|line| line.contains("engine at ")), "{output:#?}");
    engine.stop().expect(0);
}
