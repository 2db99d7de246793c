//! Lists that are read page by page while they change.

use std::{collections::HashSet, marker::PhantomData};

use tonic::codegen::http::Method;

use super::row::{Row, Rows};
use crate::hatchet::{
    client::rest::RestClient,
    transport::{ClientError, ErrorKind},
};

/// Rows of a page by default, the maximum of the embedded engine.
const PAGE_SIZE: usize = 1000;

/// Minimum number of rows of a page. Two pages overlap by at least one row, and a page must have more.
const MIN_PAGE_SIZE: usize = 10;

/// Maximum number of requests for one list. Ends the read of a list that grows faster than it is read.
const MAX_REQUESTS: usize = 5000;

/// A list that is read page by page. Each row is returned once, and no row that stays in the list is missed.
pub(in crate::hatchet::client::rest) struct Pages<T> {
    rest: RestClient,
    path: String,
    query: Vec<(&'static str, String)>,
    cursor: Cursor,
    requests: usize,
    rows: PhantomData<fn() -> T>,
}

impl<T: Row> Pages<T> {
    pub(in crate::hatchet::client::rest) fn new(
        rest: RestClient,
        path: String,
        query: Vec<(&'static str, String)>,
    ) -> Self {
        Self { rest, path, query, cursor: Cursor::new(PAGE_SIZE), requests: 0, rows: PhantomData }
    }

    /// Sets the number of rows of a page, within the limits.
    pub(in crate::hatchet::client::rest) fn page_size(mut self, rows: usize) -> Self {
        self.cursor.page_size = rows.clamp(MIN_PAGE_SIZE, PAGE_SIZE);
        self
    }

    /// Returns the next rows; `None` at the end. After an error, the next call reads the same page again.
    pub(in crate::hatchet::client::rest) async fn next(&mut self) -> Result<Option<Vec<T>>, ClientError> {
        while !self.cursor.at_end {
            if self.requests == MAX_REQUESTS {
                let text = format!(
                    "listing {} failed: more than {MAX_REQUESTS} pages of {} rows. Request fewer rows",
                    self.path, self.cursor.page_size
                );
                return Err(ClientError::new(ErrorKind::TooLarge, text));
            }
            self.requests += 1;
            let position = [("limit", self.cursor.page_size.to_string()), ("offset", self.cursor.offset.to_string())];
            let query: Vec<_> = self.query.iter().cloned().chain(position).collect();
            let page: Rows<T> = self.rest.call(Method::GET, &self.path, &query, None).await?;
            let new = self.cursor.take(page);
            if !new.is_empty() {
                return Ok(Some(new));
            }
        }
        Ok(None)
    }

    /// Returns all remaining rows.
    pub(in crate::hatchet::client::rest) async fn all(mut self) -> Result<Vec<T>, ClientError> {
        let mut all = Vec::new();
        while let Some(rows) = self.next().await? {
            all.extend(rows);
        }
        Ok(all)
    }
}

/// The position in a list that is paged by offset while rows are added and removed:
///
/// - Rows are added at the start, and move rows that were read into the next page. They are recognized by their ids.
/// - Removed rows move later rows forward, out of the next page. So each page overlaps the previous page. If the first
///   row of a page was not read before, rows may have been skipped, and the position moves back by half a page.
struct Cursor {
    page_size: usize,
    offset: usize,
    /// The number of rows of the next page that were read already, if the list does not change.
    overlap: usize,
    read: HashSet<String>,
    at_end: bool,
}

impl Cursor {
    fn new(page_size: usize) -> Self {
        Self { page_size, offset: 0, overlap: 0, read: HashSet::new(), at_end: false }
    }

    /// Adds the page at the offset, and returns its new rows.
    fn take<T: Row>(&mut self, page: Rows<T>) -> Vec<T> {
        let Rows { rows: page, pagination } = page;
        let is_adjacent = self.offset == 0 || page.first().is_some_and(|row| self.read.contains(row.id()));
        if !is_adjacent {
            self.offset = self.offset.saturating_sub(self.page_size / 2);
            return Vec::new();
        }
        let rows = page.len();
        let new: Vec<T> = page.into_iter().filter(|row| self.read.insert(row.id().to_owned())).collect();
        self.at_end = pagination.is_none() || (new.is_empty() && rows <= self.overlap);
        self.overlap = (rows / 10).max(1);
        self.offset += rows.saturating_sub(self.overlap);
        new
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::{Deserialize, de::IgnoredAny};

    use super::*;

    #[derive(Deserialize)]
    struct Id(String);

    impl Row for Id {
        fn id(&self) -> &str {
            &self.0
        }
    }

    /// Reads a list of numbers to its end. `change` is called between the pages.
    fn read(list: Vec<usize>, cap: usize, change: impl FnMut(&mut Vec<usize>, usize)) -> (Vec<usize>, usize) {
        read_by(Cursor::new(PAGE_SIZE), list, cap, change)
    }

    fn read_by(
        mut cursor: Cursor,
        mut list: Vec<usize>,
        cap: usize,
        mut change: impl FnMut(&mut Vec<usize>, usize),
    ) -> (Vec<usize>, usize) {
        let mut read = Vec::new();
        for request in 1..200 {
            let rows = cap.min(cursor.page_size);
            let rows = list.iter().skip(cursor.offset).take(rows).map(|n| Id(n.to_string())).collect();
            let page = Rows { rows, pagination: Some(IgnoredAny) };
            read.extend(cursor.take::<Id>(page).into_iter().map(|id| id.0.parse::<usize>().unwrap()));
            if cursor.at_end {
                return (read, request);
            }
            change(&mut list, request);
        }
        panic!("no end");
    }

    #[test]
    fn list_is_read_to_its_end() {
        for rows in [0, 1, 2, 9, 100, 999, 1000, 1001, 5000] {
            let (read, requests) = read((0..rows).collect(), PAGE_SIZE, |_, _| {});
            assert_eq!(read, (0..rows).collect::<Vec<_>>());
            assert!(requests <= 2 + rows / 900, "{rows}: {requests}");
        }
    }

    #[test]
    fn smaller_pages_are_read_to_their_end() {
        for cap in [7, 50, 500] {
            assert_eq!(read((0..120).collect(), cap, |_, _| {}).0, (0..120).collect::<Vec<_>>(), "{cap}");
        }
    }

    #[test]
    fn shortest_pages_are_read_to_their_end() {
        for size in [MIN_PAGE_SIZE, 11, 21] {
            let (all, _) = read_by(Cursor::new(size), (0..500).collect(), PAGE_SIZE, |_, _| {});
            assert_eq!(all, (0..500).collect::<Vec<_>>(), "{size}");
            // Most of the rows that were read are removed after the first page.
            let (rest, _) = read_by(Cursor::new(size), (0..100).collect(), PAGE_SIZE, |list, request| {
                if request == 1 {
                    list.drain(0..size - 2);
                }
            });
            assert_eq!(rest, (0..100).collect::<Vec<_>>(), "{size}");
        }
    }

    #[test]
    fn engine_without_paging_is_requested_once() {
        let mut cursor = Cursor::new(PAGE_SIZE);
        let rows = (0..1200).map(|n| Id(n.to_string())).collect();
        assert_eq!(cursor.take(Rows { rows, pagination: None }).len(), 1200);
        assert!(cursor.at_end);
    }

    #[test]
    fn page_of_the_same_rows_does_not_end_the_list() {
        // As many rows are added as the position advances, so the second page is the first page again.
        let (read, _) = read((0..3000).collect(), PAGE_SIZE, |list, request| {
            if request == 1 {
                list.splice(0..0, 10_000..10_900);
            }
        });
        assert!((0..3000).all(|row| read.contains(&row)));
    }

    #[test]
    fn removed_rows_hide_no_other_rows() {
        // 700 rows that were read are removed after the first page.
        let (read, _) = read((0..3000).collect(), PAGE_SIZE, |list, request| {
            if request == 1 {
                list.drain(100..800);
            }
        });
        assert_eq!(read, (0..3000).collect::<Vec<_>>());
    }

    #[test]
    fn page_without_unread_rows_does_not_end_the_list() {
        let (read, _) = read((0..3000).collect(), PAGE_SIZE, |list, request| {
            if request == 1 {
                list.splice(0..0, 10_000..12_500);
            }
        });
        assert!((0..3000).all(|row| read.contains(&row)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn every_remaining_row_is_read(
            rows in 0usize..3000,
            changes in proptest::collection::vec((0usize..1500, 0usize..3000, 0usize..1500), 0..6),
        ) {
            let mut removed = HashSet::new();
            let (read, _) = read((0..rows).collect(), PAGE_SIZE, |list, request| {
                if let Some((new, position, count)) = changes.get(request - 1) {
                    let from = (*position).min(list.len());
                    removed.extend(list.drain(from..(from + count).min(list.len())));
                    list.splice(0..0, (0..*new).map(|n| 10_000 * request + n));
                }
            });
            prop_assert!((0..rows).filter(|row| !removed.contains(row)).all(|row| read.contains(&row)));
            prop_assert_eq!(read.iter().collect::<HashSet<_>>().len(), read.len());
        }
    }
}
