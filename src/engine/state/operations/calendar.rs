//! Schedules and crons.

use uuid::Uuid;

use super::trigger::TriggerError;
use crate::engine::{
    cron::CronRule,
    state::{
        machine::State,
        time::{ClockReading, Timestamp},
        triggers::{Cron, CronError, RunTemplate, ScheduledRun},
    },
};

impl State {
    /// Schedules a run for each of the times. A time in the past is due at the next tick.
    pub(crate) fn schedule(
        &mut self,
        template: &RunTemplate,
        times: &[Timestamp],
        now: ClockReading,
    ) -> Result<Vec<Uuid>, TriggerError> {
        if self.version_of(&template.workflow).is_none() {
            return Err(TriggerError::UnknownWorkflow(template.workflow.to_string()));
        }
        let schedule = |at: &Timestamp| {
            let id = self.new_id();
            self.calendar.schedule(id, template.clone(), *at, now.display);
            id
        };
        Ok(times.iter().map(schedule).collect())
    }

    pub(crate) fn schedules(&self) -> impl Iterator<Item = (Uuid, &ScheduledRun)> {
        self.calendar.schedules.iter().map(|(id, scheduled)| (*id, scheduled))
    }

    pub(crate) fn scheduled(&self, id: Uuid) -> Option<&ScheduledRun> {
        self.calendar.schedules.get(&id)
    }

    /// Moves a scheduled run to another time; `false` if it does not exist.
    pub(crate) fn reschedule(&mut self, id: Uuid, at: Timestamp) -> bool {
        self.calendar.reschedule(id, at)
    }

    /// Removes a scheduled run; `false` if it does not exist.
    pub(crate) fn unschedule(&mut self, id: Uuid) -> bool {
        self.calendar.remove_schedule(id)
    }

    /// Adds a cron to a workflow.
    pub(crate) fn add_cron(
        &mut self,
        template: RunTemplate,
        rule: CronRule,
        name: String,
        now: ClockReading,
    ) -> Result<Uuid, CronError> {
        if self.version_of(&template.workflow).is_none() {
            return Err(CronError::UnknownWorkflow);
        }
        if self.calendar.has_cron(&template.workflow, &name, &rule) {
            return Err(CronError::Duplicate);
        }
        let id = self.new_id();
        self.calendar.add_cron(id, Cron::new(template, rule, name, false, now.display), now);
        Ok(id)
    }

    pub(crate) fn crons(&self) -> impl Iterator<Item = (Uuid, &Cron)> {
        self.calendar.crons.iter().map(|(id, cron)| (*id, cron))
    }

    pub(crate) fn cron(&self, id: Uuid) -> Option<&Cron> {
        self.calendar.crons.get(&id)
    }

    /// Enables or disables a cron; `false` if it does not exist.
    pub(crate) fn enable_cron(&mut self, id: Uuid, enabled: bool, now: ClockReading) -> bool {
        self.calendar.enable_cron(id, enabled, now)
    }

    /// Removes a cron; `false` if it does not exist.
    pub(crate) fn remove_cron(&mut self, id: Uuid) -> bool {
        self.calendar.remove_cron(id)
    }

    /// Triggers all runs of the calendar that are due.
    pub(super) fn start_due_runs(&mut self, now: ClockReading) {
        while let Some((template, origin)) = self.calendar.pop_due(now) {
            self.trigger_unattended(template, origin, None, None, now);
        }
    }
}
