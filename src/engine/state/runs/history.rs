//! The history of a task: the events that REST lists for it.
//!
//! Histories are written often and read rarely. An event is therefore encoded once, in its stored form, when it is
//! recorded, and decoded only for a list.

use std::{sync::Arc, time::Duration};

use prost::Message;

use crate::{
    engine::{
        persistence::{
            records::{self, HistoryEventRecord, HistoryKindRecord, TaskHistoryRecord},
            row::Damaged,
        },
        state::time::{Timestamp, millis},
    },
    hatchet::wire::WorkerId,
};

/// Number of the latest events that the history of a task retains. Not a limit of Hatchet: enough for about a dozen
/// attempts.
const MAX_EVENTS: u32 = 64;

/// Number of characters that an event retains of an error. Limited, since each event writes the task's row again.
const MAX_ERROR_CHARS: usize = 500;

/// One event of a task's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryEvent {
    pub(crate) at: Timestamp,
    pub(crate) attempt: i32,
    pub(crate) kind: HistoryEventKind,
}

/// The kind of a history event, by Hatchet's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HistoryEventKind {
    Queued,
    Assigned(WorkerId),
    /// The worker reported that the attempt has started.
    Started,
    /// The attempt completed. Its output is the task's output until a later attempt starts.
    Finished,
    Failed(Arc<str>),
    TimedOut(Arc<str>),
    /// The schedule timeout has elapsed.
    ScheduleTimedOut,
    Cancelled,
    /// Cancelled by the strategy of its concurrency group.
    Displaced,
    /// The worker was lost, and the next attempt follows.
    Reassigned,
    /// Another attempt follows after this delay.
    Retrying(Duration),
    Replayed,
    /// The on-failure task was not needed.
    Skipped,
    /// The execution timeout was extended.
    Refreshed(Duration),
    SlotReleased,
    /// A rate limit has too few units; the message.
    RateLimited(Arc<str>),
}

/// The latest events of a task, oldest first, in their stored form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TaskHistory {
    /// [`HistoryEventRecord`]s, each prefixed with its length.
    encoded: Vec<u8>,
    count: u32,
    /// Number of earlier events that were dropped.
    dropped: u64,
}

impl TaskHistory {
    pub(crate) fn push(&mut self, event: &HistoryEvent) {
        if self.count >= MAX_EVENTS {
            self.drop_oldest();
        }
        self.count += 1;
        let record = to_record(event);
        self.encoded.reserve_exact(record.encoded_len() + 2);
        self.encoded.extend_from_slice(&record.encode_length_delimited_to_vec());
    }

    fn drop_oldest(&mut self) {
        let mut rest = &self.encoded[..];
        if HistoryEventRecord::decode_length_delimited(&mut rest).is_ok() {
            let length = self.encoded.len() - rest.len();
            self.encoded.drain(..length);
            self.count -= 1;
            self.dropped += 1;
        }
    }

    pub(crate) fn to_record(&self) -> TaskHistoryRecord {
        TaskHistoryRecord { events: self.encoded.clone(), count: self.count, dropped: self.dropped }
    }

    pub(crate) fn from_record(record: TaskHistoryRecord) -> Self {
        Self { encoded: record.events, count: record.count, dropped: record.dropped }
    }

    /// The kind of the latest event.
    pub(crate) fn last(&self) -> Option<HistoryEventKind> {
        self.numbered().last().map(|(_, event)| event.kind)
    }

    /// The worker of the latest retained assignment.
    pub(crate) fn latest_worker(&self) -> Option<WorkerId> {
        let assigned = self.numbered().filter_map(|(_, event)| {
            if let HistoryEventKind::Assigned(worker) = event.kind { Some(worker) } else { None }
        });
        assigned.last()
    }

    /// The events with their numbers, dropped events counted. Stops at an event that cannot be decoded.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u64, HistoryEvent)> {
        let mut rest = &self.encoded[..];
        let event = move || {
            if rest.is_empty() {
                return None;
            }
            from_record(HistoryEventRecord::decode_length_delimited(&mut rest).ok()?).ok()
        };
        (self.dropped..).zip(std::iter::from_fn(event))
    }
}

fn to_record(event: &HistoryEvent) -> HistoryEventRecord {
    let (mut text, mut worker, mut wait) = (String::new(), None, 0);
    let cut = |error: &str| error.chars().take(MAX_ERROR_CHARS).collect();
    let kind = match &event.kind {
        HistoryEventKind::Queued => HistoryKindRecord::Queued,
        HistoryEventKind::Assigned(id) => {
            worker = records::Id::of(id.uuid());
            HistoryKindRecord::Assigned
        }
        HistoryEventKind::Started => HistoryKindRecord::Started,
        HistoryEventKind::Finished => HistoryKindRecord::Finished,
        HistoryEventKind::Failed(error) => {
            text = cut(error);
            HistoryKindRecord::Failed
        }
        HistoryEventKind::TimedOut(error) => {
            text = cut(error);
            HistoryKindRecord::TimedOut
        }
        HistoryEventKind::ScheduleTimedOut => HistoryKindRecord::ScheduleTimedOut,
        HistoryEventKind::Cancelled => HistoryKindRecord::Cancelled,
        HistoryEventKind::Displaced => HistoryKindRecord::Displaced,
        HistoryEventKind::Reassigned => HistoryKindRecord::Reassigned,
        HistoryEventKind::Retrying(delay) => {
            wait = millis(*delay);
            HistoryKindRecord::Retrying
        }
        HistoryEventKind::Replayed => HistoryKindRecord::Replayed,
        HistoryEventKind::Skipped => HistoryKindRecord::Skipped,
        HistoryEventKind::Refreshed(by) => {
            wait = millis(*by);
            HistoryKindRecord::Refreshed
        }
        HistoryEventKind::SlotReleased => HistoryKindRecord::SlotReleased,
        HistoryEventKind::RateLimited(message) => {
            text = cut(message);
            HistoryKindRecord::RateLimited
        }
    };
    HistoryEventRecord { at: event.at.0, attempt: event.attempt, kind: kind.into(), text, worker, wait }
}

fn from_record(record: HistoryEventRecord) -> Result<HistoryEvent, Damaged> {
    let wait = Duration::from_millis(record.wait);
    let kind = match record.kind() {
        HistoryKindRecord::Queued => HistoryEventKind::Queued,
        HistoryKindRecord::Assigned => {
            HistoryEventKind::Assigned(records::required_id(record.worker, "the event's worker")?)
        }
        HistoryKindRecord::Started => HistoryEventKind::Started,
        HistoryKindRecord::Finished => HistoryEventKind::Finished,
        HistoryKindRecord::Failed => HistoryEventKind::Failed(record.text.into()),
        HistoryKindRecord::TimedOut => HistoryEventKind::TimedOut(record.text.into()),
        HistoryKindRecord::ScheduleTimedOut => HistoryEventKind::ScheduleTimedOut,
        HistoryKindRecord::Cancelled => HistoryEventKind::Cancelled,
        HistoryKindRecord::Displaced => HistoryEventKind::Displaced,
        HistoryKindRecord::Reassigned => HistoryEventKind::Reassigned,
        HistoryKindRecord::Retrying => HistoryEventKind::Retrying(wait),
        HistoryKindRecord::Replayed => HistoryEventKind::Replayed,
        HistoryKindRecord::Skipped => HistoryEventKind::Skipped,
        HistoryKindRecord::Refreshed => HistoryEventKind::Refreshed(wait),
        HistoryKindRecord::SlotReleased => HistoryEventKind::SlotReleased,
        HistoryKindRecord::RateLimited => HistoryEventKind::RateLimited(record.text.into()),
        HistoryKindRecord::Unknown => return Err(Damaged(format!("unknown history event {}", record.kind))),
    };
    Ok(HistoryEvent { at: Timestamp(record.at), attempt: record.attempt, kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_events_are_dropped_and_numbers_survive_restart() {
        let mut history = TaskHistory::default();
        for n in 0..100 {
            history.push(&HistoryEvent { at: Timestamp(n), attempt: 0, kind: HistoryEventKind::Queued });
        }
        let history = TaskHistory::from_record(history.to_record());
        let retained: Vec<(u64, u64)> = history.numbered().map(|(n, event)| (n, event.at.0)).collect();
        assert_eq!((retained.len(), retained[0], retained[63]), (64, (36, 36), (99, 99)));
    }

    #[test]
    fn decoded_events_equal_encoded_events() {
        let wait = Duration::from_millis(1500);
        let kinds = [
            HistoryEventKind::Queued,
            HistoryEventKind::Assigned(WorkerId::from(uuid::Uuid::from_u128(7))),
            HistoryEventKind::Started,
            HistoryEventKind::Finished,
            HistoryEventKind::Failed("error".into()),
            HistoryEventKind::TimedOut("late".into()),
            HistoryEventKind::ScheduleTimedOut,
            HistoryEventKind::Cancelled,
            HistoryEventKind::Displaced,
            HistoryEventKind::Reassigned,
            HistoryEventKind::Retrying(wait),
            HistoryEventKind::Replayed,
            HistoryEventKind::Skipped,
            HistoryEventKind::Refreshed(wait),
            HistoryEventKind::SlotReleased,
            HistoryEventKind::RateLimited("too few".into()),
        ];
        let events = kinds.map(|kind| HistoryEvent { at: Timestamp(5), attempt: 3, kind });
        let mut history = TaskHistory::default();
        events.iter().for_each(|event| history.push(event));
        assert_eq!(history.numbered().map(|(_, event)| event).collect::<Vec<_>>(), events);
    }
}
