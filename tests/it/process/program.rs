//! A started binary, and what is left of it when it has ended.

use std::{
    fmt::Debug,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take before a test gives up: far more than it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// A running program whose output is read as it comes. It is killed when it is dropped.
pub struct Program {
    child: Child,
    pub out: Lines,
    pub err: Lines,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// None after a signal.
    pub code: Option<i32>,
    pub stdout: Vec<String>,
    pub stderr: Vec<String>,
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let out = Lines::read(child.stdout.take());
        let err = Lines::read(child.stderr.take());
        Self { child, out, err }
    }

    /// The process' id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends its stdin, where that is a pipe.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Sends a signal by its short name.
    pub fn signal(&self, name: &str) {
        self.signals(&[name]);
    }

    /// Sends several signals, one right after the other.
    pub fn signals(&self, names: &[&str]) {
        let kills: Vec<String> = names.iter().map(|name| format!("kill -{name} {}", self.child.id())).collect();
        let sent = Command::new("sh").args(["-c", &kills.join(" && ")]).status().unwrap();
        assert!(sent.success(), "{kills:?} failed");
    }

    /// Sends a signal again and again until it has ended.
    pub fn signal_to_the_end(mut self, name: &str) -> Ended {
        while self.child.try_wait().unwrap().is_none() {
            self.signal(name);
            thread::sleep(Duration::from_millis(20));
        }
        self.wait()
    }

    /// The ids of the processes that it has started and that are still there.
    #[cfg(target_os = "linux")]
    pub fn children(&self) -> Vec<u32> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let of =
            |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        threads
            .flat_map(|thread| of(thread.unwrap()).split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .map(|id| id.parse().unwrap())
            .collect()
    }

    /// Ends it as a crash would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end and waits until it has.
    pub fn stop(self) -> Ended {
        self.signal("TERM");
        self.wait()
    }

    /// Waits until it has ended and all its output is read.
    pub fn wait(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        // The ends of the pipes tell it; what is left is to fetch the code.
        let stdout = self.out.all(deadline);
        let stderr = self.err.all(deadline);
        let code = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if Instant::now() > deadline => panic!("it goes on; stdout {stdout:?}, stderr {stderr:?}"),
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        Ended { code, stdout, stderr }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that it failed with this code and one line that says why, which holds all of `parts`; and that it gave
    /// no data and did not panic.
    #[track_caller]
    pub fn expect_error(self, code: i32, parts: &[&str]) -> Self {
        let ended = self.expect(code);
        let errors: Vec<&String> = ended.stderr.iter().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{ended:#?}");
        assert_eq!(Some(errors[0]), ended.stderr.last(), "more than one line: {ended:#?}");
        for part in parts {
            assert!(errors[0].contains(part), "no `{part}` in: {}", errors[0]);
        }
        assert!(ended.stdout.is_empty(), "{ended:#?}");
        ended
    }

    /// Asserts that stderr has a line that holds this.
    #[track_caller]
    pub fn expect_said(self, part: &str) -> Self {
        assert!(self.stderr.iter().any(|line| line.contains(part)), "no `{part}` in {self:#?}");
        self
    }

    /// The command between backticks that follows these words in the last line on stderr.
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
}

/// Lines as they come.
pub struct Lines(Arc<(Mutex<Inbox>, Condvar)>);

#[derive(Default)]
struct Inbox {
    lines: Vec<String>,
    over: bool,
}

impl Lines {
    /// Reads a pipe on a thread of its own. Without a pipe there are no lines.
    fn read(pipe: Option<impl Read + Send + 'static>) -> Self {
        let shared = Arc::new((Mutex::new(Inbox::default()), Condvar::new()));
        let lines = Self(shared.clone());
        let change = move |change: &dyn Fn(&mut Inbox)| {
            change(&mut shared.0.lock().unwrap_or_else(PoisonError::into_inner));
            shared.1.notify_all();
        };
        match pipe {
            None => change(&|inbox| inbox.over = true),
            Some(pipe) => {
                thread::spawn(move || {
                    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                        change(&|inbox| inbox.lines.push(line.clone()));
                    }
                    change(&|inbox| inbox.over = true);
                });
            }
        }
        lines
    }

    /// Waits for a line.
    #[track_caller]
    pub fn until(&self, what: &str, good: impl Fn(&str) -> bool) -> String {
        self.wait(Instant::now() + PATIENCE, what, |inbox| {
            let found = inbox.lines.iter().find(|line| good(line)).cloned();
            assert!(found.is_some() || !inbox.over, "it ended without {what}: {:#?}", inbox.lines);
            found
        })
    }

    /// Waits for a line that holds this.
    #[track_caller]
    pub fn until_said(&self, part: &str) -> String {
        self.until(&format!("`{part}`"), |line| line.contains(part))
    }

    fn all(&self, deadline: Instant) -> Vec<String> {
        self.wait(deadline, "the end", |inbox| inbox.over.then(|| inbox.lines.clone()))
    }

    #[track_caller]
    fn wait<T>(&self, deadline: Instant, what: &str, look: impl Fn(&Inbox) -> Option<T>) -> T {
        let mut inbox = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(value) = look(&inbox) {
                return value;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "not within {PATIENCE:?}: {what}; so far {:#?}", inbox.lines);
            inbox = self.0.1.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
