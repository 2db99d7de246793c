//! Log lines of tasks.

use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Map, Value};
use tonic::codegen::http::Method;

use super::{
    RestClient,
    http::rfc3339,
    list::{Rows, null_is_default},
};
use crate::hatchet::{transport::ClientError, wire::RunId};

/// Lines of a page. A real engine returns 50 by default.
const PAGE_SIZE: usize = 1000;

/// A log line of a task, as stored by the engine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct StoredLogLine {
    /// The time of the line, RFC 3339. The embedded engine records the time on the worker, a real engine the time of
    /// arrival.
    pub created_at: String,
    /// The line as the task logged it.
    pub message: String,
    /// `DEBUG`, `INFO`, `WARN` or `ERROR`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub level: String,
    /// The fields of the line, from a `tracing` event for example.
    #[serde(default, rename = "metadata", deserialize_with = "null_is_default")]
    pub fields: Map<String, Value>,
    /// The number of the attempt, counted from 1; 0 if it is unknown.
    #[serde(default, deserialize_with = "null_is_default")]
    pub attempt: u32,
}

impl StoredLogLine {
    /// The time of the line; `None` if the engine's text is not a time.
    pub fn time(&self) -> Option<SystemTime> {
        self.created_at.parse::<prost_types::Timestamp>().ok()?.try_into().ok()
    }
}

impl RestClient {
    /// Lists the log lines of a task run that were created after `since`, oldest first. `None` lists all lines.
    ///
    /// A worker sends lines in parallel, so a line may be added before an earlier line. The REST store of a real engine
    /// does not know a task in the first second after its trigger.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RestClient`]; [`ErrorKind::NotFound`](crate::hatchet::client::ErrorKind::NotFound) for
    /// an unknown task.
    pub async fn log_lines(&self, task: RunId, since: Option<SystemTime>) -> Result<Vec<StoredLogLine>, ClientError> {
        let path = format!("/api/v1/stable/tasks/{task}/logs");
        let (mut lines, mut since) = (Vec::new(), since);
        loop {
            let mut query = vec![("limit", PAGE_SIZE.to_string()), ("order_by_direction", "ASC".to_owned())];
            query.extend(since.map(|since| ("since", rfc3339(since))));
            let Rows { rows, .. } = self.call(Method::GET, &path, &query, None).await?;
            let (new, next) = split_page(rows, since);
            lines.extend(new);
            match next {
                Some(next) => since = Some(next),
                None => break,
            }
        }
        lines.sort_by_key(StoredLogLine::time);
        Ok(lines)
    }
}

/// Returns the lines of a page that are after `since`, and the time after which the next page begins; `None` for the
/// last page.
///
/// A page can end between two lines of the same time, and the next page excludes that time. So the lines of the last
/// time are left for the next page, unless the page has no other time.
fn split_page(mut page: Vec<StoredLogLine>, since: Option<SystemTime>) -> (Vec<StoredLogLine>, Option<SystemTime>) {
    let is_full = page.len() >= PAGE_SIZE;
    // An engine may include lines of the time itself.
    page.retain(|line| since.is_none() || line.time() > since);
    let last = page.last().and_then(StoredLogLine::time);
    if !is_full || last.is_none() {
        return (page, None);
    }
    if let Some(before) = page.iter().rposition(|line| line.time() != last) {
        page.truncate(before + 1);
    }
    let next = page.last().and_then(StoredLogLine::time);
    (page, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(second: usize) -> StoredLogLine {
        StoredLogLine {
            created_at: format!("2026-01-31T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60),
            message: second.to_string(),
            level: "INFO".to_owned(),
            fields: Map::new(),
            attempt: 1,
        }
    }

    /// Reads lines as pages. `inclusive`: the engine's `since` includes the time itself.
    fn read(all: &[StoredLogLine], inclusive: bool) -> Vec<StoredLogLine> {
        let (mut read, mut since) = (Vec::new(), None);
        for _ in 0..20 {
            let is_after =
                |line: &&StoredLogLine| since.is_none_or(|_| line.time() > since || inclusive && line.time() == since);
            let (new, next) = split_page(all.iter().filter(is_after).take(PAGE_SIZE).cloned().collect(), since);
            read.extend(new);
            since = next;
            if since.is_none() {
                return read;
            }
        }
        panic!("no end");
    }

    #[test]
    fn pages_contain_each_line_once() {
        for count in [0, 1, 999, 1000, 1001, 2500] {
            // Each time has three lines, so that pages end between lines of the same time.
            let all: Vec<StoredLogLine> = (0..count).map(|n| line(n / 3)).collect();
            assert_eq!(read(&all, false), all, "{count}");
            assert_eq!(read(&all, true), all, "{count}, inclusive");
        }
    }

    #[test]
    fn null_fields_have_defaults() {
        let line: StoredLogLine =
            serde_json::from_str(r#"{"createdAt":"2026-01-31T00:00:00.5Z","message":"m","level":null,"metadata":{}}"#)
                .unwrap();
        assert_eq!((line.level.as_str(), line.attempt), ("", 0));
        assert!(line.time().is_some());
    }
}
