//! The checklist of the doctor: prints a line for each check and determines the exit code.

use serde_json::json;

use crate::cli::{
    Exit,
    output::{OutputFormat, Style, color_enabled, paint, print_event, print_line},
};

/// All checks, in the order in which they are made.
const CHECKS: [&str; 11] =
    ["engine", "folder", "token", "address", "tcp", "tls", "authentication", "version", "rest", "clock", "workers"];

/// The checks that were made.
pub(super) struct Checklist {
    format: OutputFormat,
    made: Vec<&'static str>,
    failed: Vec<String>,
    /// Whether a setting is invalid, which has another exit code than an engine that cannot be used.
    has_invalid_setting: bool,
}

impl Checklist {
    pub(super) fn new(format: OutputFormat) -> Self {
        Self { format, made: Vec::new(), failed: Vec::new(), has_invalid_setting: false }
    }

    /// Prints a check that passed.
    pub(super) fn pass(&mut self, check: &'static str, message: &str) -> Result<(), Exit> {
        self.print(check, None, "ok", message)
    }

    /// Prints a check that failed. The message names the correction.
    pub(super) fn fail(&mut self, check: &'static str, message: &str) -> Result<(), Exit> {
        self.failed.push(check.to_owned());
        self.print(check, None, "failed", message)
    }

    /// Prints a check that failed because of an invalid setting.
    pub(super) fn fail_setting(&mut self, check: &'static str, message: &str) -> Result<(), Exit> {
        self.has_invalid_setting = true;
        self.fail(check, message)
    }

    /// Prints a check that was not made, with the reason.
    pub(super) fn skip(&mut self, check: &'static str, message: &str) -> Result<(), Exit> {
        self.print(check, None, "skipped", message)
    }

    /// Prints the check that workers serve a task.
    pub(super) fn report_workers(&mut self, task: &str, online: bool, message: &str) -> Result<(), Exit> {
        if !online {
            self.failed.push(format!("workers of {task}"));
        }
        self.print("workers", Some(task), if online { "ok" } else { "failed" }, message)
    }

    fn print(
        &mut self,
        check: &'static str,
        task: Option<&str>,
        status: &'static str,
        message: &str,
    ) -> Result<(), Exit> {
        self.made.push(check);
        match self.format {
            OutputFormat::Human => {
                let (mark, style) = match status {
                    "ok" => ('✓', Style::Green),
                    "failed" => ('✗', Style::Red),
                    _ => ('–', Style::Dim),
                };
                let mark = paint(mark, style, color_enabled(&std::io::stdout()));
                let task = task.map(|task| format!("{task}: ")).unwrap_or_default();
                print_line(format!("{mark} {check:<16}{task}{message}"))
            }
            OutputFormat::Json => {
                let mut fields = json!({ "check": check });
                if let Some(task) = task {
                    fields["task"] = task.into();
                }
                fields["status"] = status.into();
                fields["message"] = message.into();
                print_event("check", fields)
            }
        }
    }

    /// Prints the remaining checks as not made. Fails if a check failed.
    pub(super) fn finish(mut self) -> Result<(), Exit> {
        if let Some(first) = self.failed.first().filter(|_| !self.made.contains(&"workers")).cloned() {
            let remaining: Vec<&str> = CHECKS.into_iter().filter(|check| !self.made.contains(check)).collect();
            let reason = format!("correct `{first}` first");
            match self.format {
                OutputFormat::Human => print_line(format!("– not checked     {}: {reason}", remaining.join(", ")))?,
                OutputFormat::Json => remaining.into_iter().try_for_each(|check| self.skip(check, &reason))?,
            }
        }
        if self.failed.is_empty() {
            return Ok(());
        }
        let message = format!("checks failed: {}. See above", self.failed.join(", "));
        Err(if self.has_invalid_setting { Exit::usage(message) } else { Exit::unreachable(message) })
    }
}
