//! Pages and orders of lists.

use std::{cmp::Ordering, ops::Range};

use serde_json::{Value, json};

use super::{ApiError, query};
use crate::hatchet::wire::excerpt;

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
    /// Every page names the next, and the first page has the number 0.
    NextFromZero,
}

/// A field by which a list can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OrderField {
    CreatedAt,
    Name,
    TriggerAt,
}

impl OrderField {
    /// The name in a query.
    fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "createdAt",
            Self::Name => "name",
            Self::TriggerAt => "triggerAt",
        }
    }
}

/// The requested order of a list with two orders.
pub(crate) struct Order {
    pub(crate) field: OrderField,
    is_descending: bool,
}

impl Order {
    /// Parses the order in a query: descending by the first field unless the query says otherwise.
    pub(crate) fn parse(query: Option<&str>, fields: [OrderField; 2]) -> Result<Self, ApiError> {
        let [default, other] = fields;
        let mut order = Self { field: default, is_descending: true };
        let invalid = |key: &str, value: &str, [first, second]: [&str; 2]| {
            let value = excerpt(value);
            Err(ApiError::bad_request(format!("invalid {key} \"{value}\": use {first} or {second}")))
        };
        for (key, value) in query::pairs(query) {
            match key.as_str() {
                "orderByField" => match fields.into_iter().find(|field| field.name() == value) {
                    Some(field) => order.field = field,
                    None => return invalid(&key, &value, [default.name(), other.name()]),
                },
                "orderByDirection" => match value.as_str() {
                    "ASC" => order.is_descending = false,
                    "DESC" => order.is_descending = true,
                    _ => return invalid(&key, &value, ["ASC", "DESC"]),
                },
                _ => {}
            }
        }
        Ok(order)
    }

    /// Reverses a comparison if the order is descending.
    pub(crate) fn apply(&self, ascending: Ordering) -> Ordering {
        if self.is_descending { ascending.reverse() } else { ascending }
    }
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
    /// The first page, with this limit unless the query has another limit.
    pub(crate) fn with_limit(limit: usize) -> Self {
        Self { offset: 0, limit, last_page: LastPage::Itself }
    }

    pub(crate) fn last_page(self, last_page: LastPage) -> Self {
        Self { last_page, ..self }
    }

    /// Parses the query of a list. `parse` receives the parameters that do not belong to a page. Parameters of the
    /// order are ignored: a list with several orders parses them separately.
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
        let first = usize::from(self.last_page != LastPage::NextFromZero);
        let (current, pages) = ((self.offset / self.limit).saturating_add(first), total.div_ceil(self.limit));
        let names_itself = match self.last_page {
            LastPage::Itself => current == pages,
            LastPage::ItselfUnlessFull => total < self.offset.saturating_add(self.limit),
            LastPage::Next | LastPage::NextFromZero => false,
        };
        let next = if names_itself { current } else { current.saturating_add(1) };
        json!({ "current_page": current, "next_page": next, "num_pages": pages })
    }
}
