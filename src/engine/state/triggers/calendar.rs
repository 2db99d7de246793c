//! The calendar: runs that start at a time of the wall clock, once or by a cron rule.
//!
//! Every schedule and every enabled cron has one timer.
//!
//! | wall clock | schedule | cron |
//! |---|---|---|
//! | jumps forward | starts once if it has become due | starts once, however many of its times were skipped |
//! | set back by less than [`CLOCK_CORRECTION`] | does not start again | waits for the time after its latest run |
//! | set back by more | does not start again | follows the clock, which must have been wrong before |

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use super::template::RunTemplate;
use crate::engine::{
    cron::CronRule,
    persistence::{
        row::RowKey,
        tracked::{ENTRY_BYTES, Stored, Tracked},
    },
    state::{
        metadata::{self, NO_METADATA},
        runs::Origin,
        time::{ClockReading, Timers, Timestamp},
    },
};

/// Minimum step back of the wall clock that crons follow immediately: 3 h, as in cron(8). A smaller step is an
/// adjustment of a correct clock.
const CLOCK_CORRECTION: Duration = Duration::from_secs(3 * 3600);

/// Identifies a calendar timer.
type CalendarKey = (Timestamp, u64);

/// The action of a timer on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CalendarTimer {
    Schedule(Uuid),
    Cron(Uuid),
}

/// A run that starts once at a time. As in a real engine, it is removed when its run has started.
#[derive(Debug)]
pub(crate) struct ScheduledRun {
    pub(crate) template: RunTemplate,
    pub(crate) at: Timestamp,
    pub(crate) created: Timestamp,
    timer: Option<CalendarKey>,
}

/// A cron rule that triggers runs.
#[derive(Debug)]
pub(crate) struct Cron {
    pub(crate) template: RunTemplate,
    pub(crate) rule: CronRule,
    /// Empty for a declared cron.
    pub(crate) name: String,
    /// Whether the cron is part of its workflow's declaration, which replaces it.
    pub(crate) declared: bool,
    pub(crate) enabled: bool,
    pub(crate) created: Timestamp,
    timer: Option<CalendarKey>,
}

impl Cron {
    pub(crate) fn new(template: RunTemplate, rule: CronRule, name: String, declared: bool, created: Timestamp) -> Self {
        Self { template, rule, name, declared, enabled: true, created, timer: None }
    }

    /// The time of the next run; `None` for a cron that is disabled or never fires again.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.timer.map(|(time, _)| time)
    }
}

/// The reason for not creating a cron.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CronError {
    UnknownWorkflow,
    /// The workflow already has a cron with this name and expression.
    Duplicate,
}

/// All schedules and crons, with their timers.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    pub(in crate::engine::state) schedules: Tracked<BTreeMap<Uuid, ScheduledRun>>,
    pub(in crate::engine::state) crons: Tracked<BTreeMap<Uuid, Cron>>,
    timers: Timers<Timestamp, CalendarTimer>,
    /// The wall clock at the latest tick, or a later wall time at which a cron was armed since.
    last_wall: Timestamp,
}

impl Calendar {
    /// Estimated memory of all schedules and crons in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.schedules.bytes() + self.crons.bytes()
    }

    /// Due time of the next run.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Records the wall clock, and rearms all crons if the clock was corrected.
    pub(crate) fn observe(&mut self, now: ClockReading) {
        if self.last_wall.since(now.wall) >= CLOCK_CORRECTION {
            for id in self.crons.keys().copied().collect::<Vec<_>>() {
                self.arm_cron(id, now);
            }
        }
        self.last_wall = now.wall;
    }

    /// Returns the next run that is due. Removes its schedule, or arms its cron for the next time after now, so that
    /// skipped times start no run.
    ///
    /// `is_dropped` decides by the workflow, and by whether the trigger is a cron, if the run is dropped. A cron skips
    /// the time. A schedule is due again after [`resume_schedules`](Self::resume_schedules), as in a real engine.
    pub(crate) fn pop_due(
        &mut self,
        now: ClockReading,
        is_dropped: impl Fn(&str, bool) -> bool,
    ) -> Option<(RunTemplate, Origin)> {
        while let Some(((due, _), timer)) = self.timers.pop_due(now.wall) {
            match timer {
                CalendarTimer::Schedule(id) => {
                    if let Some(scheduled) = self.schedules.get_mut_untracked(&id)
                        && is_dropped(&scheduled.template.workflow, false)
                    {
                        scheduled.timer = None;
                        continue;
                    }
                    if let Some(template) = self.scheduled_run(id) {
                        self.remove_schedule(id);
                        return Some((template, Origin::Schedule(id)));
                    }
                }
                CalendarTimer::Cron(id) => {
                    if let Some(cron) = self.crons.get_mut_untracked(&id) {
                        cron.timer = None;
                        let mut template = cron.template.clone();
                        template.metadata = metadata::for_cron(&template.metadata, cron.rule.text(), &cron.name, due);
                        self.arm_cron(id, now);
                        if is_dropped(&template.workflow, true) {
                            continue;
                        }
                        return Some((template, Origin::Cron));
                    }
                }
            }
        }
        None
    }

    #[cfg(test)]
    pub(in crate::engine::state) fn timers(&self) -> impl Iterator<Item = (Timestamp, &CalendarTimer)> {
        self.timers.iter()
    }
}

/// Schedules.
impl Calendar {
    /// Adds a schedule. A time in the past is due at the next tick.
    pub(crate) fn schedule(&mut self, id: Uuid, template: RunTemplate, at: Timestamp, created: Timestamp) {
        let timer = Some(self.timers.set(at, CalendarTimer::Schedule(id)));
        self.schedules.insert(id, ScheduledRun { template, at, created, timer });
    }

    /// Restores a stored schedule.
    pub(crate) fn restore_schedule(&mut self, id: Uuid, template: RunTemplate, at: Timestamp, created: Timestamp) {
        let timer = Some(self.timers.set(at, CalendarTimer::Schedule(id)));
        self.schedules.restore(id, ScheduledRun { template, at, created, timer });
    }

    /// Makes the schedules of a workflow due again whose runs were dropped.
    pub(crate) fn resume_schedules(&mut self, workflow: &str) {
        let is_dropped =
            |scheduled: &ScheduledRun| scheduled.timer.is_none() && *scheduled.template.workflow == *workflow;
        let dropped = self.schedules.iter().filter(|(_, scheduled)| is_dropped(scheduled));
        for id in dropped.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Some(scheduled) = self.schedules.get_mut_untracked(&id) {
                scheduled.timer = Some(self.timers.set(scheduled.at, CalendarTimer::Schedule(id)));
            }
        }
    }

    /// Moves a schedule to another time; `false` if it does not exist.
    pub(crate) fn reschedule(&mut self, id: Uuid, at: Timestamp) -> bool {
        let Some(scheduled) = self.schedules.get_mut(&id) else { return false };
        self.timers.cancel(scheduled.timer.take());
        scheduled.at = at;
        scheduled.timer = Some(self.timers.set(at, CalendarTimer::Schedule(id)));
        true
    }

    /// The run that a schedule triggers; `None` if the schedule does not exist.
    pub(crate) fn scheduled_run(&self, id: Uuid) -> Option<RunTemplate> {
        let mut template = self.schedules.get(&id)?.template.clone();
        if *template.metadata == *NO_METADATA {
            template.metadata = "{}".into();
        }
        Some(template)
    }

    /// Removes a schedule; `false` if it does not exist.
    pub(crate) fn remove_schedule(&mut self, id: Uuid) -> bool {
        let Some(scheduled) = self.schedules.remove(&id) else { return false };
        self.timers.cancel(scheduled.timer);
        true
    }
}

/// Crons.
impl Calendar {
    /// Whether the workflow has an undeclared cron with this name and expression.
    pub(crate) fn has_cron(&self, workflow: &str, name: &str, rule: &CronRule) -> bool {
        self.crons.values().any(|cron| {
            !cron.declared
                && *cron.template.workflow == *workflow
                && cron.name == name
                && cron.rule.text() == rule.text()
        })
    }

    pub(crate) fn add_cron(&mut self, id: Uuid, cron: Cron, now: ClockReading) {
        self.crons.insert(id, cron);
        self.arm_cron(id, now);
    }

    /// Restores a stored cron. As in a real engine, the times since the stop of the last engine start no run.
    pub(crate) fn restore_cron(&mut self, id: Uuid, cron: Cron, now: ClockReading) {
        self.crons.restore(id, cron);
        self.arm_cron(id, now);
    }

    /// Removes all crons that a workflow has declared.
    pub(crate) fn remove_declared_crons(&mut self, workflow: &str) {
        let declared = self.crons.iter().filter(|(_, cron)| cron.declared && *cron.template.workflow == *workflow);
        for id in declared.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.remove_cron(id);
        }
    }

    /// Removes all crons and schedules of a workflow.
    pub(crate) fn remove_workflow(&mut self, workflow: &str) {
        let crons = self.crons.iter().filter(|(_, cron)| *cron.template.workflow == *workflow);
        for id in crons.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.remove_cron(id);
        }
        let schedules = self.schedules.iter().filter(|(_, scheduled)| *scheduled.template.workflow == *workflow);
        for id in schedules.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.remove_schedule(id);
        }
    }

    /// The run that a cron triggers out of turn; `None` if the cron does not exist.
    pub(crate) fn cron_run(&self, id: Uuid, at: Timestamp) -> Option<RunTemplate> {
        let cron = self.crons.get(&id)?;
        let metadata = metadata::for_cron(&cron.template.metadata, cron.rule.text(), &cron.name, at);
        Some(RunTemplate { metadata, ..cron.template.clone() })
    }

    /// Enables or disables a cron; `false` if it does not exist.
    pub(crate) fn enable_cron(&mut self, id: Uuid, enabled: bool, now: ClockReading) -> bool {
        let Some(cron) = self.crons.get_mut(&id) else { return false };
        cron.enabled = enabled;
        self.arm_cron(id, now);
        true
    }

    /// Removes a cron; `false` if it does not exist. Another version of its workflow adds a declared cron again.
    pub(crate) fn remove_cron(&mut self, id: Uuid) -> bool {
        let Some(cron) = self.crons.remove(&id) else { return false };
        self.timers.cancel(cron.timer);
        true
    }

    fn arm_cron(&mut self, id: Uuid, now: ClockReading) {
        // Lets the next tick detect that the clock is wrong now and corrected before that tick.
        self.last_wall = self.last_wall.max(now.wall);
        let Some(cron) = self.crons.get_mut_untracked(&id) else { return };
        self.timers.cancel(cron.timer.take());
        if let Some(next) = cron.rule.next_after(now.wall.0).map(Timestamp).filter(|_| cron.enabled) {
            cron.timer = Some(self.timers.set(next, CalendarTimer::Cron(id)));
        }
    }
}

impl Stored<Uuid> for ScheduledRun {
    fn row_key(&self, id: &Uuid) -> RowKey {
        RowKey::Bytes(id.into_bytes().to_vec())
    }

    fn bytes(&self) -> usize {
        self.template.input.len() + self.template.metadata.len() + ENTRY_BYTES
    }
}

impl Stored<Uuid> for Cron {
    fn row_key(&self, id: &Uuid) -> RowKey {
        RowKey::Bytes(id.into_bytes().to_vec())
    }

    fn bytes(&self) -> usize {
        self.template.input.len() + self.template.metadata.len() + self.name.len() + ENTRY_BYTES
    }
}
