//! The progress on a terminal.

use super::{Program, Workspace};

/// The lines that a terminal shows after this output. Interprets the control sequences that move the cursor up (`A`)
/// and erase the rest of the screen (`J`).
fn screen(output: &str) -> Vec<String> {
    let (mut lines, mut row, mut column) = (Vec::<Vec<char>>::new(), 0_usize, 0_usize);
    let mut rest = output.chars();
    while let Some(c) = rest.next() {
        match c {
            '\r' => column = 0,
            '\n' => (row, column) = (row + 1, 0),
            '\x1b' => {
                assert_eq!(rest.next(), Some('['));
                let mut parameter = String::new();
                let letter = loop {
                    match rest.next().expect("the control sequence is complete") {
                        letter if letter.is_ascii_alphabetic() => break letter,
                        digit => parameter.push(digit),
                    }
                };
                match letter {
                    'A' => row -= parameter.parse::<usize>().unwrap(),
                    'J' => {
                        lines.truncate(row + 1);
                        lines.iter_mut().skip(row).for_each(|line| line.truncate(column));
                    }
                    // A color.
                    _ => {}
                }
            }
            c => {
                lines.resize_with(lines.len().max(row + 1), Vec::new);
                let line = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
            }
        }
    }
    lines.into_iter().map(String::from_iter).collect()
}

/// Runs `runner bench` on a terminal. Returns its output.
fn bench_on_terminal(workspace: &Workspace, term: &str, args: &str) -> String {
    let args: Vec<&str> = ["bench", "--embedded"].into_iter().chain(args.split_whitespace()).collect();
    let mut command = workspace.runner_command(&args);
    command.env("TERM", term);
    Program::start_on_terminal(command).wait().expect(0).stdout.join("\n")
}

#[test]
fn bars_leave_the_messages_and_no_rows() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    // Without a worker of keyed tasks, the preparation prints notes. The runs take more than a second.
    let args = "--tasks externally-triggered-task,sync-sleep-task --runs 25 --rate 40 --key-prefix shown --out out \
                --input-json sync-sleep-task={}";
    let output = bench_on_terminal(&workspace, "xterm", args);
    assert!(output.contains("[=") && output.contains(" elapsed") && output.contains("p95 "), "no bars: {output}");
    let screen = screen(&output);
    let count = |part: &str| screen.iter().filter(|line| line.contains(part)).count();
    assert_eq!(count("key prefix shown, report in out"), 1, "{screen:#?}");
    assert_eq!(count("note: dedupe of "), 2, "{screen:#?}");
    assert_eq!(count("50 of 50 runs completed in "), 1, "{screen:#?}");
    assert_eq!(count("[=") + count(" elapsed"), 0, "{screen:#?}");
    assert!(screen.iter().all(|line| !line.trim().is_empty()), "{screen:#?}");
}

#[test]
fn terminal_without_cursor_movement_gets_lines() {
    let workspace = Workspace::new();
    let _worker = workspace.worker(&["--embedded"]);
    let output = bench_on_terminal(&workspace, "dumb", "--runs 1 --out out");
    assert!(!output.contains('\x1b') && output.contains(r#""event":"progress""#), "{output}");
}
