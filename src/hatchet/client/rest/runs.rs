//! Lists of runs.

use std::time::SystemTime;

use super::{RestClient, pages::Pages, rows::RunSummary};
use crate::hatchet::{transport::ClientError, wire::RunStatus};

/// A list of runs that is read page by page.
pub struct RunPages {
    pages: Pages<RunSummary>,
    metadata: Vec<(String, String)>,
}

impl RunPages {
    pub(super) fn new(
        rest: &RestClient,
        path: String,
        since: SystemTime,
        metadata: &[(&str, &str)],
        statuses: &[RunStatus],
    ) -> Self {
        let mut query = vec![
            ("since", prost_types::Timestamp::from(since).to_string()),
            ("only_tasks", "false".to_owned()),
            ("include_payloads", "false".to_owned()),
            // Without it, any of the pairs is enough.
            ("additional_metadata_operator", "AND".to_owned()),
        ];
        query.extend(statuses.iter().map(|status| ("statuses", status.to_string())));
        // The engine splits a filter at its first colon, so it cannot be asked for a key with one.
        let asked = metadata.iter().filter(|(key, _)| !key.contains(':'));
        query.extend(asked.map(|(key, value)| ("additional_metadata", format!("{key}:{value}"))));
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self { pages: Pages::new(rest.clone(), path, query), metadata }
    }

    /// The next runs, none at the end. Each run is given once; one page may have none with all pairs. After an error the
    /// same call asks for the same page again.
    pub async fn next(&mut self) -> Result<Option<Vec<RunSummary>>, ClientError> {
        let Some(mut rows) = self.pages.next().await? else { return Ok(None) };
        // Whatever the engine made of the filter: old ones do not know the operator.
        rows.retain(|run| self.metadata.iter().all(|(key, value)| run.has(key, value)));
        Ok(Some(rows))
    }
}

impl RunSummary {
    /// Whether the run has this metadata pair. A value that is no string never matches.
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.additional_metadata.get(key).and_then(serde_json::Value::as_str) == Some(value)
    }
}
