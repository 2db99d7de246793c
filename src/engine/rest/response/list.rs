//! Lists, which are streamed.
//!
//! A list can have any size. Rows are built and written a few at a time, when the reader takes them, so that a response
//! neither fills the memory nor blocks other calls for long.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use super::json_object::{JsonObject, write_json};
use crate::engine::{
    driver::Driver,
    persistence::barrier::NotDurable,
    rest::request::page::Page,
    state::{ClockReading, State},
};

/// Longest time for which rows are built under the lock, unless a single row takes longer.
const MAX_LOCKED: Duration = Duration::from_millis(5);

/// Bytes of a piece, after which other calls can run.
const PIECE_BYTES: usize = 64 << 10;

/// A page of a list.
pub(crate) struct ListResponse(Body);

impl IntoResponse for ListResponse {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, "application/json")], self.0).into_response()
    }
}

impl ListResponse {
    /// The rows of `keys` that are on the page, each built from its key by `row`. A row is left out if its
    /// key no longer exists when the row is built. `pagination` counts all keys.
    pub(crate) async fn new<K: Send + 'static>(
        driver: &Arc<Driver>,
        page: &Page,
        keys: Vec<K>,
        row: impl FnMut(&Driver, &State, ClockReading, &K) -> Option<JsonObject> + Send + 'static,
    ) -> Result<Self, NotDurable> {
        Self::with_members(driver, page, json!({}), keys, row).await
    }

    /// Like [`new`](Self::new), with additional members of the response.
    pub(crate) async fn with_members<K: Send + 'static>(
        driver: &Arc<Driver>,
        page: &Page,
        mut members: Value,
        mut keys: Vec<K>,
        row: impl FnMut(&Driver, &State, ClockReading, &K) -> Option<JsonObject> + Send + 'static,
    ) -> Result<Self, NotDurable> {
        let total = keys.len();
        let keys: Vec<K> = keys.drain(page.range(total)).collect();
        members["pagination"] = page.pagination(total);
        let rows = Rows {
            driver: driver.clone(),
            keys: keys.into_iter(),
            row,
            built: VecDeque::new(),
            end: members,
            stage: Stage::First,
        };
        let Some((first, rows)) = rows.next().await? else { return Ok(Self(Body::empty())) };
        Ok(Self(match rows.stage {
            // A list that fits into one piece has a `Content-Length`.
            Stage::Ended => Body::from(first),
            Stage::First | Stage::More => {
                let first = stream::once(async { Ok(first) });
                Body::from_stream(first.chain(stream::try_unfold(rows, Rows::next)))
            }
        }))
    }
}

/// The rows of a list that are not written yet.
struct Rows<K, F> {
    driver: Arc<Driver>,
    keys: std::vec::IntoIter<K>,
    row: F,
    built: VecDeque<JsonObject>,
    /// Members of the response after the rows.
    end: Value,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No row has been written.
    First,
    /// At least one row has been written.
    More,
    Ended,
}

impl<K, F: FnMut(&Driver, &State, ClockReading, &K) -> Option<JsonObject>> Rows<K, F> {
    /// The next piece of the response.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, NotDurable> {
        if self.stage == Stage::Ended {
            return Ok(None);
        }
        let mut text = if self.stage == Stage::First { br#"{"rows":["#.to_vec() } else { Vec::new() };
        while text.len() < PIECE_BYTES {
            // All rows of a batch may have been removed meanwhile.
            while self.built.is_empty() && self.keys.len() > 0 {
                self.build().await?;
            }
            let Some(row) = self.built.pop_front() else {
                self.stage = Stage::Ended;
                text.push(b']');
                if let Value::Object(end) = &self.end {
                    for (name, value) in end {
                        text.push(b',');
                        write_json(&mut text, name);
                        text.push(b':');
                        write_json(&mut text, value);
                    }
                }
                text.push(b'}');
                return Ok(Some((text.into(), self)));
            };
            if self.stage == Stage::More {
                text.push(b',');
            }
            self.stage = Stage::More;
            row.write(&mut text);
        }
        // Lets other calls run, in case the reader takes every piece immediately.
        tokio::task::yield_now().await;
        Ok(Some((text.into(), self)))
    }

    /// Builds rows under the lock, for at most [`MAX_LOCKED`].
    async fn build(&mut self) -> Result<(), NotDurable> {
        let Self { driver, keys, row, built, .. } = self;
        driver
            .with(|state, now| {
                let start = Instant::now();
                for key in keys {
                    built.extend(row(driver, state, now, &key));
                    if start.elapsed() >= MAX_LOCKED {
                        break;
                    }
                }
            })
            .await
    }
}
