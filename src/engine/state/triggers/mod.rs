//! Triggers of runs in addition to calls: events, schedules and crons.

mod calendar;
mod events;

pub(crate) use self::{
    calendar::{Calendar, Cron, CronError, RunTemplate, ScheduledRun},
    events::{Event, Events, PushedEvent},
};
