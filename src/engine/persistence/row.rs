//! Rows: the form in which the state is passed to the store and read back at a start.

use std::sync::Arc;

/// A table of the database; one for each kind of value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Table {
    Versions,
    Runs,
    Tasks,
    /// Child runs, by their parent task and their key or index.
    Children,
    /// Idempotency keys.
    Claims,
    Workers,
    /// Log lines of tasks.
    Lines,
    Events,
    Schedules,
    Crons,
    RateLimits,
}

impl Table {
    /// All tables, in the order in which they are read back: a row refers only to rows of earlier tables.
    pub(crate) const ALL: [Self; 11] = [
        Self::Versions,
        Self::Workers,
        Self::Runs,
        Self::Tasks,
        Self::Children,
        Self::Claims,
        Self::Lines,
        Self::Events,
        Self::Schedules,
        Self::Crons,
        Self::RateLimits,
    ];

    /// The table's name in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Versions => "versions",
            Self::Runs => "runs",
            Self::Tasks => "tasks",
            Self::Children => "children",
            Self::Claims => "claims",
            Self::Workers => "workers",
            Self::Lines => "lines",
            Self::Events => "events",
            Self::Schedules => "schedules",
            Self::Crons => "crons",
            Self::RateLimits => "rate_limits",
        }
    }

    /// Whether the files of all versions have the table.
    pub(crate) fn is_in_all_files(self) -> bool {
        !matches!(self, Self::RateLimits)
    }

    /// Whether its keys are numbers in the order of creation, so that new rows are appended to the table.
    pub(crate) fn is_numbered(self) -> bool {
        match self {
            Self::Versions | Self::Runs | Self::Tasks | Self::Lines | Self::Events => true,
            Self::Children | Self::Claims | Self::Workers | Self::Schedules | Self::Crons => false,
            Self::RateLimits => false,
        }
    }
}

/// Identifies a row within its table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum RowKey {
    Number(u64),
    Bytes(Vec<u8>),
}

/// A row: an encoded record, and up to two texts, stored separately as they can be large and never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) head: Vec<u8>,
    pub(crate) texts: [Option<Arc<str>>; 2],
}

/// A row that is read back. Either `number` or `key` is set, by [`Table::is_numbered`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredRow<'a> {
    pub(crate) number: u64,
    pub(crate) key: &'a [u8],
    pub(crate) head: &'a [u8],
    pub(crate) texts: [Option<&'a str>; 2],
}

/// One change of the stored state.
#[derive(Debug)]
pub(crate) enum RowChange {
    Put(Table, RowKey, Row),
    Delete(Table, RowKey),
}

impl RowChange {
    /// Order within a batch: by table, deletions first, then by key, so that writes to one table are sequential.
    pub(crate) fn sort_key(&self) -> ((Table, bool), &RowKey) {
        match self {
            Self::Delete(table, key) => ((*table, false), key),
            Self::Put(table, key, _) => ((*table, true), key),
        }
    }
}

/// Changes that are stored atomically.
pub(crate) type Batch = Vec<RowChange>;

/// The reason why a row cannot have been written by this engine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) String);
