//! Runs that start by themselves: once at a time, or by a cron expression.

use std::sync::Arc;

use uuid::Uuid;

use crate::engine::state::{
    ClockReading, State, Timestamp, TriggerError, TriggerItem,
    model::Origin,
    timers::{Date, DateKey},
};
use crate::engine::{cron::CronRule, state::triggers::metadata};

/// What a run that starts by itself is started with, checked at the door.
#[derive(Debug, Clone)]
pub(crate) struct RunTemplate {
    pub(crate) workflow: Arc<str>,
    /// A JSON object or `null`.
    pub(crate) input: Arc<str>,
    /// A JSON object.
    pub(crate) metadata: Arc<str>,
    pub(crate) priority: Option<i32>,
}

/// A run at a time. As with a real engine, it is gone once it has started its run.
#[derive(Debug)]
pub(crate) struct ScheduledRun {
    pub(crate) template: RunTemplate,
    pub(crate) at: Timestamp,
    pub(crate) created: Timestamp,
    alarm: Option<DateKey>,
}

/// Runs by a cron expression.
#[derive(Debug)]
pub(crate) struct Cron {
    pub(crate) template: RunTemplate,
    pub(crate) rule: CronRule,
    /// Empty for one that a workflow declares.
    pub(crate) name: String,
    /// Part of its workflow's declaration, and replaced with it.
    pub(crate) declared: bool,
    pub(crate) enabled: bool,
    pub(crate) created: Timestamp,
    alarm: Option<DateKey>,
}

/// Why a cron is not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CronError {
    UnknownWorkflow,
    /// The workflow has one of this name and expression.
    Duplicate,
}

impl Cron {
    /// One that was kept.
    pub(crate) fn kept(
        template: RunTemplate,
        rule: CronRule,
        name: String,
        declared: bool,
        enabled: bool,
        created: Timestamp,
    ) -> Self {
        Self { template, rule, name, declared, enabled, created, alarm: None }
    }
}

impl State {
    /// Starts a run at each time; one that is over is now.
    pub(crate) fn schedule(
        &mut self,
        template: &RunTemplate,
        times: &[Timestamp],
        now: ClockReading,
    ) -> Result<Vec<Uuid>, TriggerError> {
        if self.version_of(&template.workflow).is_none() {
            return Err(TriggerError::UnknownWorkflow(template.workflow.to_string()));
        }
        let one = |at: &Timestamp| {
            let id = self.new_id();
            let alarm = Some(self.calendar.set(*at, Date::Schedule(id)));
            self.schedules
                .insert(id, ScheduledRun { template: template.clone(), at: *at, created: now.display, alarm });
            id
        };
        Ok(times.iter().map(one).collect())
    }

    /// Puts back a schedule that was kept. One that is overdue starts at once.
    pub(crate) fn restore_schedule(&mut self, id: Uuid, template: RunTemplate, at: Timestamp, created: Timestamp) {
        let alarm = Some(self.calendar.set(at, Date::Schedule(id)));
        self.schedules.restore(id, ScheduledRun { template, at, created, alarm });
    }

    pub(crate) fn schedules(&self) -> impl Iterator<Item = (Uuid, &ScheduledRun)> {
        self.schedules.iter().map(|(id, scheduled)| (*id, scheduled))
    }

    pub(crate) fn scheduled(&self, id: Uuid) -> Option<&ScheduledRun> {
        self.schedules.get(&id)
    }

    /// Moves a run to another time. False if there is no such schedule.
    pub(crate) fn reschedule(&mut self, id: Uuid, at: Timestamp) -> bool {
        let Some(scheduled) = self.schedules.get_mut(&id) else { return false };
        self.calendar.take_back(scheduled.alarm.take());
        scheduled.at = at;
        scheduled.alarm = Some(self.calendar.set(at, Date::Schedule(id)));
        true
    }

    /// Takes a schedule back. False if there is no such schedule.
    pub(crate) fn unschedule(&mut self, id: Uuid) -> bool {
        let Some(scheduled) = self.schedules.remove(&id) else { return false };
        self.calendar.take_back(scheduled.alarm);
        true
    }

    pub(crate) fn schedule_is_due(&mut self, id: Uuid, now: ClockReading) {
        let Some(scheduled) = self.schedules.remove(&id) else { return };
        self.start_unasked(item(&scheduled.template, Origin::Schedule(id)), now);
    }

    /// Starts runs by an expression.
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
        let same = |cron: &Cron| {
            !cron.declared
                && cron.template.workflow == template.workflow
                && cron.name == name
                && cron.rule.text() == rule.text()
        };
        if self.crons.values().any(same) {
            return Err(CronError::Duplicate);
        }
        Ok(self.put_cron(template, rule, name, false, now))
    }

    fn put_cron(
        &mut self,
        template: RunTemplate,
        rule: CronRule,
        name: String,
        declared: bool,
        now: ClockReading,
    ) -> Uuid {
        let id = self.new_id();
        self.crons
            .insert(id, Cron { template, rule, name, declared, enabled: true, created: now.display, alarm: None });
        self.arm_cron(id, now);
        id
    }

    fn arm_cron(&mut self, id: Uuid, now: ClockReading) {
        // Should the clock be wrong and put right before the next tick, that tick is to notice.
        self.looked = self.looked.max(now.wall);
        let Some(cron) = self.crons.passing(&id) else { return };
        self.calendar.take_back(cron.alarm.take());
        if let Some(next) = cron.rule.next_after(now.wall.0).map(Timestamp).filter(|_| cron.enabled) {
            cron.alarm = Some(self.calendar.set(next, Date::Cron(id)));
        }
    }

    /// The wall clock was wrong, and crons have waited for what it said.
    pub(crate) fn rearm_crons(&mut self, now: ClockReading) {
        for id in self.crons.keys().copied().collect::<Vec<_>>() {
            self.arm_cron(id, now);
        }
    }

    /// A declaration brings its crons, in place of those of the one before.
    pub(crate) fn declare_crons(&mut self, template: &RunTemplate, rules: Vec<CronRule>, now: ClockReading) {
        let old = self.crons.iter().filter(|(_, cron)| cron.declared && cron.template.workflow == template.workflow);
        for id in old.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Some(cron) = self.crons.remove(&id) {
                self.calendar.take_back(cron.alarm);
            }
        }
        for rule in rules {
            self.put_cron(template.clone(), rule, String::new(), true, now);
        }
    }

    /// Puts back a cron that was kept. As with a real engine, what it has missed is not made up for.
    pub(crate) fn restore_cron(&mut self, id: Uuid, cron: Cron, now: ClockReading) {
        self.crons.restore(id, cron);
        self.arm_cron(id, now);
    }

    pub(crate) fn crons(&self) -> impl Iterator<Item = (Uuid, &Cron)> {
        self.crons.iter().map(|(id, cron)| (*id, cron))
    }

    pub(crate) fn cron(&self, id: Uuid) -> Option<&Cron> {
        self.crons.get(&id)
    }

    /// Holds a cron back, or lets it go on. False if there is no such cron.
    pub(crate) fn enable_cron(&mut self, id: Uuid, enabled: bool, now: ClockReading) -> bool {
        let Some(cron) = self.crons.get_mut(&id) else { return false };
        cron.enabled = enabled;
        self.arm_cron(id, now);
        true
    }

    /// Removes a cron; one that its workflow declares until another version of the workflow is declared. False if there
    /// is no such cron.
    pub(crate) fn remove_cron(&mut self, id: Uuid) -> bool {
        let Some(cron) = self.crons.remove(&id) else { return false };
        self.calendar.take_back(cron.alarm);
        true
    }

    pub(crate) fn cron_is_due(&mut self, id: Uuid, due: Timestamp, now: ClockReading) {
        let Some(cron) = self.crons.passing(&id) else { return };
        cron.alarm = None;
        let mut item = item(&cron.template, Origin::Cron);
        item.metadata = metadata::of_cron(&cron.template.metadata, cron.rule.text(), &cron.name, due);
        // From now, not from when it was due: times that were slept through are not made up for.
        self.arm_cron(id, now);
        self.start_unasked(item, now);
    }
}

fn item(template: &RunTemplate, origin: Origin) -> TriggerItem {
    TriggerItem {
        workflow: template.workflow.to_string(),
        input: template.input.clone(),
        metadata: template.metadata.clone(),
        priority: template.priority,
        parent: None,
        claim: None,
        origin,
    }
}
