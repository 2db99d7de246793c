//! `runner runs get`.

use serde_json::{Map, Value, json};

use super::list::duration;
use crate::{
    cli::{
        Exit,
        output::{Cell, OutputFormat, Style, Table, color_enabled, paint, print_line, printable, relative_time},
        runner::{context::Context, display::status_style},
    },
    hatchet::{
        client::{RunDetails, TRIGGER_KEY},
        wire::{RunId, RunStatus},
    },
};

/// Shows a run. The state is that of gRPC; name and times come from the REST API, which may not know a new run yet.
pub(super) async fn get(context: &Context<'_>, run: RunId) -> Result<(), Exit> {
    let reference = context.client.run_ref::<()>(run);
    let details = context.require("and the run was not read", reference.details()).await?;
    let stored = match context.client.rest() {
        Some(rest) => context.deadline.before(rest.run(run)).await.and_then(Result::ok).unwrap_or_default(),
        None => Value::Null,
    };
    let shown = Shown { run, details: &details, stored: &stored };
    match context.format {
        OutputFormat::Json => print_line(shown.json()),
        OutputFormat::Human => {
            shown.print()?;
            context.show_address(run);
            Ok(())
        }
    }
}

struct Shown<'a> {
    run: RunId,
    details: &'a RunDetails,
    /// The run in the REST API; `null` if it is not known there.
    stored: &'a Value,
}

impl Shown<'_> {
    fn json(&self) -> Value {
        let tasks = self.details.tasks.iter().map(|task| {
            json!({
                "task_id": task.id,
                "task": task.name,
                "status": task.status.to_string(),
                "output": task.output.as_deref().map(parse),
                "error": task.error,
            })
        });
        json!({
            "run_id": self.run.to_string(),
            "task": self.name(),
            "status": self.details.status.to_string(),
            "done": self.details.done,
            "created_at": self.stored["run"]["metadata"]["createdAt"],
            "started_at": self.stored["run"]["startedAt"],
            "finished_at": self.stored["run"]["finishedAt"],
            "input": parse(&self.details.input),
            "metadata": parse(&self.details.additional_metadata),
            "output": self.output(),
            "error": self.error(),
            "tasks": tasks.collect::<Vec<Value>>(),
        })
    }

    fn print(&self) -> Result<(), Exit> {
        let has_color = color_enabled(&std::io::stdout());
        let field = |name: &str, value: &str| {
            let name = paint(format!("{name:<9}"), Style::Dim, has_color);
            print_line(format!("{name} {}", printable(value)))
        };
        field("run", &self.run.to_string())?;
        field("task", &self.name())?;
        let status = self.details.status;
        let retried = if status == RunStatus::Failed && !self.details.done { ", will be retried" } else { "" };
        let name = paint(format!("{:<9}", "status"), Style::Dim, has_color);
        print_line(format!("{name} {}{retried}", paint(status, status_style(status), has_color)))?;
        let run = &self.stored["run"];
        if let Some(created) = run["metadata"]["createdAt"].as_str() {
            field("created", &format!("{} ({created})", relative_time(Some(created))))?;
            field("duration", &duration(run["startedAt"].as_str(), run["finishedAt"].as_str()))?;
        }
        let mut metadata = parse(&self.details.additional_metadata);
        if let Value::Object(pairs) = &mut metadata {
            // The client's own key.
            pairs.shift_remove(TRIGGER_KEY);
            if !pairs.is_empty() {
                field("metadata", &metadata.to_string())?;
            }
        }
        field("input", &parse(&self.details.input).to_string())?;
        if let Some(error) = self.error() {
            field("error", error)?;
        }
        if self.details.tasks.len() > 1 {
            self.print_tasks()?;
        }
        match self.output() {
            Value::Null => Ok(()),
            output => field("output", &output.to_string()),
        }
    }

    fn print_tasks(&self) -> Result<(), Exit> {
        let mut table = Table::new(["TASK ID", "STATUS", "~TASK", "~ERROR"]);
        for task in &self.details.tasks {
            table.row([
                task.id.as_str().into(),
                Cell::styled(task.status.to_string(), status_style(task.status)),
                task.name.as_str().into(),
                task.error.as_deref().unwrap_or_default().into(),
            ]);
        }
        table.print()
    }

    /// The name of the workflow; that of its first task if the REST API does not know it.
    fn name(&self) -> String {
        let of_task = || self.details.tasks.first().map(|task| task.name.clone()).unwrap_or_default();
        self.stored["workflowConfig"]["Name"].as_str().map_or_else(of_task, str::to_owned)
    }

    /// The output of a completed run; of several tasks, an object by task name.
    fn output(&self) -> Value {
        if self.details.status != RunStatus::Completed || !self.details.done {
            return Value::Null;
        }
        let output = |json: Option<&str>| json.map_or(Value::Null, parse);
        match self.details.tasks.as_slice() {
            [task] if task.id.parse() == Ok(self.run) => output(task.output.as_deref()),
            tasks => tasks
                .iter()
                .map(|task| (task.name.clone(), output(task.output.as_deref())))
                .collect::<Map<String, Value>>()
                .into(),
        }
    }

    fn error(&self) -> Option<&str> {
        let failed = self.details.status != RunStatus::Completed;
        self.details.tasks.iter().filter(|_| failed).find_map(|task| task.error.as_deref())
    }
}

/// A JSON text as a value; a text that is not JSON as a string.
fn parse(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_else(|_| json.into())
}
