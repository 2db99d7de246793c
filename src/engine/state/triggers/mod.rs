//! What triggers runs besides calls: events, schedules and crons.

mod calendar;
mod event_triggers;
mod events;
pub(crate) mod metadata;

pub(crate) use self::{
    calendar::{Calendar, Cron, CronError, RunTemplate, ScheduledRun},
    event_triggers::EventTriggers,
    events::{Event, Events, PushedEvent},
};
