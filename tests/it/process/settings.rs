//! Where settings come from, and which engine is chosen.

use super::{Place, Program};
use crate::fake::token;

const HELLO: [&str; 2] = ["--task-name", "externally-triggered-task"];

#[test]
fn env_files_are_read_and_the_environment_wins() {
    let place = Place::new();
    let worker = |place: &Place, settings: &[(&str, &str)]| {
        let mut command = place.worker_command(&[]);
        command.envs(settings.iter().copied());
        Program::start(&mut command).wait()
    };
    place.write(".env", "HATCHET_WORKER_SLOTS=from-env\nHATCHET_CLIENT_TOKEN=ey\nUNRELATED=1\n");
    worker(&place, &[]).expect_error(2, &[r#"HATCHET_WORKER_SLOTS "from-env""#, "from .env)"]);
    place.write(".env.local", "# a comment\nexport HATCHET_WORKER_SLOTS=\"from-local\"\n");
    worker(&place, &[]).expect_error(2, &[r#"HATCHET_WORKER_SLOTS "from-local""#, "from .env.local"]);
    let process = [("HATCHET_WORKER_SLOTS", "from-process")];
    worker(&place, &process).expect_error(2, &[r#"HATCHET_WORKER_SLOTS "from-process""#, "the environment"]);
    let mut command = place.worker_command(&["--slots", "from-flag"]);
    command.envs(process);
    Program::start(&mut command).wait().expect_error(2, &[r#"HATCHET_WORKER_SLOTS "from-flag""#, "from --slots"]);
}

#[test]
fn a_token_in_an_env_file_is_used_and_said() {
    let place = Place::new();
    let worker = place.worker(&["--embedded"]);
    let token = place.handshake().token;
    place.write(".env", &format!("HATCHET_CLIENT_TOKEN={token}\nHATCHET_CLIENT_TLS_STRATEGY=none\n"));
    let mut command = place.runner_command(&[&HELLO[..], &["--no-wait"]].concat());
    let ended = Program::start(&mut command).wait().expect(0);
    ended.expect_said("uses the Hatchet engine by the token from .env at 127.0.0.1:");
    worker.stop().expect(0);
}

/// `.env` files with a line that cannot be read, and that line's number.
const UNREADABLE: [(&str, usize); 3] = [
    ("HATCHET_CLIENT_TOKEN = \"ey.secret\n", 1),
    ("# it\nX='secret\nHATCHET_CLIENT_NAMESPACE=team\n", 2),
    ("\nHATCHET_CLIENT_TOKEN ey.secret\n", 2),
];

#[test]
fn unreadable_line_is_named_and_not_shown() {
    for (text, number) in UNREADABLE {
        let place = Place::new();
        place.write(".env", text);
        let ended = Program::start(&mut place.runner_command(&HELLO)).wait().expect(2);
        assert!(!ended.stderr.join("\n").contains("secret"), "{ended:?}");
        ended.expect_said(&format!(".env:{number} "));
    }
}

#[test]
fn auto_does_not_guess_after_an_unreadable_line() {
    for (text, number) in UNREADABLE {
        let place = Place::new();
        place.write(".env", text);
        let place_of_it = format!("(.env:{number})");
        let parts = [place_of_it.as_str(), "HATCHET_CLIENT_TOKEN", "--embedded"];
        Program::start(&mut place.worker_command(&["--embedded=auto"])).wait().expect_error(2, &parts);
        let mut command = place.runner_command(&[&HELLO[..], &["--embedded=auto"]].concat());
        Program::start(&mut command).wait().expect_error(2, &parts);
        let mut command = place.worker_command(&[]);
        Program::start(command.env("HATCHET_EMBEDDED", "1")).wait().expect_error(2, &parts);
        assert!(!place.path(".hatchet").exists());
        // A token from elsewhere settles it.
        let mut command = place.runner_command(&["--embedded=auto", "--explain-config=json"]);
        let ended = Program::start(command.env("HATCHET_CLIENT_TOKEN", token("engine:7070", ""))).wait().expect(0);
        assert!(ended.stdout.iter().any(|line| line.contains(&format!(".env:{number} "))), "{ended:#?}");
    }
}

#[test]
fn lines_after_an_odd_one_are_read() {
    for odd in ["MSG=it's", "PW=a{\"b", "X='a", "\u{feff}A=1", "A=1\r", "export A='x", "no equals sign"] {
        let place = Place::new();
        place.write(".env", &format!("{odd}\nHATCHET_CLIENT_TOKEN={}\n", token("engine:7070", "")));
        let mut command = place.runner_command(&["--embedded=auto", "--explain-config=json"]);
        let ended = Program::start(&mut command).wait().expect(0);
        assert!(ended.stdout[0].contains("the token from .env"), "{odd}: {ended:#?}");
    }
    let place = Place::new();
    place.write(".env", &format!("\u{feff}HATCHET_CLIENT_TOKEN={}\r\n", token("engine:7070", "")));
    let ended =
        Program::start(&mut place.runner_command(&["--embedded=auto", "--explain-config=json"])).wait().expect(0);
    assert!(ended.stdout[0].contains("the token from .env"), "{ended:#?}");
}

#[cfg(unix)]
#[test]
fn env_file_that_is_no_file_is_skipped_with_a_warning() {
    type Make = fn(&std::path::Path);
    let makes: [(Make, &str); 3] = [
        (|path| std::fs::create_dir(path).unwrap(), "a directory"),
        (|path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()), "a pipe"),
        (|path| std::os::unix::fs::symlink("nowhere", path).unwrap(), "a symbolic link"),
    ];
    for (make, kind) in makes {
        let place = Place::new();
        make(&place.path(".env"));
        let worker = place.worker(&["--embedded=auto"]);
        worker.err.until_said(&format!(".env is {kind}"));
        Program::start(&mut place.runner_command(&[&HELLO[..], &["--embedded=auto"]].concat())).wait().expect(0);
        let doctor = Program::start(&mut place.runner_command(&["doctor", "--embedded=auto"])).wait().expect(0);
        assert!(doctor.stdout[0].contains(&format!(".env is {kind}")), "{doctor:#?}");
        worker.stop().expect(0);
    }
}

#[test]
fn the_flag_beats_the_token_and_that_is_said() {
    let place = Place::new();
    let mut command = place.worker_command(&["--embedded"]);
    command.env("HATCHET_CLIENT_TOKEN", token("127.0.0.1:9", ""));
    let worker = Program::start(&mut command);
    worker.err.until_said("the token from the environment is ignored");
    worker.err.until("the banner", |line| line.starts_with("  tasks "));
    let mut command = place.runner_command(&[&["--embedded"], &HELLO[..]].concat());
    command.env("HATCHET_CLIENT_TOKEN", token("127.0.0.1:9", ""));
    Program::start(&mut command).wait().expect(0).expect_said("the token from the environment is ignored");
    worker.stop().expect(0);
}

#[test]
fn auto_takes_the_token_where_there_is_one() {
    let place = Place::new();
    let worker = place.worker(&["--embedded=auto"]);
    worker.err.until_said("embedded engine (no HATCHET_CLIENT_TOKEN is set)");
    let mut command = place.runner_command(&[&["--embedded=auto"], &HELLO[..]].concat());
    Program::start(&mut command).wait().expect(0);
    let mut command = place.runner_command(&[&["--embedded=auto"], &HELLO[..]].concat());
    command.env("HATCHET_CLIENT_TOKEN", "abc");
    Program::start(&mut command).wait().expect_error(2, &["HATCHET_CLIENT_TOKEN"]);
    worker.stop().expect(0);
}

#[test]
fn the_variable_stands_behind_the_token() {
    let place = Place::new();
    let mut command = place.worker_command(&[]);
    command.env("HATCHET_EMBEDDED", "1");
    let worker = Program::start(&mut command);
    worker.err.until_said("embedded engine (HATCHET_EMBEDDED)");
    worker.err.until("the banner", |line| line.starts_with("  tasks "));
    let mut command = place.runner_command(&HELLO);
    command.env("HATCHET_EMBEDDED", "true");
    Program::start(&mut command).wait().expect(0).expect_said("embedded engine (HATCHET_EMBEDDED)");
    let mut command = place.runner_command(&[&HELLO[..], &["--no-wait"]].concat());
    let settings = [("HATCHET_EMBEDDED", "1"), ("HATCHET_CLIENT_TLS_STRATEGY", "none")];
    command.envs(settings).env("HATCHET_CLIENT_TOKEN", place.handshake().token);
    Program::start(&mut command).wait().expect(0).expect_said("HATCHET_EMBEDDED is ignored");
    let mut command = place.runner_command(&[&["--embedded=never"], &HELLO[..]].concat());
    command.env("HATCHET_EMBEDDED", "1");
    Program::start(&mut command).wait().expect_error(2, &["HATCHET_CLIENT_TOKEN"]);
    worker.stop().expect(0);
}

#[test]
fn a_namespace_and_chosen_tasks_stand_in_the_banner() {
    let place = Place::new();
    let words = ["--embedded", "--namespace", "Team", "--tasks", "cpu-heavy-with-process-pool", "--cpu-threads", "1"];
    let worker = place.worker(&[&words[..], &["--slots", "7", "--name", "w1"]].concat());
    for line in ["  namespace team_", "  tasks     cpu-heavy-task, cpu-heavy-with-process-pool"] {
        worker.err.until(line, |said| said == line);
    }
    let cpu_worker = |said: &str| said.starts_with("  worker    team_w1-cpu ") && said.ends_with(", 1 slot(s)");
    worker.err.until("the worker for CPU tasks", cpu_worker);
    let cpu = ["--namespace", "team", "--task-name", "cpu-heavy-with-process-pool", "--input-json", r#"{"limit":100}"#];
    assert_eq!(place.runner(&cpu).expect(0).json()["primes"], 25);
    worker.stop().expect(0);
}

#[test]
fn banner_shows_a_worker_for_each_kind_of_slots() {
    let place = Place::new();
    let worker = place.worker(&["--embedded", "--name", "w1", "--slots", "7", "--cpu-threads", "3"]);
    for (name, slots) in [("w1", 7), ("w1-cpu", 3)] {
        let (head, tail) = (format!("  worker    {name} "), format!(", {slots} slot(s)"));
        worker.err.until(name, |said| said.starts_with(&head) && said.ends_with(&tail));
    }
    worker.stop().expect(0);
}
