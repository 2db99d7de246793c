//! Triggers of runs in addition to calls: events, schedules and crons.

mod calendar;
mod events;
mod template;

pub(crate) use self::{
    calendar::{Calendar, Cron, CronError, ScheduledRun},
    events::{Event, Events, PushedEvent},
    template::RunTemplate,
};
