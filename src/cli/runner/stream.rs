//! Shows a run's live events. The events tell what happens; the end is taken from a source that cannot miss it.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::{Instant, sleep_until};

use super::{
    super::{Exit, deadline::Deadline},
    follow::{self, Limits, looks},
    screen::Screen,
};
use crate::hatchet::{
    client::{
        Client, ClientError, RunDetails, RunEvent, RunEventKind, RunEvents, RunOutcome, RunRef, StreamSelector,
        TRIGGER_KEY,
    },
    wire::{RunStatus, TriggerId},
};

/// After the end is known, the last events have this long to arrive.
const TAIL: Duration = Duration::from_secs(3);
/// Where the engine does not hang up (it does after a completed run), this long without an event is the end.
const QUIET: Duration = Duration::from_millis(500);

/// Subscribes to the events of a run before it is triggered, by its trigger's id: a subscription by run id starts late
/// on a real engine, and loses what comes early.
pub(super) async fn subscribe(client: &Client, trigger: TriggerId) -> Result<RunEvents, ClientError> {
    client.events(StreamSelector::Metadata { key: TRIGGER_KEY.to_owned(), value: trigger.to_string() }).await
}

/// Attaches to a run that was made earlier, and was like this just now.
pub(super) async fn attach(
    run: &RunRef,
    details: &RunDetails,
    screen: &mut Screen,
    deadline: Deadline,
) -> Result<(), Exit> {
    if details.done {
        screen.note("the run has ended: its stream is over");
        return follow::to_the_end(run, screen, deadline).await;
    }
    if details.status != RunStatus::Queued {
        screen.note("attached late: what was streamed before is not shown");
    }
    // A run of ours is found by its metadata, which keeps the stream through failed attempts.
    let metadata: serde_json::Value = serde_json::from_str(&details.additional_metadata).unwrap_or_default();
    let selector = match metadata[TRIGGER_KEY].as_str() {
        Some(value) => StreamSelector::Metadata { key: TRIGGER_KEY.to_owned(), value: value.to_owned() },
        None => StreamSelector::Run(run.id()),
    };
    let events = match deadline.before(run.client().events(selector)).await {
        Some(events) => events?,
        // Ends at once, with the word of a wait.
        None => return follow::to_the_end(run, screen, deadline).await,
    };
    to_the_end(run, events, screen, deadline).await
}

/// Shows events until the run has ended and its last events are shown.
pub(super) async fn to_the_end(
    run: &RunRef,
    mut events: RunEvents,
    screen: &mut Screen,
    deadline: Deadline,
) -> Result<(), Exit> {
    screen.show_events();
    let mut limits = Limits::new(run, deadline);
    let ended = run.outcome();
    tokio::pin!(ended);
    let looks = looks(run);
    tokio::pin!(looks);
    let mut listening = true;
    let outcome = loop {
        tokio::select! {
            biased;
            event = events.next(), if listening => listening = show(event, screen)?,
            outcome = &mut ended => break follow::finish(run, outcome, screen, deadline).await?,
            Some(seen) = looks.next() => {
                if let Some(outcome) = screen.seen(run, seen)? {
                    break outcome;
                }
            }
            exit = limits.next(screen) => return Err(exit),
        }
    };
    if listening {
        tail(&outcome, &mut events, screen).await?;
    }
    follow::conclude(screen, &outcome)
}

/// Shows what is still on its way when the end is known.
async fn tail(outcome: &RunOutcome, events: &mut RunEvents, screen: &mut Screen) -> Result<(), Exit> {
    let last = Instant::now() + TAIL;
    loop {
        let quiet = if outcome.status == RunStatus::Completed { last } else { last.min(Instant::now() + QUIET) };
        tokio::select! {
            event = events.next() => {
                if !show(event, screen)? {
                    return Ok(());
                }
            }
            () = sleep_until(quiet) => return Ok(()),
        }
    }
}

/// Shows one event; false when no more come.
fn show(event: Option<Result<RunEvent, ClientError>>, screen: &mut Screen) -> Result<bool, Exit> {
    let event = match event {
        None => return Ok(false),
        Some(Ok(event)) => event,
        Some(Err(error)) => {
            screen.note(&format!("the stream ended ({error}); waits for the end of the run"));
            return Ok(false);
        }
    };
    match event.kind {
        RunEventKind::Created => {
            if screen.is_queued() {
                screen.status(RunStatus::Queued)?;
            }
        }
        RunEventKind::Chunk { text, index } => screen.chunk(&text, index)?,
        RunEventKind::Missed { chunks, before } => {
            screen.note(&format!("{chunks} chunk(s) before number {before} were not received"));
        }
        RunEventKind::Failed { error } => screen.attempt_failed(event.retry_count, &error)?,
        RunEventKind::Gap => screen.note("the stream broke and was opened again: chunks may be missing"),
        RunEventKind::Unknown { number } => screen.note(&format!("an event of the unknown type {number}")),
        // The outcome tells the end, whichever way it comes.
        RunEventKind::Completed | RunEventKind::Cancelled | RunEventKind::TimedOut | RunEventKind::RunEnded => {}
    }
    Ok(true)
}
