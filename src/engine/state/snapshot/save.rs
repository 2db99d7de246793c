//! Conversion of changes of the state to rows.

use std::sync::Arc;

use prost::Message;
use uuid::Uuid;

use super::{
    conditions::conditions_row,
    limits,
    workflows::{filter_row, settings_row},
};
use crate::{
    engine::{
        persistence::{
            records::{
                ChildRecord, ClaimRecord, Id, LineRecord, ParentRecord, RunRecord, SlotRecord, StageRecord, TaskRecord,
                VersionRecord, WorkerRecord,
            },
            row::{Batch, Row, Table},
            trigger_records::{CronRecord, EventRecord, ScheduleRecord},
        },
        state::{
            idempotency::Claim,
            logs::LogLine,
            machine::State,
            runs::{ChildKey, Origin, Phase, Run, Task},
            slots::Slot,
            time::{ClockReading, millis},
            triggers::{Cron, Event, ScheduledRun},
            workers::Worker,
            workflows::Version,
        },
    },
    hatchet::wire::{RunId, WorkerId},
};

impl State {
    /// Starts to track changes, for [`drain_changes`](Self::drain_changes).
    pub(crate) fn track_changes(&mut self) {
        self.workflows.settings.track_changes();
        self.workflows.versions.track_changes();
        self.runs.runs.track_changes();
        self.runs.tasks.track_changes();
        self.conditions.states.track_changes();
        self.runs.children.track_changes();
        self.idempotency_keys.claims.track_changes();
        self.workers.workers.track_changes();
        self.logs.lines.track_changes();
        self.events.events.track_changes();
        self.filters.filters.track_changes();
        self.calendar.schedules.track_changes();
        self.calendar.crons.track_changes();
        self.rate_limits.limits.track_changes();
    }

    /// Whether there are changes to drain.
    pub(crate) fn has_changes(&self) -> bool {
        self.runs.tasks.has_changes()
            || self.runs.runs.has_changes()
            || self.logs.lines.has_changes()
            || self.workers.workers.has_changes()
            || self.idempotency_keys.claims.has_changes()
            || self.conditions.states.has_changes()
            || self.runs.children.has_changes()
            || self.events.events.has_changes()
            || self.filters.filters.has_changes()
            || self.workflows.settings.has_changes()
            || self.calendar.schedules.has_changes()
            || self.calendar.crons.has_changes()
            || self.workflows.versions.has_changes()
            || self.rate_limits.limits.has_changes()
    }

    /// Returns all changes since the last call.
    pub(crate) fn drain_changes(&mut self, now: ClockReading) -> Batch {
        let mut batch = Batch::new();
        self.workflows.settings.drain_changes(Table::Settings, &mut batch, settings_row);
        self.workflows.versions.drain_changes(Table::Versions, &mut batch, |_, version| version_row(version));
        self.runs.runs.drain_changes(Table::Runs, &mut batch, run_row);
        self.runs.tasks.drain_changes(Table::Tasks, &mut batch, |id, task| task_row(id, task, now));
        self.conditions.states.drain_changes(Table::Conditions, &mut batch, |id, state| conditions_row(id, state, now));
        self.runs.children.drain_changes(Table::Children, &mut batch, child_row);
        self.idempotency_keys.claims.drain_changes(Table::Claims, &mut batch, |_, claim| claim_row(claim, now));
        self.workers.workers.drain_changes(Table::Workers, &mut batch, worker_row);
        self.logs.lines.drain_changes(Table::Lines, &mut batch, |_, line| line_row(line));
        self.events.events.drain_changes(Table::Events, &mut batch, |_, event| event_row(event));
        self.filters.filters.drain_changes(Table::Filters, &mut batch, |id, filter| filter_row(id, filter));
        self.calendar.schedules.drain_changes(Table::Schedules, &mut batch, schedule_row);
        self.calendar.crons.drain_changes(Table::Crons, &mut batch, cron_row);
        self.rate_limits.limits.drain_changes(Table::RateLimits, &mut batch, |_, limit| {
            row(&limits::rate_limit_to_record(limit, now), None, None)
        });
        batch
    }
}

fn row(record: &impl Message, first: Option<&Arc<str>>, second: Option<&Arc<str>>) -> Row {
    Row { head: record.encode_to_vec(), texts: [first.cloned(), second.cloned()] }
}

fn version_row(version: &Version) -> Row {
    let tasks = (0..version.len()).filter_map(|index| Id::of(version.task(index)?.id)).collect();
    let record = VersionRecord {
        id: Id::of(version.id),
        workflow: Id::of(version.workflow_id),
        created: version.created.0,
        workflow_created: version.workflow_created.0,
        tasks,
        content: Some(version.definition.content.encode()),
    };
    row(&record, None, None)
}

fn run_row(id: &RunId, run: &Run) -> Row {
    let (event, schedule, cron) = match &run.origin {
        Origin::Call => (None, None, false),
        Origin::Event { id, key, .. } => (Some((*id, key.to_string())), None, false),
        Origin::Schedule(id) => (None, Id::of(*id), false),
        Origin::Cron => (None, None, true),
    };
    let (event, event_key) = event.unzip();
    let filter = match &run.origin {
        Origin::Event { filter, .. } => filter.as_ref(),
        Origin::Call | Origin::Schedule(_) | Origin::Cron => None,
    };
    let is_single_task = run.tasks[..] == [*id];
    let parent = run.parent.as_ref().map(|parent| ParentRecord {
        task: Id::of(parent.task.uuid()),
        index: parent.index,
        key: parent.key.as_deref().map(str::to_owned),
    });
    let record = RunRecord {
        id: Id::of(id.uuid()),
        version: run.version.order,
        priority: run.priority,
        created: run.created.0,
        parent,
        event: event.and_then(Id::of),
        event_key,
        schedule,
        cron,
        tasks: run.tasks.iter().filter(|_| !is_single_task).filter_map(|task| Id::of(task.uuid())).collect(),
        claim: run.idempotency_key.as_deref().map(str::to_owned),
        filter: filter.and_then(|filter| Id::of(filter.id)),
        filter_payload: filter.map(|filter| filter.payload.to_string()),
        limits: run.limits.as_deref().map(limits::to_record),
        admitted_groups: u32::try_from(run.admitted_groups).unwrap_or(u32::MAX),
        is_in_groups: run.is_in_groups,
        desired_worker: run.desired_worker.and_then(|id| Id::of(id.uuid())),
        sticky_worker: run.sticky_worker.and_then(|id| Id::of(id.uuid())),
        desired_labels: run.desired_labels.iter().map(limits::label_to_record).collect(),
    };
    row(&record, Some(&run.input), Some(&run.metadata))
}

fn task_row(id: &RunId, task: &Task, now: ClockReading) -> Row {
    let mut record = TaskRecord {
        id: Id::of(id.uuid()),
        run: Id::of(task.run.uuid()).filter(|_| task.run != *id),
        spec: u32::try_from(task.spec).unwrap_or(u32::MAX),
        attempt: task.attempt,
        failures: task.failures,
        reassignments: task.reassignments,
        assignment: task.assignment,
        started: task.started.map(|time| time.0),
        finished: task.finished.map(|time| time.0),
        finish_seq: task.finish_seq,
        until: task.timer.map_or(0, |(deadline, _)| now.wall_time_of(deadline).0),
        history: Some(task.history.to_record()),
        admitted_groups: u32::try_from(task.admitted_groups).unwrap_or(u32::MAX),
        ..TaskRecord::default()
    };
    let (stage, text) = match &task.phase {
        Phase::Waiting(_) => (StageRecord::Waiting, None),
        Phase::Unadmitted => (StageRecord::Unadmitted, None),
        Phase::Queued(position) => {
            record.position = position.seq;
            (StageRecord::Queued, None)
        }
        Phase::BackOff => (StageRecord::BackOff, None),
        Phase::Running(running) => {
            record.worker = Id::of(running.worker.uuid());
            record.holds_slots = running.holds_slots;
            record.acknowledged = running.acknowledged;
            record.until = now.wall_time_of(running.deadline).0;
            (StageRecord::Running, None)
        }
        Phase::Completed(output) => (StageRecord::Completed, Some(output)),
        Phase::Failed(error) => (StageRecord::Failed, Some(error)),
        Phase::Cancelled(false) => (StageRecord::Cancelled, None),
        Phase::Cancelled(true) => (StageRecord::ScheduleTimedOut, None),
    };
    record.set_stage(stage);
    row(&record, text, None)
}

fn child_row((parent, key): &(RunId, ChildKey), run: &RunId) -> Row {
    let (key, index) = match key {
        ChildKey::Key(key) => (Some(key.to_string()), 0),
        ChildKey::Index(index) => (None, *index),
    };
    row(&ChildRecord { parent: Id::of(parent.uuid()), run: Id::of(run.uuid()), key, index }, None, None)
}

fn claim_row(claim: &Claim, now: ClockReading) -> Row {
    let record = ClaimRecord {
        run: Id::of(claim.run.uuid()),
        ttl: millis(claim.lease.ttl),
        until_end: claim.lease.until_end,
        until: now.wall_time_of(claim.timer.0).0,
    };
    row(&record, None, None)
}

fn worker_row(id: &WorkerId, worker: &Worker) -> Row {
    let slot_record = |slot: &Slot| SlotRecord { kind: slot.kind.to_string(), limit: slot.limit };
    let record = WorkerRecord {
        id: Id::of(id.uuid()),
        name: worker.name.clone(),
        actions: worker.actions.iter().map(|action| action.to_string()).collect(),
        slots: worker.slots.iter().map(slot_record).collect(),
        labels: worker.labels.clone(),
        runtime: worker.runtime.clone(),
        registered: worker.registered.0,
        listened: worker.listened.map(|time| time.0),
        paused: worker.paused,
        unsubscribed: worker.unsubscribed,
        in_process: worker.in_process,
    };
    row(&record, None, None)
}

fn line_row(line: &LogLine) -> Row {
    let (task, level) = (Id::of(line.task.uuid()), line.level.to_owned());
    let record = LineRecord { task, at: line.at.0, level, attempt: line.attempt };
    row(&record, Some(&Arc::from(line.message.as_str())), Some(&Arc::from(line.metadata.as_str())))
}

fn event_row(event: &Event) -> Row {
    let record = EventRecord {
        id: Id::of(event.id),
        key: event.key.to_string(),
        scope: event.scope.clone(),
        at: event.at.0,
        runs: event.runs.iter().filter_map(|run| Id::of(run.uuid())).collect(),
    };
    row(&record, Some(&event.input), Some(&event.metadata))
}

fn schedule_row(id: &Uuid, scheduled: &ScheduledRun) -> Row {
    let template = &scheduled.template;
    let record = ScheduleRecord {
        id: Id::of(*id),
        workflow: template.workflow.to_string(),
        priority: template.priority,
        at: scheduled.at.0,
        created: scheduled.created.0,
        run: None,
    };
    row(&record, Some(&template.input), Some(&template.metadata))
}

fn cron_row(id: &Uuid, cron: &Cron) -> Row {
    let template = &cron.template;
    let record = CronRecord {
        id: Id::of(*id),
        workflow: template.workflow.to_string(),
        priority: template.priority,
        rule: cron.rule.text().to_owned(),
        name: cron.name.clone(),
        declared: cron.declared,
        enabled: cron.enabled,
        created: cron.created.0,
    };
    row(&record, Some(&template.input), Some(&template.metadata))
}
