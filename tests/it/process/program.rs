//! A running program, and its output after its exit.

use std::{
    fmt::Debug,
    fs::File,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Timeout of every wait, many times its duration on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A running program whose output is read as it arrives. Dropping it kills the program.
pub struct Program {
    child: Child,
    pub out: Lines,
    pub err: Lines,
}

/// The exit code and output of a program.
#[derive(Debug)]
pub struct ProgramOutput {
    /// `None` if a signal ended the program.
    pub code: Option<i32>,
    pub stdout: Vec<String>,
    pub stderr: Vec<String>,
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap_or_else(|e| panic!("starting {command:?} failed: {e}"));
        let out = Lines::read(child.stdout.take());
        let err = Lines::read(child.stderr.take());
        Self { child, out, err }
    }

    /// Starts a program whose stdout and stderr are one pseudo-terminal. Its output is `out`.
    #[cfg(target_os = "linux")]
    pub fn start_on_terminal(mut command: Command) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let terminal = File::options().read(true).write(true).open(name).unwrap();
        command.stdout(terminal.try_clone().unwrap()).stderr(terminal);
        let child = command.spawn().unwrap_or_else(|e| panic!("starting {command:?} failed: {e}"));
        // Closes the terminal in this process, so that its output ends with the program.
        drop(command);
        Self { child, out: Lines::read(Some(File::from(master))), err: Lines::read(None::<File>) }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Closes the program's stdin, if that is a pipe.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Sends a signal by its short name.
    pub fn signal(&self, name: &str) {
        self.signals(&[name]);
    }

    /// Sends several signals without a pause.
    pub fn signals(&self, names: &[&str]) {
        let kills: Vec<String> = names.iter().map(|name| format!("kill -{name} {}", self.child.id())).collect();
        let sent = Command::new("sh").args(["-c", &kills.join(" && ")]).status().unwrap();
        assert!(sent.success(), "{kills:?} failed");
    }

    /// Sends a signal every 20 ms until the program has exited.
    pub fn signal_until_ended(mut self, name: &str) -> ProgramOutput {
        while self.child.try_wait().unwrap().is_none() {
            self.signal(name);
            thread::sleep(Duration::from_millis(20));
        }
        self.wait()
    }

    /// The ids of the program's running child processes.
    #[cfg(target_os = "linux")]
    pub fn children(&self) -> Vec<u32> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let children =
            |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        threads
            .flat_map(|thread| children(thread.unwrap()).split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .map(|id| id.parse().unwrap())
            .collect()
    }

    /// Kills the program, like a crash.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and waits until the program has exited.
    pub fn stop(self) -> ProgramOutput {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until the program has exited and its output is read.
    pub fn wait(self) -> ProgramOutput {
        self.wait_within(TIMEOUT)
    }

    /// Waits like [`wait`](Self::wait), with another timeout.
    pub fn wait_within(mut self, timeout: Duration) -> ProgramOutput {
        let deadline = Instant::now() + timeout;
        // The pipes are closed when the program exits, so its exit code follows soon.
        let stdout = self.out.all(deadline);
        let stderr = self.err.all(deadline);
        let code = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if Instant::now() > deadline => panic!("still running; stdout {stdout:?}, stderr {stderr:?}"),
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        ProgramOutput { code, stdout, stderr }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail if the program has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end without blocking the test's runtime, which may serve its engine.
pub async fn run_async(mut command: Command) -> ProgramOutput {
    tokio::task::spawn_blocking(move || Program::start(&mut command).wait()).await.unwrap()
}

impl ProgramOutput {
    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts the exit code, an empty stdout, and that the last line of stderr is the only error and contains `parts`.
    #[track_caller]
    pub fn expect_error(self, code: i32, parts: &[&str]) -> Self {
        let output = self.expect(code);
        let errors: Vec<&String> = output.stderr.iter().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{output:#?}");
        assert_eq!(Some(errors[0]), output.stderr.last(), "the error has more than one line: {output:#?}");
        for part in parts {
            assert!(errors[0].contains(part), "no `{part}` in: {}", errors[0]);
        }
        assert!(output.stdout.is_empty(), "{output:#?}");
        output
    }

    /// Asserts that a line of stderr contains a text.
    #[track_caller]
    pub fn expect_stderr(self, part: &str) -> Self {
        assert!(self.stderr.iter().any(|line| line.contains(part)), "no `{part}` in {self:#?}");
        self
    }

    /// The command in backticks that follows a text in the last line of stderr.
    #[track_caller]
    pub fn printed_command(&self, after: &str) -> String {
        let command = self.stderr.last().and_then(|line| line.split_once(after)?.1.split('`').nth(1));
        command.unwrap_or_else(|| panic!("no command after `{after}`: {self:#?}")).to_owned()
    }

    /// The whole of stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout.join("\n")).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }

    /// Each line of stdout as a JSON object.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let read = |line: &String| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {self:#?}"));
        let lines: Vec<serde_json::Value> = self.stdout.iter().map(read).collect();
        assert!(lines.iter().all(serde_json::Value::is_object), "{self:#?}");
        lines
    }

    /// Status and message of a check of `runner doctor --output json`.
    #[track_caller]
    pub fn doctor_check(&self, name: &str) -> (String, String) {
        let lines = self.json_lines();
        let line = lines.iter().find(|line| line["check"] == name).unwrap_or_else(|| panic!("no {name} in {self:#?}"));
        (line["status"].as_str().unwrap().to_owned(), line["message"].as_str().unwrap().to_owned())
    }
}

/// The lines of a pipe, as they arrive.
pub struct Lines(Arc<(Mutex<Received>, Condvar)>);

#[derive(Default)]
struct Received {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads a pipe on a new thread.
    fn read(pipe: Option<impl Read + Send + 'static>) -> Self {
        let shared = Arc::new((Mutex::new(Received::default()), Condvar::new()));
        let lines = Self(shared.clone());
        let update = move |change: &dyn Fn(&mut Received)| {
            change(&mut shared.0.lock().unwrap_or_else(PoisonError::into_inner));
            shared.1.notify_all();
        };
        match pipe {
            None => update(&|received| received.ended = true),
            Some(pipe) => {
                thread::spawn(move || {
                    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                        update(&|received| received.lines.push(line.clone()));
                    }
                    update(&|received| received.ended = true);
                });
            }
        }
        lines
    }

    /// Waits for a line that satisfies a condition. `what` describes it.
    #[track_caller]
    pub fn until(&self, what: &str, matches: impl Fn(&str) -> bool) -> String {
        self.wait(Instant::now() + TIMEOUT, what, |received| {
            let found = received.lines.iter().find(|line| matches(line)).cloned();
            assert!(found.is_some() || !received.ended, "the output ended without {what}: {:#?}", received.lines);
            found
        })
    }

    /// Waits for a line that contains a text.
    #[track_caller]
    pub fn wait_for(&self, part: &str) -> String {
        self.until(&format!("`{part}`"), |line| line.contains(part))
    }

    /// Waits for a line that contains a text, below the first line that contains another text.
    #[track_caller]
    pub fn wait_for_after(&self, first: &str, part: &str) {
        self.wait(Instant::now() + TIMEOUT, &format!("`{part}` after `{first}`"), |received| {
            let mut below = received.lines.iter().skip_while(|line| !line.contains(first));
            let found = below.any(|line| line.contains(part));
            assert!(found || !received.ended, "the output ended without it: {:#?}", received.lines);
            found.then_some(())
        });
    }

    fn all(&self, deadline: Instant) -> Vec<String> {
        self.wait(deadline, "the end", |received| received.ended.then(|| received.lines.clone()))
    }

    #[track_caller]
    fn wait<T>(&self, deadline: Instant, what: &str, check: impl Fn(&Received) -> Option<T>) -> T {
        let mut received = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(value) = check(&received) {
                return value;
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            assert!(!remaining.is_zero(), "timed out: {what}; output so far {:#?}", received.lines);
            received = self.0.1.wait_timeout(received, remaining).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
