//! `runner runs logs` and `runner runs events`.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    cli::{
        Exit,
        output::{
            Cell, OutputFormat, Style, Table, color_enabled, paint, parse_rfc3339, print_event, print_line, printable,
        },
        runner::{
            attach,
            command_args::Logs,
            context::Context,
            display::RunDisplay,
            stream::{self, LogReader, RunLogLine},
        },
    },
    hatchet::{
        client::{ClientError, ErrorKind, RestClient, StoredLogLine, TaskEvent},
        wire::RunId,
    },
};

/// Time for which a task is requested again that the REST API does not know: 3 s. A real engine stores new tasks there
/// after about a second.
const NEW_TASK_TIMEOUT: Duration = Duration::from_secs(3);
/// Delay between these requests: 250 ms.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// Shows the log lines of a run, oldest first. With `--follow` also those to come, until the run has finished; the exit
/// code is then that of the run.
pub(super) async fn logs(context: &Context<'_>, args: &Logs) -> Result<(), Exit> {
    let rest = context.rest("reading log lines")?;
    let run = context.client.run_ref(args.run);
    let details = context.require("and the run was not read", run.details()).await?;
    let mut logs = LogReader::with_details(rest.clone(), run.clone(), &details);
    let lines = context.require("and the log lines were not read", logs.read_new()).await?;
    let has_names = logs.has_several_tasks();
    let print =
        |lines: &[RunLogLine]| lines.iter().try_for_each(|line| print_log_line(context.format, has_names, line));
    print(&lines[args.tail.map_or(0, |tail| lines.len().saturating_sub(tail))..])?;
    if args.follow {
        // The lines are the only data on stdout, so status and errors are messages in both formats.
        let messages = Context { format: OutputFormat::Human, ..*context };
        let mut display = RunDisplay::new(&messages, attach::task_of(&details, context.tasks), args.run);
        return stream::follow_logs(&run, logs, &mut display, context.deadline, print).await;
    }
    if lines.is_empty() && context.format == OutputFormat::Human {
        context.message("the run has no log lines");
    }
    Ok(())
}

fn print_log_line(format: OutputFormat, has_name: bool, line: &RunLogLine) -> Result<(), Exit> {
    let RunLogLine { task, line } = line;
    match format {
        OutputFormat::Json => print_event(
            "log",
            json!({
                "task": task, "level": line.level, "attempt": line.attempt, "created_at": line.created_at,
                "text": line.message, "fields": line.fields,
            }),
        ),
        OutputFormat::Human => print_line(log_line(has_name.then_some(task.as_str()), line)),
    }
}

fn log_line(task: Option<&str>, line: &StoredLogLine) -> String {
    let level = format!("{:<5}", printable(&line.level));
    let level = match line.level.as_str() {
        "ERROR" => paint(level, Style::Red, color_enabled(&std::io::stdout())),
        "WARN" => paint(level, Style::Yellow, color_enabled(&std::io::stdout())),
        _ => level,
    };
    let task = task.map(|task| format!("{}  ", printable(task))).unwrap_or_default();
    format!("{}  {level}  {task}{}", clock(&line.created_at), printable(&line.message))
}

/// Shows the history of a run, oldest event first.
pub(super) async fn events(context: &Context<'_>, run: RunId) -> Result<(), Exit> {
    let rest = context.rest("reading the history of a run")?;
    let tasks = tasks_of(context, run).await?;
    let mut events: Vec<(&str, TaskEvent)> = Vec::new();
    for (name, task) in &tasks {
        let of_task = context.require("and the history was not read", read_events(rest, *task)).await?;
        events.extend(of_task.into_iter().rev().map(|event| (name.as_str(), event)));
    }
    in_order(&mut events);
    let attempt = |event: &TaskEvent| event.retry_count + 1;
    if context.format == OutputFormat::Json {
        return events.iter().try_for_each(|(name, event)| {
            print_line(json!({
                "task": name,
                "task_id": event.task_id,
                "type": event.event_type,
                "created_at": event.timestamp,
                "attempt": attempt(event),
                "message": Some(&event.message).filter(|text| !text.is_empty()),
                "error": Some(&event.error_message).filter(|text| !text.is_empty()),
                "worker_id": event.worker_id,
            }))
        });
    }
    let mut table = Table::new(["TIME (UTC)", "EVENT", "ATTEMPT", "~TASK", "~MESSAGE"]);
    for (name, event) in &events {
        let message = if event.error_message.is_empty() { &event.message } else { &event.error_message };
        table.row([
            clock(&event.timestamp).into(),
            match event.event_type.as_str() {
                "FINISHED" => Cell::styled("FINISHED", Style::Green),
                "FAILED" | "TIMED_OUT" => Cell::styled(event.event_type.clone(), Style::Red),
                other => other.into(),
            },
            attempt(event).to_string().into(),
            (*name).into(),
            message.as_str().into(),
        ]);
    }
    table.print()
}

/// Sorts events by time. The sort is stable, so events of the same time stay in the engine's order. The texts do not
/// sort like the times: an engine omits zeros at the end of a fraction.
fn in_order(events: &mut [(&str, TaskEvent)]) {
    events.sort_by_key(|(_, event)| parse_rfc3339(&event.timestamp));
}

/// The tasks of a run that exist so far, with their names.
async fn tasks_of(context: &Context<'_>, run: RunId) -> Result<Vec<(String, RunId)>, Exit> {
    let reference = context.client.run_ref::<()>(run);
    let details = context.require("and the run was not read", reference.details()).await?;
    let tasks = details.tasks.iter().filter_map(|task| Some((task.name.clone(), task.id.parse().ok()?)));
    Ok(tasks.collect())
}

/// Reads the history of a task, again for a short time if the REST API does not know the task yet.
async fn read_events(rest: &RestClient, task: RunId) -> Result<Vec<TaskEvent>, ClientError> {
    let give_up = Instant::now() + NEW_TASK_TIMEOUT;
    loop {
        match rest.task_events(task).await {
            Err(error) if error.kind() == ErrorKind::NotFound && Instant::now() < give_up => sleep(RETRY_DELAY).await,
            result => return result,
        }
    }
}

/// The time of day of an RFC 3339 time, to the millisecond.
fn clock(time: &str) -> String {
    let Some((_, clock)) = time.split_once('T') else { return printable(time) };
    let (seconds, fraction) = clock.trim_end_matches('Z').split_once('.').unwrap_or((clock.trim_end_matches('Z'), ""));
    let millis: String = fraction.chars().chain("000".chars()).take(3).collect();
    printable(&format!("{seconds}.{millis}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sorted_by_time() {
        let event = |time: &str| {
            let event = json!({ "eventType": "QUEUED", "timestamp": time });
            ("task", serde_json::from_value(event).unwrap())
        };
        let times = ["2026-11-30T15:36:44Z", "2026-11-30T15:36:44.6Z", "2026-11-30T15:36:44.61Z"];
        let mut events = [event(times[2]), event(times[1]), event(times[0])];
        in_order(&mut events);
        assert_eq!(events.map(|(_, event)| event.timestamp), times);
    }

    #[test]
    fn clock_has_milliseconds() {
        assert_eq!(clock("2026-11-30T15:36:44.6067Z"), "15:36:44.606");
        assert_eq!(clock("2026-11-30T15:36:44.6Z"), "15:36:44.600");
        assert_eq!(clock("2026-11-30T15:36:44Z"), "15:36:44.000");
        assert_eq!(clock("soon"), "soon");
    }
}
