//! What is kept over a restart, thing by thing. What is not, [`load`](super::load) makes anew: the queue, the alarms,
//! what runs on whom, what has ended, and the indexes.

use std::sync::Arc;

use prost::Message;
use uuid::Uuid;

use crate::engine::persistence::records::{
    ChildHead, ClaimHead, CronHead, EventHead, Id, LineHead, ParentHead, RunHead, ScheduleHead, SlotHead, StageHead,
    TaskHead, VersionHead, WorkerHead,
};
use crate::engine::state::{
    Claim, ClockReading, Cron, Event, ScheduledRun, State, Timestamp,
    model::{ChildKey, LogLine, Origin, Phase, Run, Task, Version, Worker},
};
use crate::{
    engine::persistence::{
        row::{Batch, Row, RowKey, Table},
        tracked::Rowed,
    },
    hatchet::wire::{RunId, WorkerId},
};

/// About what an entry takes beside its texts.
const ENTRY: usize = 256;

impl State {
    /// From now on changes are noted, for [`take_changes`](Self::take_changes).
    pub(crate) fn note_changes(&mut self) {
        self.versions.note_changes();
        self.runs.note_changes();
        self.tasks.note_changes();
        self.children.note_changes();
        self.claims.note_changes();
        self.workers.note_changes();
        self.logs.lines.note_changes();
        self.events.kept.note_changes();
        self.schedules.note_changes();
        self.crons.note_changes();
    }

    /// Whether there are changes to take.
    pub(crate) fn is_changed(&self) -> bool {
        self.tasks.is_changed()
            || self.runs.is_changed()
            || self.logs.lines.is_changed()
            || self.workers.is_changed()
            || self.claims.is_changed()
            || self.children.is_changed()
            || self.events.kept.is_changed()
            || self.schedules.is_changed()
            || self.crons.is_changed()
            || self.versions.is_changed()
    }

    /// All changes since the last time. The ends of waits are kept as the wall clock will show them.
    pub(crate) fn take_changes(&mut self, now: ClockReading) -> Batch {
        let mut batch = Batch::new();
        let workflows = &self.workflows;
        self.versions.take(Table::Versions, &mut batch, |_, version| {
            let created = workflows.get(&version.workflow).map_or(version.created, |flow| flow.created);
            version_row(version, created)
        });
        self.runs.take(Table::Runs, &mut batch, run_row);
        self.tasks.take(Table::Tasks, &mut batch, |id, task| task_row(id, task, now));
        self.children.take(Table::Children, &mut batch, child_row);
        self.claims.take(Table::Claims, &mut batch, |_, claim| claim_row(claim, now));
        self.workers.take(Table::Workers, &mut batch, worker_row);
        self.logs.lines.take(Table::Lines, &mut batch, |_, line| line_row(line));
        self.events.kept.take(Table::Events, &mut batch, |_, event| event_row(event));
        self.schedules.take(Table::Schedules, &mut batch, schedule_row);
        self.crons.take(Table::Crons, &mut batch, cron_row);
        batch
    }
}

fn row(head: &impl Message, first: Option<&Arc<str>>, second: Option<&Arc<str>>) -> Row {
    Row { head: head.encode_to_vec(), texts: [first.cloned(), second.cloned()] }
}

fn version_row(version: &Version, workflow_created: Timestamp) -> Row {
    let head = VersionHead {
        id: Id::of(version.id),
        workflow: Id::of(version.workflow_id),
        created: version.created.0,
        workflow_created: workflow_created.0,
        tasks: version.tasks.iter().filter_map(|task| Id::of(task.id)).collect(),
        content: Some(version.content.clone()),
    };
    row(&head, None, None)
}

fn run_row(id: &RunId, run: &Run) -> Row {
    let (event, schedule, cron) = match &run.origin {
        Origin::Call => (None, None, false),
        Origin::Event { id, key } => (Some((*id, key.to_string())), None, false),
        Origin::Schedule(id) => (None, Id::of(*id), false),
        Origin::Cron => (None, None, true),
    };
    let (event, event_key) = event.unzip();
    let alone = run.tasks[..] == [*id];
    let head = RunHead {
        id: Id::of(id.uuid()),
        version: run.version.order,
        priority: run.priority,
        created: run.created.0,
        parent: run.parent.as_ref().map(|parent| ParentHead {
            task: Id::of(parent.task.uuid()),
            index: parent.index,
            key: parent.key.as_deref().map(str::to_owned),
        }),
        event: event.and_then(Id::of),
        event_key,
        schedule,
        cron,
        tasks: run.tasks.iter().filter(|_| !alone).filter_map(|task| Id::of(task.uuid())).collect(),
        claim: run.claim.as_deref().map(str::to_owned),
    };
    row(&head, Some(&run.input), Some(&run.metadata))
}

fn task_row(id: &RunId, task: &Task, now: ClockReading) -> Row {
    let mut head = TaskHead {
        id: Id::of(id.uuid()),
        run: Id::of(task.run.uuid()).filter(|_| task.run != *id),
        spec: u32::try_from(task.spec).unwrap_or(u32::MAX),
        attempt: task.attempt,
        failures: task.failures,
        reassignments: task.reassignments,
        assigned: task.assigned,
        started: task.started.map(|at| at.0),
        finished: task.finished.map(|at| at.0),
        end: task.end,
        until: task.alarm.map_or(0, |(at, _)| now.when(at).0),
        history: Some(task.history.head()),
        ..TaskHead::default()
    };
    let (stage, text) = match &task.phase {
        Phase::Waiting(_) => (StageHead::Waiting, None),
        Phase::Queued((_, place)) => {
            head.place = *place;
            (StageHead::Queued, None)
        }
        Phase::BackOff => (StageHead::BackOff, None),
        Phase::Running(running) => {
            head.worker = Id::of(running.worker.uuid());
            (head.holds, head.heard, head.until) = (running.holds, running.heard, now.when(running.deadline).0);
            (StageHead::Running, None)
        }
        Phase::Completed(output) => (StageHead::Completed, Some(output)),
        Phase::Failed(error) => (StageHead::Failed, Some(error)),
        Phase::Cancelled(false) => (StageHead::Cancelled, None),
        Phase::Cancelled(true) => (StageHead::Untaken, None),
    };
    head.set_stage(stage);
    row(&head, text, None)
}

fn child_row((parent, key): &(RunId, ChildKey), run: &RunId) -> Row {
    let (key, index) = match key {
        ChildKey::Key(key) => (Some(key.to_string()), 0),
        ChildKey::Index(index) => (None, *index),
    };
    row(&ChildHead { parent: Id::of(parent.uuid()), run: Id::of(run.uuid()), key, index }, None, None)
}

fn claim_row(claim: &Claim, now: ClockReading) -> Row {
    let head = ClaimHead {
        run: Id::of(claim.run.uuid()),
        ttl: u64::try_from(claim.lease.ttl.as_millis()).unwrap_or(u64::MAX),
        until_end: claim.lease.until_end,
        until: now.when(claim.alarm.0).0,
    };
    row(&head, None, None)
}

fn worker_row(id: &WorkerId, worker: &Worker) -> Row {
    let slot = |slot: &crate::engine::state::model::Slot| SlotHead { kind: slot.kind.to_string(), limit: slot.limit };
    let head = WorkerHead {
        id: Id::of(id.uuid()),
        name: worker.name.clone(),
        actions: worker.actions.iter().map(|action| action.to_string()).collect(),
        slots: worker.slots.iter().map(slot).collect(),
        labels: worker.labels.clone(),
        runtime: worker.runtime.clone(),
        registered: worker.registered.0,
        listened: worker.listened.map(|at| at.0),
        paused: worker.paused,
        gone: worker.gone,
        inside: worker.inside,
    };
    row(&head, None, None)
}

fn line_row(line: &LogLine) -> Row {
    let head =
        LineHead { task: Id::of(line.task.uuid()), at: line.at.0, level: line.level.to_owned(), attempt: line.attempt };
    row(&head, Some(&Arc::from(line.message.as_str())), Some(&Arc::from(line.metadata.as_str())))
}

fn event_row(event: &Event) -> Row {
    let head = EventHead {
        id: Id::of(event.id),
        key: event.key.to_string(),
        scope: event.scope.clone(),
        at: event.at.0,
        runs: event.runs.iter().filter_map(|run| Id::of(run.uuid())).collect(),
    };
    row(&head, Some(&event.input), Some(&event.metadata))
}

fn schedule_row(id: &Uuid, scheduled: &ScheduledRun) -> Row {
    let head = ScheduleHead {
        id: Id::of(*id),
        workflow: scheduled.template.workflow.to_string(),
        priority: scheduled.template.priority,
        at: scheduled.at.0,
        created: scheduled.created.0,
        run: None,
    };
    row(&head, Some(&scheduled.template.input), Some(&scheduled.template.metadata))
}

fn cron_row(id: &Uuid, cron: &Cron) -> Row {
    let head = CronHead {
        id: Id::of(*id),
        workflow: cron.template.workflow.to_string(),
        priority: cron.template.priority,
        rule: cron.rule.text().to_owned(),
        name: cron.name.clone(),
        declared: cron.declared,
        enabled: cron.enabled,
        created: cron.created.0,
    };
    row(&head, Some(&cron.template.input), Some(&cron.template.metadata))
}

fn bytes(id: Uuid) -> RowKey {
    RowKey::Bytes(id.into_bytes().to_vec())
}

impl Rowed<i64> for Arc<Version> {
    fn row_key(&self, order: &i64) -> RowKey {
        RowKey::Number(order.unsigned_abs())
    }

    fn bytes(&self) -> usize {
        prost::Message::encoded_len(&self.content) + ENTRY
    }
}

impl Rowed<RunId> for Run {
    fn row_key(&self, _: &RunId) -> RowKey {
        RowKey::Number(self.seq)
    }

    fn bytes(&self) -> usize {
        self.input.len() + self.metadata.len() + ENTRY
    }
}

impl Rowed<RunId> for Task {
    fn row_key(&self, _: &RunId) -> RowKey {
        RowKey::Number(self.seq)
    }

    fn bytes(&self) -> usize {
        self.phase.size()
    }
}

impl Rowed<(RunId, ChildKey)> for RunId {
    fn row_key(&self, (parent, key): &(RunId, ChildKey)) -> RowKey {
        let mut bytes = parent.uuid().into_bytes().to_vec();
        match key {
            ChildKey::Key(key) => {
                bytes.push(0);
                bytes.extend(key.as_bytes());
            }
            ChildKey::Index(index) => {
                bytes.push(1);
                bytes.extend(index.to_be_bytes());
            }
        }
        RowKey::Bytes(bytes)
    }

    fn bytes(&self) -> usize {
        ENTRY
    }
}

impl Rowed<Arc<str>> for Claim {
    fn row_key(&self, key: &Arc<str>) -> RowKey {
        RowKey::Bytes(key.as_bytes().to_vec())
    }

    fn bytes(&self) -> usize {
        ENTRY
    }
}

impl Rowed<WorkerId> for Worker {
    fn row_key(&self, id: &WorkerId) -> RowKey {
        bytes(id.uuid())
    }

    fn bytes(&self) -> usize {
        let labels = self.labels.iter().map(|(key, value)| key.len() + prost::Message::encoded_len(value) + ENTRY);
        let actions = self.actions.iter().map(|action| action.len() + size_of::<Arc<str>>());
        let runtime = self.runtime.as_ref().map_or(0, prost::Message::encoded_len);
        self.name.len() + labels.sum::<usize>() + actions.sum::<usize>() + runtime + ENTRY
    }
}

impl Rowed<u64> for LogLine {
    fn row_key(&self, at: &u64) -> RowKey {
        RowKey::Number(*at)
    }

    fn bytes(&self) -> usize {
        // The log has a bound of its own.
        0
    }
}

impl Rowed<u64> for Event {
    fn row_key(&self, at: &u64) -> RowKey {
        RowKey::Number(*at)
    }

    fn bytes(&self) -> usize {
        // Events have a bound of their own.
        0
    }
}

impl Rowed<Uuid> for ScheduledRun {
    fn row_key(&self, id: &Uuid) -> RowKey {
        bytes(*id)
    }

    fn bytes(&self) -> usize {
        self.template.input.len() + self.template.metadata.len() + ENTRY
    }
}

impl Rowed<Uuid> for Cron {
    fn row_key(&self, id: &Uuid) -> RowKey {
        bytes(*id)
    }

    fn bytes(&self) -> usize {
        self.template.input.len() + self.template.metadata.len() + self.name.len() + ENTRY
    }
}
