//! What is kept of the state, as rows: what the state hands to the store, and gets back at the next start.

use std::sync::Arc;

/// One kind of thing that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Table {
    /// Workflows, version by version.
    Versions,
    Runs,
    Tasks,
    /// Which child a parent has made with a key or index.
    Children,
    /// Idempotency keys.
    Claims,
    Workers,
    /// Log lines.
    Lines,
    Events,
    Schedules,
    Crons,
}

impl Table {
    /// All of them, in the order in which they are read back: each speaks only of those before it.
    pub(crate) const ALL: [Self; 10] = [
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
    ];

    /// Its name in the file.
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
        }
    }

    /// Whether its rows are numbered in the order of their making, so that new ones are written one behind the other.
    pub(crate) fn is_numbered(self) -> bool {
        match self {
            Self::Versions | Self::Runs | Self::Tasks | Self::Lines | Self::Events => true,
            Self::Children | Self::Claims | Self::Workers | Self::Schedules | Self::Crons => false,
        }
    }
}

/// What tells a row from all others of its table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum RowKey {
    Number(u64),
    Bytes(Vec<u8>),
}

/// A row: a small record, and up to two texts that are kept as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) head: Vec<u8>,
    pub(crate) texts: [Option<Arc<str>>; 2],
}

/// A row as it is read back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) number: u64,
    pub(crate) key: &'a [u8],
    pub(crate) head: &'a [u8],
    pub(crate) texts: [Option<&'a str>; 2],
}

/// One change of what is kept.
#[derive(Debug)]
pub(crate) enum Change {
    Put(Table, RowKey, Row),
    Delete(Table, RowKey),
}

impl Change {
    /// Where it belongs in its batch: table by table, what goes before what comes, and each in the order of the keys.
    pub(crate) fn place(&self) -> (Table, bool, &RowKey) {
        match self {
            Self::Delete(table, key) => (*table, false, key),
            Self::Put(table, key, _) => (*table, true, key),
        }
    }
}

/// Changes that are kept together or not at all.
pub(crate) type Batch = Vec<Change>;

/// A row that cannot be what this engine wrote: which one, and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) String);
