//! Streams a run's live events, or its log lines alone.
//!
//! An engine may lose events, so the run's end is taken from the client's updates of the run. Events that arrive later
//! are shown for up to [`TAIL_TIMEOUT`]. Log lines come from another source, so they are in order among themselves
//! only.

mod logs;

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

pub(super) use self::logs::{LogReader, RunLogLine};
use super::{
    context::explain_error,
    display::RunDisplay,
    follow::{self, Limits},
};
use crate::{
    cli::{Exit, deadline::Deadline},
    hatchet::{
        client::{
            Client, ClientError, ErrorKind, RunDetails, RunEvent, RunEventKind, RunEvents, RunOutcome, RunRef,
            StreamSelector, TRIGGER_KEY,
        },
        wire::{RunStatus, TriggerId},
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
    stream(run, events, display, deadline).await
}

/// Shows events and log lines until the run has finished and its last events have arrived.
pub(super) async fn stream(
    run: &RunRef,
    mut events: RunEvents,
    display: &mut RunDisplay,
    deadline: Deadline,
) -> Result<(), Exit> {
    display.show_events();
    let mut limits = Limits::new(run, deadline);
    let mut updates = run.updates();
    let mut listening = true;
    let mut logs = run.client().rest().map(|rest| LogReader::new(rest.clone(), run.clone()));
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
            lines = new_lines => match lines {
                Ok(lines) => show_lines(&lines, display)?,
                Err(error) => note_failed_poll(&error, display),
            },
            exit = limits.next(display) => return Err(exit),
        }
    };
    drop(limits);
    if listening {
        show_tail(&outcome, &mut events, display).await?;
    }
    if let Some(mut logs) = logs {
        show_lines(&remaining_lines(&mut logs, display, deadline).await, display)?;
    }
    follow::conclude(display, &outcome)
}

fn show_lines(lines: &[RunLogLine], display: &mut RunDisplay) -> Result<(), Exit> {
    lines.iter().try_for_each(|line| display.show_log_line(&line.line))
}

fn note_failed_poll(error: &ClientError, display: &RunDisplay) {
    display.note(&format!("waiting for log lines, which cannot be read: {error}"));
}

/// The remaining lines of a run that has finished. Empty after the deadline.
async fn remaining_lines(logs: &mut LogReader, display: &RunDisplay, deadline: Deadline) -> Vec<RunLogLine> {
    match deadline.before(logs.read_new()).await {
        Some(Ok(lines)) => lines,
        Some(Err(error)) => {
            display.note(&format!("the last log lines are not shown: {error}"));
            Vec::new()
        }
        None => Vec::new(),
    }
}

/// Prints the new log lines of a run with `print` until it has finished, then its end on stderr. Returns its exit code.
/// Fails if the engine refuses to return log lines.
pub(super) async fn follow_logs(
    run: &RunRef,
    mut logs: LogReader,
    display: &mut RunDisplay,
    deadline: Deadline,
    print: impl Fn(&[RunLogLine]) -> Result<(), Exit>,
) -> Result<(), Exit> {
    let mut limits = Limits::new(run, deadline);
    let mut updates = run.updates();
    let outcome = loop {
        tokio::select! {
            biased;
            Some(update) = updates.next() => {
                if let Some(outcome) = follow::show(run, update, display, deadline).await? {
                    break outcome;
                }
            }
            lines = logs.next() => match lines {
                Ok(lines) => print(&lines)?,
                Err(error) if error.kind() == ErrorKind::Unauthenticated => {
                    return Err(explain_error(run.client(), error, deadline).await);
                }
                Err(error) => note_failed_poll(&error, display),
            },
            exit = limits.next(display) => return Err(exit),
        }
    };
    drop(limits);
    print(&remaining_lines(&mut logs, display, deadline).await)?;
    follow::conclude_without_output(display, &outcome)
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
