//! Pages of lists.

use std::ops::Range;

use serde_json::{Value, json};

use super::{ApiError, query};

/// Number of rows of a page if the query has no limit, as in a real engine.
const DEFAULT_LIMIT: usize = 50;

/// Largest number of rows of a page. Not a limit of Hatchet.
const MAX_LIMIT: usize = 1000;

/// The `next_page` of a list's last page, which in a real engine depends on the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastPage {
    /// The last page names itself, and a page of an empty list names the next.
    Itself,
    /// The last page names itself unless it is full.
    ItselfUnlessFull,
    /// Every page names the next.
    Next,
}

/// The requested part of a list.
pub(crate) struct Page {
    offset: usize,
    limit: usize,
    last_page: LastPage,
}

impl Default for Page {
    fn default() -> Self {
        Self::with_limit(DEFAULT_LIMIT)
    }
}

impl Page {
    /// The first page, with this limit unless the query has another one.
    pub(crate) fn with_limit(limit: usize) -> Self {
        Self { offset: 0, limit, last_page: LastPage::Itself }
    }

    pub(crate) fn last_page(self, last_page: LastPage) -> Self {
        Self { last_page, ..self }
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
        let names_itself = match self.last_page {
            LastPage::Itself => current == pages,
            LastPage::ItselfUnlessFull => total < self.offset.saturating_add(self.limit),
            LastPage::Next => false,
        };
        let next = if names_itself { current } else { current.saturating_add(1) };
        json!({ "current_page": current, "next_page": next, "num_pages": pages })
    }
}
