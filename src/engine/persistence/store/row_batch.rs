//! Batches of rows, which the thread that reads the database passes to the thread that restores the state.
//!
//! One buffer per batch replaces several allocations per row.

use crate::engine::persistence::row::{Damaged, StoredRow, Table};

/// Size in bytes at which a batch is sent: 256 KiB.
const FULL_BYTES: usize = 256 << 10;

/// Rows of one table.
#[derive(Debug)]
pub(crate) struct RowBatch {
    table: Table,
    bytes: Vec<u8>,
    rows: Vec<PackedRow>,
}

/// A row as the lengths of its parts, in the order of the fields of [`StoredRow`]; an absent text has no length.
#[derive(Debug)]
struct PackedRow {
    number: u64,
    key: usize,
    head: usize,
    texts: [Option<usize>; 2],
}

impl RowBatch {
    pub(crate) fn new(table: Table) -> Self {
        Self { table, bytes: Vec::with_capacity(FULL_BYTES + (FULL_BYTES >> 2)), rows: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Appends a row and returns whether the batch is full.
    pub(crate) fn push(&mut self, row: StoredRow<'_>) -> bool {
        self.bytes.extend(row.key);
        self.bytes.extend(row.head);
        for text in row.texts.into_iter().flatten() {
            self.bytes.extend(text.as_bytes());
        }
        let texts = row.texts.map(|text| text.map(str::len));
        self.rows.push(PackedRow { number: row.number, key: row.key.len(), head: row.head.len(), texts });
        self.bytes.len() >= FULL_BYTES
    }

    /// Calls a function with each row; an error names the row.
    pub(crate) fn for_each(
        &self,
        each: &mut impl FnMut(Table, StoredRow<'_>) -> Result<(), Damaged>,
    ) -> Result<(), Damaged> {
        let mut rest = &self.bytes[..];
        for row in &self.rows {
            let mut take = |length: usize| {
                let (part, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                rest = after;
                part
            };
            let (key, head) = (take(row.key), take(row.head));
            let texts =
                row.texts.map(|length| length.map(|length| std::str::from_utf8(take(length)).unwrap_or_default()));
            let name_row = |Damaged(reason)| match key {
                [] => Damaged(format!("row {} of `{}`: {reason}", row.number, self.table.name())),
                _ => Damaged(format!("a row of `{}`: {reason}", self.table.name())),
            };
            each(self.table, StoredRow { number: row.number, key, head, texts }).map_err(name_row)?;
        }
        Ok(())
    }
}
