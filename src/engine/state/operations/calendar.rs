//! Schedules and crons: adds, changes and removes them, and starts their runs.

use uuid::Uuid;

use super::trigger::TriggerError;
use crate::engine::{
    cron::CronRule,
    state::{
        machine::State,
        runs::Origin,
        time::{ClockReading, Timestamp},
        triggers::{Cron, CronError, RunTemplate, ScheduledRun},
        workflows::PauseBehavior,
    },
};
use crate::hatchet::wire::RunId;

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

    /// Triggers the run of a schedule immediately; `None` if the schedule does not exist or its run was refused. Removes
    /// the schedule once its run is accepted.
    pub(crate) fn trigger_schedule(&mut self, id: Uuid, now: ClockReading) -> Option<RunId> {
        let template = self.calendar.scheduled_run(id)?;
        let run = self.trigger_unattended(template, Origin::Schedule(id), None, None, now)?;
        self.calendar.remove_schedule(id);
        Some(run)
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

    /// Triggers a run of a cron immediately; `None` if the cron does not exist or its run was refused.
    pub(crate) fn trigger_cron(&mut self, id: Uuid, now: ClockReading) -> Option<RunId> {
        let template = self.calendar.cron_run(id, now.display)?;
        self.trigger_unattended(template, Origin::Cron, None, None, now)
    }

    /// Triggers all runs of the calendar that are due.
    pub(super) fn start_due_runs(&mut self, now: ClockReading) {
        let is_dropped = |workflow: &str, is_cron: bool| {
            let Some(version) = self.workflows.get(workflow) else { return false };
            let pause = self.workflows.pause_of(version.workflow_id);
            let behavior = pause.map(|pause| if is_cron { pause.cron } else { pause.scheduled });
            behavior == Some(PauseBehavior::Drop)
        };
        let mut due = Vec::new();
        while let Some(run) = self.calendar.pop_due(now, is_dropped) {
            due.push(run);
        }
        for (template, origin) in due {
            self.trigger_unattended(template, origin, None, None, now);
        }
    }
}
