//! A line for each check, and the exit code for all of them.

use serde_json::{Map, Value};

use super::super::{
    Exit,
    output::{self, Format},
};

/// All checks, in the order in which they are made.
const CHECKS: [&str; 11] =
    ["engine", "folder", "token", "address", "tcp", "tls", "authentication", "version", "rest", "clock", "workers"];

pub(super) struct Report {
    format: Format,
    said: Vec<&'static str>,
    broken: Vec<String>,
    /// Whether it is the settings that are broken.
    wrong_use: bool,
}

impl Report {
    pub(super) fn new(format: Format) -> Self {
        Self { format, said: Vec::new(), broken: Vec::new(), wrong_use: false }
    }

    /// As it should be.
    pub(super) fn fine(&mut self, check: &'static str, message: &str) -> Result<(), Exit> {
        self.line(check, None, "ok", message)
    }

    /// Not as it should be; the message says what to do.
    pub(super) fn broken(&mut self, check: &'static str, message: &str) -> Result<(), Exit> {
        self.broken.push(check.to_owned());
        self.line(check, None, "failed", message)
    }

    /// A setting that cannot be used.
    pub(super) fn wrong(&mut self, check: &'static str, message: &str) -> Result<(), Exit> {
        self.wrong_use = true;
        self.broken(check, message)
    }

    /// Not looked at, and why.
    pub(super) fn skipped(&mut self, check: &'static str, message: &str) -> Result<(), Exit> {
        self.line(check, None, "skipped", message)
    }

    /// Whether a task has workers.
    pub(super) fn workers(&mut self, task: &str, online: bool, message: &str) -> Result<(), Exit> {
        if !online {
            self.broken.push(format!("workers of {task}"));
        }
        self.line("workers", Some(task), if online { "ok" } else { "failed" }, message)
    }

    fn line(
        &mut self,
        check: &'static str,
        task: Option<&str>,
        status: &'static str,
        message: &str,
    ) -> Result<(), Exit> {
        self.said.push(check);
        match self.format {
            Format::Human => {
                let mark = match status {
                    "ok" => '✓',
                    "failed" => '✗',
                    _ => '–',
                };
                let task = task.map(|task| format!("{task}: ")).unwrap_or_default();
                output::data(format!("{mark} {check:<16}{task}{message}"))
            }
            Format::Json => {
                let mut fields = Map::new();
                fields.insert("check".to_owned(), check.into());
                if let Some(task) = task {
                    fields.insert("task".to_owned(), task.into());
                }
                fields.insert("status".to_owned(), Value::from(status));
                fields.insert("message".to_owned(), message.into());
                output::event("check", fields)
            }
        }
    }

    /// Names what was not looked at, and turns the whole into an exit code.
    pub(super) fn end(mut self) -> Result<(), Exit> {
        if let Some(first) = self.broken.first().filter(|_| !self.said.contains(&"workers")).cloned() {
            let left: Vec<&str> = CHECKS.into_iter().filter(|check| !self.said.contains(check)).collect();
            let why = format!("mend `{first}` first");
            match self.format {
                Format::Human => output::data(format!("– not looked at    {}: {why}", left.join(", ")))?,
                Format::Json => left.into_iter().try_for_each(|check| self.skipped(check, &why))?,
            }
        }
        if self.broken.is_empty() {
            return Ok(());
        }
        let message = format!("not all is well: {}; see above", self.broken.join(", "));
        Err(if self.wrong_use { Exit::usage(message) } else { Exit::unreachable(message) })
    }
}
