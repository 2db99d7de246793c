//! Triggers of runs in addition to calls: events with their filters, schedules and crons.

mod calendar;
mod events;
mod filters;
mod template;

pub(crate) use self::{
    calendar::{Calendar, Cron, CronError, ScheduledRun},
    events::{Event, Events, PushedEvent},
    filters::{EventFilter, EventFilters},
    template::RunTemplate,
};
