//! Settings of workflows that are independent of their versions.

use std::time::Duration;

use uuid::Uuid;

use crate::engine::persistence::{
    row::RowKey,
    tracked::{ENTRY_BYTES, Stored},
};

/// The settings of a workflow. A workflow without settings has no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    /// Set while the workflow is paused.
    pub(crate) pause: Option<Pause>,
    /// Whether the workflow was deleted. Its versions remain while runs refer to them.
    pub(crate) is_deleted: bool,
}

/// The pause of a workflow: its runs are created and queued, but no task is assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause {
    /// Whether crons create runs during the pause.
    pub(crate) cron: PauseBehavior,
    /// Whether schedules create runs during the pause.
    pub(crate) scheduled: PauseBehavior,
    /// Age at which the queued tasks of a run are cancelled.
    pub(crate) ttl: Duration,
}

/// The treatment of a run that is due during a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PauseBehavior {
    /// The run is created and waits for the end of the pause.
    Queue,
    /// No run is created. A scheduled run is created when the workflow is resumed, as in a real engine.
    Drop,
}

impl Stored<Uuid> for Settings {
    fn row_key(&self, id: &Uuid) -> RowKey {
        RowKey::Bytes(id.into_bytes().to_vec())
    }

    fn bytes(&self) -> usize {
        ENTRY_BYTES
    }
}
