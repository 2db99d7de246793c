//! Pages of lists.

use std::ops::Range;

use serde_json::{Value, json};

use super::{ApiError, query};

/// Number of rows of a page if the query has no limit, as in a real engine.
const DEFAULT_LIMIT: usize = 50;

/// Largest number of rows of a page, our choice.
const MAX_LIMIT: usize = 1000;

/// The requested part of a list.
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

    /// Parses the query of a list. `parse` receives the parameters that do not belong to a page. Parameters of the
    /// order are ignored, because the order is fixed.
    pub(crate) fn parse(
        mut self,
        query: Option<&str>,
        mut parse: impl FnMut(&str, String) -> Result<(), ApiError>,
    ) -> Result<Self, ApiError> {
        for (key, value) in query::pairs(query) {
            match key.as_str() {
                "orderByField" | "orderByDirection" => {}
                "offset" | "limit" => self.set(&key, &value)?,
                _ => parse(&key, value)?,
            }
        }
        Ok(self)
    }

    /// Sets `offset` or `limit`.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), ApiError> {
        match key {
            "offset" => self.offset = query::parse(key, value)?,
            _ => self.limit = query::parse::<usize>(key, value)?.clamp(1, MAX_LIMIT),
        }
        Ok(())
    }

    /// The range of the page in a list with this number of rows.
    pub(crate) fn range(&self, total: usize) -> Range<usize> {
        let from = self.offset.min(total);
        from..from.saturating_add(self.limit).min(total)
    }

    /// The `pagination` of a response for a list with this number of rows.
    pub(crate) fn pagination(&self, total: usize) -> Value {
        let (current, pages) = ((self.offset / self.limit).saturating_add(1), total.div_ceil(self.limit));
        json!({ "current_page": current, "next_page": current.saturating_add(1).min(pages.max(1)), "num_pages": pages })
    }
}
