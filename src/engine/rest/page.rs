//! Pages of lists.

use serde_json::Value;

use super::{DEFAULT_ROWS, MAX_ROWS, query};

/// Which rows of a list are wanted.
pub(super) struct Page {
    offset: usize,
    limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self::of(DEFAULT_ROWS)
    }
}

impl Page {
    /// The first page, of this many rows unless the query says another limit.
    pub(super) fn of(limit: usize) -> Self {
        Self { offset: 0, limit }
    }

    /// Takes a pair of a query; answers whether it is one of these. The order of these lists is fixed.
    pub(super) fn read(&mut self, key: &str, value: &str) -> Result<bool, String> {
        match key {
            "offset" => self.offset = query::read(key, value)?,
            "limit" => self.limit = query::read::<usize>(key, value)?.clamp(1, MAX_ROWS),
            "orderByField" | "orderByDirection" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The part of a list of this many rows.
    pub(super) fn range(&self, total: usize) -> std::ops::Range<usize> {
        let from = self.offset.min(total);
        from..from.saturating_add(self.limit).min(total)
    }

    /// Where the rows stand among all.
    pub(super) fn place(&self, total: usize) -> Value {
        super::pagination(self.offset, self.limit, total)
    }
}
