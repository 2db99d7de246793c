//! Restores a state from rows.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{limits, restore_runs::RestoredRuns, text::required_text};
use crate::{
    engine::{
        cron::CronRule,
        options::{Retention, Timings},
        persistence::{
            limit_records::RateLimitRecord,
            records::{
                ChildRecord, ClaimRecord, ConditionsRecord, Id, LineRecord, VersionRecord, WorkerRecord, decode,
                required_id,
            },
            row::{Damaged, StoredRow, Table},
            trigger_records::{CronRecord, EventRecord, ScheduleRecord},
        },
        state::{
            idempotency::{Claim, Lease},
            logs::{LEVELS, LogLine},
            machine::{Ids, State},
            predicate::FilterRule,
            runs::ChildKey,
            time::{ClockReading, Timer, Timestamp},
            triggers::{Cron, Event, RunTemplate},
            workers::{Registration, Worker},
            workflows::{Definition, Version, version_tasks},
        },
    },
    hatchet::wire::{Declaration, RunId, WorkerId},
};

/// Validates a stored declaration.
pub(crate) type Validate = Box<dyn FnMut(Declaration) -> Result<Definition, String> + Send>;

/// Validates the scope, the expression and the payload of a stored event filter.
pub(crate) type ValidateFilter = fn(&str, &str, &str) -> Result<FilterRule, String>;

/// Restores a state row by row, with the tables in the order of [`Table::ALL`].
pub(crate) struct Restore {
    state: State,
    now: ClockReading,
    validate: Validate,
    validate_filter: ValidateFilter,
    runs: RestoredRuns,
    /// The conditions of tasks, which are restored after the runs.
    conditions: Vec<ConditionsRecord>,
    /// Schedules whose run has been triggered. Only earlier versions stored them; see [`ScheduleRecord::run`].
    obsolete_schedules: Vec<Uuid>,
}

impl Restore {
    pub(crate) fn new(
        timings: Timings,
        retention: Retention,
        ids: Ids,
        (validate, validate_filter): (Validate, ValidateFilter),
        now: ClockReading,
    ) -> Self {
        Self {
            state: State::new(timings, retention, ids),
            now,
            validate,
            validate_filter,
            runs: RestoredRuns::default(),
            conditions: Vec::new(),
            obsolete_schedules: Vec::new(),
        }
    }

    /// Restores one row.
    pub(crate) fn put(&mut self, table: Table, row: StoredRow<'_>) -> Result<(), Damaged> {
        match table {
            Table::Settings => self.state.restore_settings(decode(row.head)?),
            Table::Versions => self.version(row.number, decode(row.head)?),
            Table::Runs => self.runs.run(&self.state, row, decode(row.head)?),
            Table::Tasks => self.runs.task(&mut self.state, self.now, row, decode(row.head)?),
            Table::Conditions => {
                self.conditions.push(decode(row.head)?);
                Ok(())
            }
            Table::Children => self.child(decode(row.head)?),
            Table::Claims => self.claim(row.key, &decode(row.head)?),
            Table::Workers => self.worker(decode(row.head)?),
            Table::Lines => self.line(row, &decode(row.head)?),
            Table::Events => self.event(row, decode(row.head)?),
            Table::Filters => self.state.restore_filter(row, decode(row.head)?, self.validate_filter),
            Table::Schedules => self.schedule(row, &decode(row.head)?),
            Table::Crons => self.cron(row, decode(row.head)?),
            Table::RateLimits => self.rate_limit(row.key, &decode(row.head)?),
        }
    }

    fn version(&mut self, number: u64, record: VersionRecord) -> Result<(), Damaged> {
        let order = i64::try_from(number).map_err(|_| Damaged("the number is too large".into()))?;
        let content = record.content.ok_or_else(|| Damaged("the declaration is missing".into()))?;
        let definition = (self.validate)(Declaration::decode(&content).map_err(Damaged)?).map_err(Damaged)?;
        if definition.tasks.len() != record.tasks.len() {
            return Err(Damaged(format!("{} tasks have {} ids", definition.tasks.len(), record.tasks.len())));
        }
        let task_ids = record.tasks.into_iter().map(Id::uuid);
        self.state.workflows.restore(Version {
            id: required_id(record.id, "the id")?,
            created: Timestamp(record.created),
            workflow_id: required_id(record.workflow, "the workflow's id")?,
            workflow_created: Timestamp(record.workflow_created),
            order,
            tasks: version_tasks(&definition, task_ids, &mut self.state.scheduler),
            definition,
        });
        Ok(())
    }

    /// Restores a worker. It keeps its running tasks and has a full lease to open a stream again, unless it ran in the
    /// process of the last engine; see [`finish`](Self::finish).
    fn worker(&mut self, record: WorkerRecord) -> Result<(), Damaged> {
        let id: WorkerId = required_id(record.id, "the id")?;
        let (state, now) = (&mut self.state, self.now);
        let registration = Registration {
            name: record.name,
            actions: record.actions,
            slots: record.slots.into_iter().map(|slot| (slot.kind, slot.limit)).collect(),
            labels: record.labels,
            runtime: record.runtime,
            in_process: record.in_process,
        };
        let worker = Worker {
            registered: Timestamp(record.registered),
            heartbeat: Some(now.display),
            listened: record.listened.map(Timestamp),
            paused: record.paused,
            unsubscribed: record.unsubscribed,
            ..state.new_worker(id, registration, now)
        };
        state.workers.restore(id, worker, now, &state.timings);
        state.arm_lease(id);
        Ok(())
    }

    fn child(&mut self, record: ChildRecord) -> Result<(), Damaged> {
        let parent: RunId = required_id(record.parent, "the parent")?;
        let key = record.key.map_or(ChildKey::Index(record.index), |key| ChildKey::Key(key.into()));
        let is_restored = self.state.runs.restore_child(parent, key, required_id(record.run, "the run")?);
        if is_restored { Ok(()) } else { Err(Damaged(format!("there is no task {parent}"))) }
    }

    fn claim(&mut self, key: &[u8], record: &ClaimRecord) -> Result<(), Damaged> {
        let key: Arc<str> = std::str::from_utf8(key).map_err(|e| Damaged(e.to_string()))?.into();
        let lease = Lease { ttl: Duration::from_millis(record.ttl), until_end: record.until_end };
        let remaining = Timestamp(record.until).since(self.now.wall).min(lease.ttl);
        let timer = self.state.timers.set(self.now.plus(remaining), Timer::IdempotencyKey(key.clone()));
        let run = required_id(record.run, "the run")?;
        self.state.idempotency_keys.restore(key, Claim { run, lease, timer });
        Ok(())
    }

    fn line(&mut self, row: StoredRow<'_>, record: &LineRecord) -> Result<(), Damaged> {
        let text = |index: usize| row.texts[index].map(str::to_owned).unwrap_or_default();
        let level = LEVELS.iter().find(|level| **level == record.level);
        let level = level.ok_or_else(|| Damaged(format!("unknown log level `{}`", record.level)))?;
        let line = LogLine {
            task: required_id(record.task, "the task")?,
            at: Timestamp(record.at),
            message: text(0),
            level,
            metadata: text(1),
            attempt: record.attempt,
        };
        self.state.logs.restore(row.number, line);
        Ok(())
    }

    fn event(&mut self, row: StoredRow<'_>, record: EventRecord) -> Result<(), Damaged> {
        let event = Event {
            id: required_id(record.id, "the id")?,
            key: record.key.into(),
            input: required_text(row.texts[0], "the payload")?,
            metadata: required_text(row.texts[1], "the metadata")?,
            scope: record.scope,
            at: Timestamp(record.at),
            runs: record.runs.into_iter().map(|id| id.uuid().into()).collect(),
        };
        self.state.events.restore(row.number, event);
        Ok(())
    }

    fn schedule(&mut self, row: StoredRow<'_>, record: &ScheduleRecord) -> Result<(), Damaged> {
        let template = template(row, &record.workflow, record.priority)?;
        let id = required_id(record.id, "the id")?;
        let calendar = &mut self.state.calendar;
        calendar.restore_schedule(id, template, Timestamp(record.at), Timestamp(record.created));
        self.obsolete_schedules.extend(record.run.map(|_| id));
        Ok(())
    }

    fn cron(&mut self, row: StoredRow<'_>, record: CronRecord) -> Result<(), Damaged> {
        let template = template(row, &record.workflow, record.priority)?;
        let rule = CronRule::restored(record.rule);
        let mut cron = Cron::new(template, rule, record.name, record.declared, Timestamp(record.created));
        cron.enabled = record.enabled;
        self.state.calendar.restore_cron(required_id(record.id, "the id")?, cron, self.now);
        Ok(())
    }

    fn rate_limit(&mut self, key: &[u8], record: &RateLimitRecord) -> Result<(), Damaged> {
        let key: Arc<str> = std::str::from_utf8(key).map_err(|e| Damaged(e.to_string()))?.into();
        let limit = limits::rate_limit_from_record(record, self.now)?;
        self.state.rate_limits.restore(&key, limit, self.now, &mut self.state.timers);
        Ok(())
    }

    /// Returns the restored state, which tracks changes from now on. Due timers fire at the next tick.
    pub(crate) fn finish(self) -> Result<State, Damaged> {
        let Self { mut state, now, runs, mut conditions, obsolete_schedules, .. } = self;
        let mut lost = runs.finish(&mut state)?;
        // Tasks that wait for the same event start in the order of their creation.
        conditions.sort_by_key(|record| record.task.and_then(|id| Some(state.runs.task(id.uuid().into())?.seq)));
        for record in conditions {
            state.restore_conditions(record, now)?;
        }
        state.track_changes();
        let paused = state.workflows.settings.iter().filter(|(_, settings)| settings.pause.is_some());
        for id in paused.map(|(id, _)| *id).collect::<Vec<_>>() {
            state.apply_pause(id, now);
        }
        for id in obsolete_schedules {
            state.unschedule(id);
        }
        // A worker in the process of the last engine has ended with it.
        let in_process: Vec<WorkerId> =
            state.workers.iter().filter(|(_, worker)| worker.in_process).map(|(id, _)| id).collect();
        for id in &in_process {
            lost.extend(state.workers.get(*id).into_iter().flat_map(|worker| worker.running.clone()));
        }
        for task in lost.into_values() {
            state.worker_lost(task, now);
        }
        in_process.into_iter().for_each(|id| state.remove_worker(id));
        state.workflows.drop_unused();
        state.remove_expired_runs(now);
        // There are no subscribers yet.
        state.effects.clear();
        Ok(state)
    }
}

fn template(row: StoredRow<'_>, workflow: &str, priority: Option<i32>) -> Result<RunTemplate, Damaged> {
    let input = required_text(row.texts[0], "the input")?;
    let metadata = required_text(row.texts[1], "the metadata")?;
    Ok(RunTemplate { workflow: workflow.into(), input, metadata, priority })
}
