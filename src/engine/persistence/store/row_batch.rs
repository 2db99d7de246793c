//! Rows on their way from the thread that reads them to the one that understands them, many at once.

use super::{Damaged, Found, Table};

/// Bytes after which a parcel is sent.
const FULL: usize = 256 << 10;

/// Rows of one table.
#[derive(Debug)]
pub(crate) struct Parcel {
    table: Table,
    bytes: Vec<u8>,
    rows: Vec<Packed>,
}

/// A row, by the lengths of its parts in the order of [`Found`]; an absent text has none.
#[derive(Debug)]
struct Packed {
    number: u64,
    key: usize,
    head: usize,
    texts: [Option<usize>; 2],
}

impl Parcel {
    pub(crate) fn of(table: Table) -> Self {
        Self { table, bytes: Vec::with_capacity(FULL + (FULL >> 2)), rows: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Answers whether it is full.
    pub(crate) fn add(&mut self, row: Found<'_>) -> bool {
        self.bytes.extend(row.key);
        self.bytes.extend(row.head);
        for text in row.texts.into_iter().flatten() {
            self.bytes.extend(text.as_bytes());
        }
        let texts = row.texts.map(|text| text.map(str::len));
        self.rows.push(Packed { number: row.number, key: row.key.len(), head: row.head.len(), texts });
        self.bytes.len() >= FULL
    }

    /// Hands over its rows.
    pub(crate) fn open(&self, each: &mut impl FnMut(Table, Found<'_>) -> Result<(), Damaged>) -> Result<(), Damaged> {
        let mut rest = &self.bytes[..];
        for row in &self.rows {
            let mut part = |length: usize| {
                let (part, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                rest = after;
                part
            };
            let (key, head) = (part(row.key), part(row.head));
            let texts =
                row.texts.map(|length| length.map(|length| std::str::from_utf8(part(length)).unwrap_or_default()));
            let which = |Damaged(why)| match key {
                [] => Damaged(format!("row {} of `{}`: {why}", row.number, self.table.name())),
                _ => Damaged(format!("a row of `{}`: {why}", self.table.name())),
            };
            each(self.table, Found { number: row.number, key, head, texts }).map_err(which)?;
        }
        Ok(())
    }
}
