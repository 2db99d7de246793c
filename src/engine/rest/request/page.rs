//! Pages of lists.

use std::ops::Range;

use serde_json::{Value, json};

use super::{ApiError, query};

/// Rows of a page if the query has no limit, as in a real engine.
const DEFAULT_LIMIT: usize = 50;

/// Most rows of a page. A bound of this engine.
const MAX_LIMIT: usize = 1000;

/// The rows of a list that a query asks for.
pub(crate) struct Page {
    offset: usize,
    limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }
}

impl Page {
    /// The first page, with this limit unless the query has another one.
    pub(crate) fn with_limit(limit: usize) -> Self {
        Self { offset: 0, limit }
    }

    /// Parses a parameter; `false` if it is not one of a page. Parameters of the order are ignored: it is fixed.
    pub(crate) fn parse(&mut self, key: &str, value: &str) -> Result<bool, ApiError> {
        match key {
            "offset" => self.offset = query::parse(key, value)?,
            "limit" => self.limit = query::parse::<usize>(key, value)?.clamp(1, MAX_LIMIT),
            "orderByField" | "orderByDirection" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The page's part of a list of this many rows.
    pub(crate) fn range(&self, total: usize) -> Range<usize> {
        let from = self.offset.min(total);
        from..from.saturating_add(self.limit).min(total)
    }

    /// The `pagination` of a response for a list of this many rows.
    pub(crate) fn pagination(&self, total: usize) -> Value {
        let (current, pages) = ((self.offset / self.limit).saturating_add(1), total.div_ceil(self.limit));
        json!({ "current_page": current, "next_page": current.saturating_add(1).min(pages.max(1)), "num_pages": pages })
    }
}
