//! Stored form of the settings of workflows and of event filters.

use std::time::Duration;

use prost::Message as _;
use uuid::Uuid;

use crate::engine::{
    persistence::{
        records::{Id, PauseRecord, SettingsRecord, required_id},
        row::{Damaged, Row, StoredRow},
        trigger_records::FilterRecord,
    },
    state::{
        machine::State,
        snapshot::{restore::ValidateFilter, text::required_text},
        time::{Timestamp, millis},
        triggers::EventFilter,
        workflows::{Pause, PauseBehavior, Settings},
    },
};

pub(super) fn settings_row(workflow: &Uuid, settings: &Settings) -> Row {
    let pause = settings.pause.map(|pause| PauseRecord {
        drops_crons: pause.cron == PauseBehavior::Drop,
        drops_scheduled: pause.scheduled == PauseBehavior::Drop,
        ttl: millis(pause.ttl),
    });
    let record = SettingsRecord { workflow: Id::of(*workflow), pause, is_deleted: settings.is_deleted };
    Row { head: record.encode_to_vec(), texts: [None, None] }
}

pub(super) fn filter_row(id: &Uuid, filter: &EventFilter) -> Row {
    let record = FilterRecord {
        id: Id::of(*id),
        workflow: Id::of(filter.workflow),
        scope: filter.rule.scope.to_string(),
        declared: filter.declared,
        created: filter.created.0,
        updated: filter.updated.0,
    };
    let texts = [Some(filter.rule.predicate.text().clone()), Some(filter.rule.payload.clone())];
    Row { head: record.encode_to_vec(), texts }
}

impl State {
    /// Restores the settings of a workflow, before its versions.
    pub(super) fn restore_settings(&mut self, record: SettingsRecord) -> Result<(), Damaged> {
        let behavior = |drops| if drops { PauseBehavior::Drop } else { PauseBehavior::Queue };
        let pause = record.pause.map(|pause| Pause {
            cron: behavior(pause.drops_crons),
            scheduled: behavior(pause.drops_scheduled),
            ttl: Duration::from_millis(pause.ttl),
        });
        let settings = Settings { pause, is_deleted: record.is_deleted };
        self.workflows.settings.restore(required_id(record.workflow, "the workflow's id")?, settings);
        Ok(())
    }

    pub(super) fn restore_filter(
        &mut self,
        row: StoredRow<'_>,
        record: FilterRecord,
        validate: ValidateFilter,
    ) -> Result<(), Damaged> {
        let expression = required_text(row.texts[0], "the expression")?;
        let payload = required_text(row.texts[1], "the payload")?;
        let filter = EventFilter {
            workflow: required_id(record.workflow, "the workflow's id")?,
            rule: validate(&record.scope, &expression, &payload).map_err(Damaged)?,
            declared: record.declared,
            created: Timestamp(record.created),
            updated: Timestamp(record.updated),
        };
        self.filters.restore(required_id(record.id, "the id")?, filter);
        Ok(())
    }
}
