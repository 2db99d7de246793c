//! Streams a run's live events.
//!
//! An engine may lose events, so the run's end is taken from the client's updates of the run. Events that arrive later
//! are shown for up to [`TAIL_TIMEOUT`]. Log lines come from another source, so they are in order among themselves
//! only.

mod logs;

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use self::logs::LogReader;
use super::{
    display::RunDisplay,
    follow::{self, Limits},
};
use crate::{
    cli::{Exit, deadline::Deadline},
    hatchet::{
        client::{
            Client, ClientError, RestClient, RunDetails, RunEvent, RunEventKind, RunEvents, RunOutcome, RunRef,
            StoredLogLine, StreamSelector, TRIGGER_KEY,
        },
        wire::{RunId, RunStatus, TriggerId},
    },
};

/// Maximum time for which events are shown after the end of the run: 3 s.
const TAIL_TIMEOUT: Duration = Duration::from_secs(3);
/// Time without an event after which the stream of a run that did not complete ends: 500 ms. The engine closes the
/// stream of a completed run.
const QUIET_TIMEOUT: Duration = Duration::from_millis(500);

/// Subscribes to the events of a run before it is triggered, by its trigger's id. On a real engine, a subscription by
/// run id starts late and misses the first events.
pub(super) async fn subscribe(client: &Client, trigger: TriggerId) -> RunEvents {
    client.events(StreamSelector::trigger(trigger)).await
}

/// Attaches to an existing run with these details and shows its events.
pub(super) async fn attach(
    run: &RunRef,
    details: &RunDetails,
    display: &mut RunDisplay,
    deadline: Deadline,
) -> Result<(), Exit> {
    if details.done {
        display.note("the run has finished, and its stream is closed");
        return follow::follow(run, display, deadline).await;
    }
    if details.status != RunStatus::Queued {
        display.note("attached late: earlier chunks are not shown");
    }
    // A subscription by metadata survives failed attempts. Runs of this runner have a trigger id.
    let metadata: serde_json::Value = serde_json::from_str(&details.additional_metadata).unwrap_or_default();
    let selector = match metadata[TRIGGER_KEY].as_str() {
        Some(value) => StreamSelector::Metadata { key: TRIGGER_KEY.to_owned(), value: value.to_owned() },
        None => StreamSelector::Run(run.id()),
    };
    let events = match deadline.before(run.client().events(selector)).await {
        Some(events) => events,
        // The deadline has passed: following the run returns its exit immediately.
        None => return follow::follow(run, display, deadline).await,
    };
    let tasks = details.tasks.iter().filter_map(|task| task.id.parse().ok()).collect();
    stream(run, tasks, events, display, deadline).await
}

/// Shows events and log lines until the run has finished and its last events have arrived. `tasks` are the runs of its
/// tasks.
pub(super) async fn stream(
    run: &RunRef,
    tasks: Vec<RunId>,
    mut events: RunEvents,
    display: &mut RunDisplay,
    deadline: Deadline,
) -> Result<(), Exit> {
    display.show_events();
    let mut limits = Limits::new(run, deadline);
    let mut updates = run.updates();
    let mut listening = true;
    let mut logs = run.client().rest().map(|rest| LogReader::new(rest.clone(), tasks));
    if logs.is_none() {
        display.note("log lines are not shown, since the REST address is unknown: set HATCHET_CLIENT_SERVER_URL");
    }
    let outcome = loop {
        let new_lines = async {
            match &mut logs {
                Some(logs) => logs.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            event = events.next(), if listening => listening = show(event, display)?,
            Some(update) = updates.next() => {
                if let Some(outcome) = follow::show(run, update, display, deadline).await? {
                    break outcome;
                }
            }
            lines = new_lines => show_lines(&lines, display)?,
            exit = limits.next(display) => return Err(exit),
        }
    };
    drop(limits);
    if listening {
        show_tail(&outcome, &mut events, display).await?;
    }
    if let Some(logs) = logs
        && let Some(lines) = deadline.before(logs.last()).await
    {
        match lines {
            Ok(lines) => show_lines(&lines, display)?,
            Err(error) => display.note(&format!("the last log lines are not shown: {error}")),
        }
    }
    follow::conclude(display, &outcome)
}

/// Reads all log lines of a task run so far, oldest first. Retries for up to 3 s, since the REST API of a real engine may
/// not know a new task yet.
pub(super) async fn read_log_lines(rest: RestClient, task: RunId) -> Result<Vec<StoredLogLine>, ClientError> {
    LogReader::new(rest, vec![task]).last().await
}

fn show_lines(lines: &[StoredLogLine], display: &mut RunDisplay) -> Result<(), Exit> {
    lines.iter().try_for_each(|line| display.show_log_line(line))
}

/// Shows events that arrive after the end of the run.
async fn show_tail(outcome: &RunOutcome, events: &mut RunEvents, display: &mut RunDisplay) -> Result<(), Exit> {
    let last = Instant::now() + TAIL_TIMEOUT;
    loop {
        let quiet =
            if outcome.status == RunStatus::Completed { last } else { last.min(Instant::now() + QUIET_TIMEOUT) };
        tokio::select! {
            event = events.next() => {
                if !show(event, display)? {
                    return Ok(());
                }
            }
            () = sleep_until(quiet) => return Ok(()),
        }
    }
}

/// Shows an event. Returns whether the stream may have more.
fn show(event: Option<Result<RunEvent, ClientError>>, display: &mut RunDisplay) -> Result<bool, Exit> {
    let event = match event {
        None => return Ok(false),
        Some(Ok(event)) => event,
        Some(Err(error)) => {
            display.note(&format!("the stream ended ({error}); waiting for the end of the run"));
            return Ok(false);
        }
    };
    match event.kind {
        RunEventKind::Created => {
            if display.is_queued() {
                display.show_status(RunStatus::Queued)?;
            }
        }
        RunEventKind::Chunk { text, index } => display.show_chunk(&text, index)?,
        RunEventKind::Missed { chunks, before } => {
            display.note(&format!("{chunks} chunk(s) before number {before} were not received"));
        }
        RunEventKind::Failed { error } => display.show_failed_attempt(event.retry_count, &error)?,
        RunEventKind::Gap => display.note("the stream broke and is opened again: chunks may be missing"),
        RunEventKind::Unknown { number } => display.note(&format!("an event of unknown type {number}")),
        // The outcome reports the end.
        RunEventKind::Completed | RunEventKind::Cancelled | RunEventKind::TimedOut | RunEventKind::RunFinished => {}
    }
    Ok(true)
}
