//! Lists that are read page by page while they change.

use std::{collections::HashSet, marker::PhantomData};

use tonic::codegen::http::Method;

use super::row::{Row, Rows};
use crate::hatchet::{
    client::rest::RestClient,
    transport::{ClientError, ErrorKind},
};

/// Rows of a page, the maximum of the embedded engine.
const PAGE_SIZE: usize = 1000;

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
        Self { rest, path, query, cursor: Cursor::default(), requests: 0, rows: PhantomData }
    }

    /// Returns the next rows; `None` at the end. After an error, the next call reads the same page again.
    pub(in crate::hatchet::client::rest) async fn next(&mut self) -> Result<Option<Vec<T>>, ClientError> {
        while !self.cursor.at_end {
            if self.requests == MAX_REQUESTS {
                let text = format!(
                    "listing {} failed: more than {MAX_REQUESTS} pages of {PAGE_SIZE} rows. Request fewer rows",
                    self.path
                );
                return Err(ClientError::new(ErrorKind::TooLarge, text));
            }
            self.requests += 1;
            let position = [("limit", PAGE_SIZE.to_string()), ("offset", self.cursor.offset.to_string())];
            let query: Vec<_> = self.query.iter().cloned().chain(position).collect();
            let page: Rows<T> = self.rest.call(Method::GET, &self.path, &query, None).await?;
            let new = self.cursor.take(page.rows);
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
/// - Removed rows move later rows forward, out of the next page. So each page overlaps the previous page. If the first row
///   of a page was not read before, rows may have been skipped, and the position moves back by half a page.
#[derive(Default)]
struct Cursor {
    offset: usize,
    /// The number of rows of the next page that were read already, if the list does not change.
    overlap: usize,
    read: HashSet<String>,
    /// The first row of the last page.
    first: Option<String>,
    at_end: bool,
}

impl Cursor {
    /// Adds the page at the offset, and returns its new rows.
    fn take<T: Row>(&mut self, page: Vec<T>) -> Vec<T> {
        let first = page.first().map(|row| row.id().to_owned());
        let is_adjacent = self.offset == 0 || first.as_ref().is_some_and(|id| self.read.contains(id));
        if !is_adjacent {
            self.offset = self.offset.saturating_sub(PAGE_SIZE / 2);
            self.first = first;
            return Vec::new();
        }
        let rows = page.len();
        let new: Vec<T> = page.into_iter().filter(|row| self.read.insert(row.id().to_owned())).collect();
        // An engine without paging returns the same rows at each offset.
        let is_repeated = first == self.first;
        self.at_end = new.is_empty() && (rows <= self.overlap || is_repeated);
        self.overlap = (rows / 10).max(1);
        self.offset += rows.saturating_sub(self.overlap);
        self.first = first;
        new
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Id(String);

    impl Row for Id {
        fn id(&self) -> &str {
            &self.0
        }
    }

    /// Reads a list of numbers to its end. `change` is called between the pages.
    fn read(mut list: Vec<usize>, cap: usize, mut change: impl FnMut(&mut Vec<usize>, usize)) -> (Vec<usize>, usize) {
        let (mut cursor, mut read) = (Cursor::default(), Vec::new());
        for request in 1..200 {
            let page = list.iter().skip(cursor.offset).take(cap.min(PAGE_SIZE)).map(|n| Id(n.to_string())).collect();
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
    fn engine_without_paging_is_requested_twice() {
        let mut cursor = Cursor::default();
        let page = || (0..50).map(|n| Id(n.to_string())).collect::<Vec<_>>();
        assert_eq!(cursor.take(page()).len(), 50);
        assert!(cursor.take(page()).is_empty() && cursor.at_end);
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
    fn many_new_rows_are_not_the_end() {
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
        fn rows_that_stay_are_read(
            rows in 0usize..3000,
            changes in proptest::collection::vec((0usize..1500, 0usize..3000, 0usize..1500), 0..6),
        ) {
            let mut removed = HashSet::new();
            let (read, _) = read((0..rows).collect(), PAGE_SIZE, |list, request| {
                if let Some((new, at, count)) = changes.get(request - 1) {
                    let from = (*at).min(list.len());
                    removed.extend(list.drain(from..(from + count).min(list.len())));
                    list.splice(0..0, (0..*new).map(|n| 10_000 * request + n));
                }
            });
            prop_assert!((0..rows).filter(|row| !removed.contains(row)).all(|row| read.contains(&row)));
            prop_assert_eq!(read.iter().collect::<HashSet<_>>().len(), read.len());
        }
    }
}
