//! Shows a run, in either output format.

mod elapsed;

use std::{
    convert::Infallible,
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

pub(super) use self::elapsed::ElapsedLine;
use super::{context::Context, request::NamedTask};
use crate::{
    cli::{
        Exit,
        connection::CommandRenderer,
        deadline::Deadline,
        output::{
            OutputFormat, Style, can_draw_rows, color_enabled, format_elapsed, paint, print_event, print_line,
            print_message, printable,
        },
    },
    hatchet::{
        client::{RunOutcome, RunRef, StoredLogLine},
        wire::{RunId, RunStatus, format_duration, readable_duration},
    },
};

/// Shows a run, with colors and the elapsed time on a terminal. In the human format, status lines are messages on
/// stderr. If events are requested, they are data on stdout.
pub(super) struct RunDisplay {
    format: OutputFormat,
    /// Whether status lines are omitted unless they are data.
    quiet: bool,
    /// Whether the elapsed time is shown while waiting.
    shows_elapsed: bool,
    task: Option<NamedTask>,
    started: Instant,
    /// The latest status shown.
    status: Option<RunStatus>,
    was_running: bool,
    /// Whether this command has triggered the run.
    was_triggered: bool,
    events_are_data: bool,
    /// The command that attaches to the run again.
    attach: String,
    commands: CommandRenderer,
}

impl RunDisplay {
    /// Records the run as the one to attach to again.
    pub(super) fn new(context: &Context<'_>, task: Option<NamedTask>, run: RunId) -> Self {
        Self {
            format: context.format,
            quiet: context.quiet,
            shows_elapsed: context.format == OutputFormat::Human
                && !context.quiet
                && io::stdout().is_terminal()
                && can_draw_rows(),
            task,
            started: Instant::now(),
            status: None,
            was_running: false,
            was_triggered: false,
            events_are_data: false,
            attach: context.reattach.by_run(run),
            commands: context.reattach.commands.clone(),
        }
    }

    /// Treats events as data from here on.
    pub(super) fn show_events(&mut self) {
        self.events_are_data = true;
    }

    /// The run's task. `None` for a task of another program.
    pub(super) fn task(&self) -> Option<&NamedTask> {
        self.task.as_ref()
    }

    /// The renderer of commands that reach the run's engine.
    pub(super) fn commands(&self) -> &CommandRenderer {
        &self.commands
    }

    /// Whether this command has triggered the run.
    pub(super) fn was_triggered(&self) -> bool {
        self.was_triggered
    }

    /// Whether this command has triggered the run and has never seen it running.
    pub(super) fn never_taken(&self) -> bool {
        self.was_triggered && !self.was_running
    }

    /// Whether the run is not known to have a worker.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self.status, None | Some(RunStatus::Queued))
    }

    /// Whether the run is queued, or was triggered and its status is not known yet.
    pub(super) fn is_waiting(&self) -> bool {
        match self.status {
            Some(status) => status == RunStatus::Queued,
            None => self.was_triggered,
        }
    }

    /// Shows the id of a triggered run. With `alone`, the id is the only data.
    pub(super) fn show_triggered(&mut self, run: &RunRef, name: &str, alone: bool) -> Result<(), Exit> {
        self.was_triggered = true;
        match (self.format, alone) {
            (OutputFormat::Json, _) => {
                print_event("triggered", json!({ "run_id": run.id().to_string(), "task": name }))
            }
            (OutputFormat::Human, true) => print_line(run.id()),
            (OutputFormat::Human, false) => {
                if !self.quiet {
                    print_message(&format!("run {} of {name}", run.id()));
                }
                Ok(())
            }
        }
    }

    /// Shows a status, unless it is the latest status shown.
    pub(super) fn show_status(&mut self, status: RunStatus) -> Result<(), Exit> {
        if self.status == Some(status) {
            return Ok(());
        }
        self.status = Some(status);
        self.was_running |= status == RunStatus::Running;
        match self.format {
            OutputFormat::Json => print_event("status", json!({ "status": status.to_string() })),
            OutputFormat::Human => self.print(&paint(status, status_style(status), self.has_color())),
        }
    }

    /// Shows a chunk. A run with chunks is running, even if its status has not been read yet.
    pub(super) fn show_chunk(&mut self, text: &str, index: Option<i64>) -> Result<(), Exit> {
        if self.status != Some(RunStatus::Running) {
            self.show_status(RunStatus::Running)?;
        }
        match self.format {
            OutputFormat::Json => print_event("chunk", json!({ "index": index, "text": text })),
            OutputFormat::Human => self.print(&format!("chunk {}", Value::from(text))),
        }
    }

    /// Shows a log line. A run with log lines has been running, like a run with chunks.
    pub(super) fn show_log_line(&mut self, line: &StoredLogLine) -> Result<(), Exit> {
        if self.status != Some(RunStatus::Running) {
            self.show_status(RunStatus::Running)?;
        }
        match self.format {
            OutputFormat::Json => print_event(
                "log",
                json!({
                    "level": line.level, "attempt": line.attempt, "created_at": line.created_at, "text": line.message,
                }),
            ),
            OutputFormat::Human => {
                let level = match line.level.as_str() {
                    "" | "INFO" => String::new(),
                    "ERROR" => paint("ERROR ", Style::Red, self.has_color()),
                    "WARN" => paint("WARN ", Style::Yellow, self.has_color()),
                    other => format!("{} ", printable(other)),
                };
                self.print(&format!("log   {level}{}", printable(&line.message)))
            }
        }
    }

    /// Shows a failed attempt. The run may be retried.
    pub(super) fn show_failed_attempt(&self, retry_count: Option<i32>, error: &str) -> Result<(), Exit> {
        let attempt = retry_count.map(|count| i64::from(count) + 1);
        match self.format {
            OutputFormat::Json => print_event("attempt_failed", json!({ "attempt": attempt, "error": error })),
            OutputFormat::Human => {
                let number = attempt.map(|attempt| format!(" {attempt}")).unwrap_or_default();
                let failed = paint(format!("attempt{number} failed:"), Style::Red, self.has_color());
                self.print(&format!("{failed} {}", printable(error.lines().next().unwrap_or_default())))
            }
        }
    }

    /// Updates the line with the elapsed time until the call is dropped, if this display shows one.
    pub(super) async fn update_elapsed(&self, line: &ElapsedLine) -> Infallible {
        if !self.shows_elapsed {
            return std::future::pending().await;
        }
        match self.status {
            Some(status) => line.update(self.started, &status).await,
            None => line.update(self.started, &"waiting").await,
        }
    }

    /// Shows a note on stderr.
    pub(super) fn note(&self, text: &str) {
        print_message(&format!("{} {text}", paint("note:", Style::Cyan, color_enabled(&std::io::stderr()))));
    }

    /// Shows that the time limit has passed. The run continues.
    pub(super) fn show_timeout(&self, run: &RunRef, deadline: Deadline, limit: Duration) -> Exit {
        if self.format == OutputFormat::Json {
            let fields = json!({
                "run_id": run.id().to_string(),
                "status": self.status.map(|status| status.to_string()),
                "limit": format_duration(limit),
                "attach": self.attach,
            });
            if let Err(exit) = print_event("timed_out", fields) {
                return exit;
            }
        }
        let (id, attach, failure) = (run.id(), &self.attach, deadline.last_failure(run.client()));
        if limit.is_zero() {
            let message = format!("--timeout 0 leaves no time to wait for run {id}, which continues");
            return Exit::timed_out(format!("{message}: attach to it again with `{attach}`"));
        }
        let limit = readable_duration(limit);
        Exit::timed_out(if self.status.is_none() && !self.was_triggered {
            format!(
                "the engine has not reported the status of run {id} within {limit}: attach to it again with \
                 `{attach}`{failure}"
            )
        } else {
            format!(
                "run {id} has not finished within {limit} and continues: attach to it again with `{attach}`{failure}"
            )
        })
    }

    /// Shows the result: status, then output or error.
    pub(super) fn show_result(&mut self, outcome: &RunOutcome) -> Result<(), Exit> {
        self.show_status(outcome.status)?;
        let output = outcome.output.as_deref().map(|json| self.typed(json));
        match self.format {
            OutputFormat::Json => print_event(
                "result",
                json!({
                    "run_id": outcome.run.to_string(),
                    "status": outcome.status.to_string(),
                    "output": output,
                    "error": outcome.error,
                }),
            ),
            OutputFormat::Human => {
                if let Some(output) = output {
                    print_line(serde_json::to_string_pretty(&output).unwrap_or_else(|_| output.to_string()))?;
                }
                if let Some(error) = &outcome.error {
                    print_message(error);
                }
                Ok(())
            }
        }
    }

    /// Shows the status and the error on stderr.
    pub(super) fn show_end(&mut self, outcome: &RunOutcome) -> Result<(), Exit> {
        self.show_status(outcome.status)?;
        if let Some(error) = &outcome.error {
            print_message(error);
        }
        Ok(())
    }

    /// The output in the task's output type. If it does not fit the type, shows a note and returns it unchanged.
    fn typed(&self, json: &str) -> Value {
        let unchanged = || serde_json::from_str(json).unwrap_or_else(|_| Value::from(json));
        let Some(NamedTask { task: Some(task), .. }) = &self.task else { return unchanged() };
        match task.complete_output(json) {
            Ok(typed) => serde_json::from_str(&typed).unwrap_or_else(|_| unchanged()),
            Err(error) => {
                self.note(&format!(
                    "the output does not fit the type of {} ({error}) and is shown unchanged",
                    task.name()
                ));
                unchanged()
            }
        }
    }

    fn print(&self, text: &str) -> Result<(), Exit> {
        let line = format!("{}  {text}", format_elapsed(self.started.elapsed()));
        if self.events_are_data {
            return print_line(line);
        }
        if !self.quiet {
            print_message(&line);
        }
        Ok(())
    }

    /// Whether lines have colors, on the stream to which they are printed.
    fn has_color(&self) -> bool {
        if self.events_are_data { color_enabled(&std::io::stdout()) } else { color_enabled(&std::io::stderr()) }
    }
}

/// The color of a status.
pub(super) fn status_style(status: RunStatus) -> Style {
    match status {
        RunStatus::Queued => Style::Dim,
        RunStatus::Running => Style::Blue,
        RunStatus::Completed => Style::Green,
        RunStatus::Failed => Style::Red,
        RunStatus::Cancelled | RunStatus::Evicted | RunStatus::Unknown(_) => Style::Yellow,
    }
}

/// Shows the id of a run that was found.
pub(super) fn show_found(format: OutputFormat, run: &RunRef) -> Result<(), Exit> {
    match format {
        OutputFormat::Json => print_event("found", json!({ "run_id": run.id().to_string() })),
        OutputFormat::Human => print_line(run.id()),
    }
}

/// Shows the ids of cancelled runs.
pub(super) fn show_cancelled(format: OutputFormat, runs: &[RunId]) -> Result<(), Exit> {
    match format {
        OutputFormat::Json if runs.is_empty() => Ok(()),
        OutputFormat::Json => {
            let ids: Vec<String> = runs.iter().map(RunId::to_string).collect();
            print_event("cancelled", json!({ "count": runs.len(), "run_ids": ids }))
        }
        OutputFormat::Human => runs.iter().try_for_each(print_line),
    }
}

/// Shows the total number of cancelled runs.
pub(super) fn show_cancelled_total(format: OutputFormat, count: usize, commands: &CommandRenderer) -> Result<(), Exit> {
    match (format, count) {
        (OutputFormat::Json, 0) => print_event("cancelled", json!({ "count": 0, "run_ids": [] })),
        (OutputFormat::Json, _) => Ok(()),
        (OutputFormat::Human, 0) => {
            print_message("no open run has these pairs; an engine may list a new run after about a second");
            Ok(())
        }
        (OutputFormat::Human, _) => {
            let plural = if count == 1 { "" } else { "s" };
            let attach = commands.render(&["runner", "--run-id", "ID"]);
            print_message(&format!("cancelling {count} run{plural}; see the outcome of each with `{attach}`"));
            Ok(())
        }
    }
}
