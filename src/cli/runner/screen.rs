//! What the runner shows of a run, in either format.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{
    super::{
        Exit,
        connection::CommandRenderer,
        output::{OutputFormat, format_elapsed, print_event, print_line, print_message},
    },
    request::NamedTask,
};
use crate::hatchet::{
    client::{ClientError, RunDetails, RunHandle, RunOutcome},
    wire::{RunId, RunStatus, format_duration},
};

/// Shows a run. Status lines of the human format are not data: they go to stderr, except where events were asked for.
pub(super) struct Screen {
    format: OutputFormat,
    task: Option<NamedTask>,
    begun: Instant,
    status: Option<RunStatus>,
    seen_running: bool,
    unanswered: bool,
    from_the_start: bool,
    events_are_data: bool,
    attach: String,
    commands: CommandRenderer,
}

impl Screen {
    /// `attach` is the command that attaches to the run again.
    pub(super) fn new(
        format: OutputFormat,
        task: Option<NamedTask>,
        attach: String,
        commands: CommandRenderer,
    ) -> Self {
        Self {
            format,
            task,
            begun: Instant::now(),
            status: None,
            seen_running: false,
            unanswered: false,
            from_the_start: false,
            events_are_data: false,
            attach,
            commands,
        }
    }

    /// From here on, events are what was asked for.
    pub(super) fn show_events(&mut self) {
        self.events_are_data = true;
    }

    /// The run's task, where it is one of ours.
    pub(super) fn task(&self) -> Option<&NamedTask> {
        self.task.as_ref()
    }

    /// The flags for commands that reach the run's engine.
    pub(super) fn commands(&self) -> &CommandRenderer {
        &self.commands
    }

    /// Whether this command has triggered the run.
    pub(super) fn was_triggered(&self) -> bool {
        self.from_the_start
    }

    /// Whether the run was followed from its trigger on and never seen with a worker.
    pub(super) fn never_taken(&self) -> bool {
        self.from_the_start && !self.seen_running
    }

    pub(super) fn is_queued(&self) -> bool {
        matches!(self.status, None | Some(RunStatus::Queued))
    }

    /// Whether it waits for a worker: the engine says so, or has not shown it yet since its trigger.
    pub(super) fn is_waiting(&self) -> bool {
        match self.status {
            Some(status) => status == RunStatus::Queued,
            None => self.from_the_start,
        }
    }

    /// The id, at once. It is the data where nothing else will come.
    pub(super) fn triggered(&mut self, run: &RunHandle, name: &str, alone: bool) -> Result<(), Exit> {
        self.from_the_start = true;
        match (self.format, alone) {
            (OutputFormat::Json, _) => {
                print_event("triggered", fields(json!({ "run_id": run.id().to_string(), "task": name })))
            }
            (OutputFormat::Human, true) => print_line(run.id()),
            (OutputFormat::Human, false) => {
                print_message(&format!("run {} of {name}", run.id()));
                Ok(())
            }
        }
    }

    /// A status, where it is another than before.
    pub(super) fn status(&mut self, status: RunStatus) -> Result<(), Exit> {
        if self.status == Some(status) {
            return Ok(());
        }
        self.status = Some(status);
        self.seen_running |= status == RunStatus::Running;
        match self.format {
            OutputFormat::Json => print_event("status", fields(json!({ "status": status.to_string() }))),
            OutputFormat::Human => self.line(&status.to_string()),
        }
    }

    /// A look at the run: its status where it goes on, its outcome where it has ended. An engine that does not answer
    /// is waited for, which is said once.
    pub(super) fn seen(
        &mut self,
        run: &RunHandle,
        looked: Result<RunDetails, ClientError>,
    ) -> Result<Option<RunOutcome>, Exit> {
        match looked {
            Ok(details) => {
                if std::mem::take(&mut self.unanswered) {
                    self.note("the engine answers again");
                }
                let outcome = RunOutcome::from_details(run.id(), &details);
                if outcome.is_none() {
                    self.status(details.status)?;
                }
                Ok(outcome)
            }
            Err(error) => {
                if error.is_temporary() && !std::mem::replace(&mut self.unanswered, true) {
                    self.note(&format!("waits for the engine, which does not answer: {error}"));
                }
                Ok(None)
            }
        }
    }

    /// A chunk. A run that streams has a worker, whatever was seen so far.
    pub(super) fn chunk(&mut self, text: &str, index: Option<i64>) -> Result<(), Exit> {
        if self.status != Some(RunStatus::Running) {
            self.status(RunStatus::Running)?;
        }
        match self.format {
            OutputFormat::Json => print_event("chunk", fields(json!({ "index": index, "text": text }))),
            OutputFormat::Human => self.line(&format!("chunk {}", Value::from(text))),
        }
    }

    /// An attempt that failed; the run may go on.
    pub(super) fn attempt_failed(&self, retry_count: Option<i32>, error: &str) -> Result<(), Exit> {
        let attempt = retry_count.map(|count| i64::from(count) + 1);
        match self.format {
            OutputFormat::Json => print_event("attempt_failed", fields(json!({ "attempt": attempt, "error": error }))),
            OutputFormat::Human => {
                let number = attempt.map(|attempt| format!(" {attempt}")).unwrap_or_default();
                self.line(&format!("attempt{number} failed: {}", error.lines().next().unwrap_or_default()))
            }
        }
    }

    /// Something worth knowing that is no data.
    pub(super) fn note(&self, text: &str) {
        print_message(&format!("note: {text}"));
    }

    /// The end of the wait, and not of the run.
    pub(super) fn timed_out(&self, run: &RunHandle, limit: Duration) -> Exit {
        if self.format == OutputFormat::Json {
            let status = self.status.map(|status| status.to_string());
            let said = json!({
                "run_id": run.id().to_string(),
                "status": status,
                "limit": format_duration(limit),
                "attach": self.attach,
            });
            if let Err(exit) = print_event("timed_out", fields(said)) {
                return exit;
            }
        }
        let (id, limit, attach) = (run.id(), format_duration(limit), &self.attach);
        // Of a run that was attached to, nothing is known before the engine has told it.
        Exit::timed_out(if self.status.is_none() && !self.from_the_start {
            format!(
                "the engine has not told within {limit} what became of run {id}: attach to it again with `{attach}`"
            )
        } else {
            format!("run {id} has not ended within {limit} and goes on: attach to it again with `{attach}`")
        })
    }

    /// The end: status, then output or error.
    pub(super) fn result(&mut self, outcome: &RunOutcome) -> Result<(), Exit> {
        self.status(outcome.status)?;
        let output = outcome.output.as_deref().map(|json| self.typed(json));
        match self.format {
            OutputFormat::Json => print_event(
                "result",
                fields(json!({
                    "run_id": outcome.run.to_string(),
                    "status": outcome.status.to_string(),
                    "output": output,
                    "error": outcome.error,
                })),
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

    /// The output as the task's type has it; as it came where it does not fit, which is said.
    fn typed(&self, json: &str) -> Value {
        let as_it_came = || serde_json::from_str(json).unwrap_or_else(|_| Value::from(json));
        let Some(NamedTask { task, .. }) = &self.task else { return as_it_came() };
        match task.complete_output(json) {
            Ok(typed) => serde_json::from_str(&typed).unwrap_or_else(|_| as_it_came()),
            Err(error) => {
                self.note(&format!("the output does not fit {}'s type ({error}); it is shown as it came", task.name()));
                as_it_came()
            }
        }
    }

    fn line(&self, text: &str) -> Result<(), Exit> {
        let line = format!("{}  {text}", format_elapsed(self.begun.elapsed()));
        if self.events_are_data {
            print_line(line)
        } else {
            print_message(&line);
            Ok(())
        }
    }
}

/// A run that was found and is not waited for: its id is the data.
pub(super) fn found(format: OutputFormat, run: &RunHandle) -> Result<(), Exit> {
    match format {
        OutputFormat::Json => print_event("found", fields(json!({ "run_id": run.id().to_string() }))),
        OutputFormat::Human => print_line(run.id()),
    }
}

/// Runs that a cancellation by metadata has asked the engine to cancel.
pub(super) fn cancelled(format: OutputFormat, runs: &[RunId]) -> Result<(), Exit> {
    match format {
        OutputFormat::Json if runs.is_empty() => Ok(()),
        OutputFormat::Json => {
            let ids: Vec<String> = runs.iter().map(RunId::to_string).collect();
            print_event("cancelled", fields(json!({ "count": runs.len(), "run_ids": ids })))
        }
        OutputFormat::Human => runs.iter().try_for_each(print_line),
    }
}

/// The end of a cancellation by metadata.
pub(super) fn cancelled_in_all(format: OutputFormat, count: usize, commands: &CommandRenderer) -> Result<(), Exit> {
    match (format, count) {
        (OutputFormat::Json, 0) => print_event("cancelled", fields(json!({ "count": 0, "run_ids": [] }))),
        (OutputFormat::Json, _) => Ok(()),
        (OutputFormat::Human, 0) => {
            print_message("no run that goes on has these pairs; an engine lists a new run after a second or so");
            Ok(())
        }
        (OutputFormat::Human, _) => {
            let plural = if count == 1 { "" } else { "s" };
            let tell = commands.render(&["runner", "--run-id", "ID"]);
            print_message(&format!("cancels {count} run{plural}; `{tell}` tells what became of each"));
            Ok(())
        }
    }
}

fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
