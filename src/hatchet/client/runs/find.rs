//! Searches for runs by their metadata.
//!
//! The engine's list of runs over REST lags behind: a real engine listed new runs after 0.05 to 2 s. A search therefore
//! repeats the request until the list has the expected runs, or has not changed for [`LISTING_DELAY`]. The lag has no
//! upper bound, so a run that is missing from the list may still exist.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::RunRef;
use crate::hatchet::{
    client::{Client, RestClient, RunFilter, RunSummary},
    transport::{Backoff, ClientConfig, ClientError, ErrorKind},
    wire::{RunId, RunStatus, WorkflowId, readable_duration, readable_seconds},
};

/// Time without a new run after which the list is final: six times the longest lag that was measured.
const LISTING_DELAY: Duration = Duration::from_secs(12);
/// Maximum time for which the list of runs may be unavailable: a restart of the engine or its database takes up to a
/// minute.
const OUTAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// Bounds of the delay before the list is read again.
const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The result of a search.
pub(in crate::hatchet::client) struct Listing {
    /// The runs with the metadata pair, children that inherited it included.
    pub(in crate::hatchet::client) rows: Vec<RunSummary>,
    /// The reason for the end of the search, if it ended without the expected runs.
    pub(in crate::hatchet::client) incomplete: Option<String>,
}

impl Client {
    /// Finds the runs that were triggered since `since` and have a metadata pair, without children that inherited it
    /// from one of them.
    ///
    /// An engine lists a new run late, so an empty result takes 12 s, and up to 72 s while the engine's REST API does
    /// not respond.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the address of the REST API is not set; the error of the last attempt if the REST API
    /// refused the request or did not respond.
    pub async fn find_runs(&self, key: &str, value: &str, since: SystemTime) -> Result<Vec<RunRef>, ClientError> {
        let listing = self.search(key, value, since, |rows| !rows.is_empty()).await?;
        let is_root = |row: &RunSummary| row.parent_task_external_id.is_none();
        let any_root = listing.rows.iter().any(is_root);
        let ids = listing.rows.iter().filter(|row| is_root(row) || !any_root).filter_map(RunSummary::id);
        Ok(ids.map(|run| RunRef::given(self.clone(), run)).collect())
    }

    /// Lists the runs of any age that have not finished and have all of these metadata pairs: of these workflows, or of
    /// all if none is given.
    ///
    /// The engine's list lags behind by about a second: a run that was triggered just now may be missing, and a run
    /// that has just finished may be included. gRPC is no substitute: its filter selects runs that have any of the
    /// pairs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Invalid`] without a pair, so that an empty list does not select every run; [`ErrorKind::Config`] if
    /// the address of the REST API is not set; else the error of the REST API.
    pub async fn open_runs(
        &self,
        metadata: &[(&str, &str)],
        workflows: &[WorkflowId],
    ) -> Result<Vec<RunId>, ClientError> {
        if metadata.is_empty() {
            return Err(ClientError::new(
                ErrorKind::Invalid,
                "listing runs by metadata failed: at least one key=value pair is required",
            ));
        }
        let rest = self.require_rest("listing runs by metadata")?;
        let filter = RunFilter::since(SystemTime::UNIX_EPOCH).status(RunStatus::Queued).status(RunStatus::Running);
        let filter = metadata.iter().fold(filter, |filter, (key, value)| filter.metadata(*key, *value));
        let filter = workflows.iter().fold(filter, |filter, workflow| filter.workflow(*workflow));
        let rows = rest.runs(&filter).all().await.map_err(|error| {
            let (kind, text) = (error.kind(), format!("listing runs by metadata failed: {error}"));
            error.into_kind(kind, text)
        })?;
        Ok(rows.iter().filter_map(RunSummary::id).collect())
    }

    /// Reads the list of runs with a metadata pair until it is complete, or does not change for [`LISTING_DELAY`].
    ///
    /// # Errors
    ///
    /// The error of the last attempt if REST refuses the request, or does not respond for [`OUTAGE_TIMEOUT`].
    pub(in crate::hatchet::client) async fn search(
        &self,
        key: &str,
        value: &str,
        since: SystemTime,
        is_complete: impl Fn(&[RunSummary]) -> bool,
    ) -> Result<Listing, ClientError> {
        let rest = self.require_rest("finding runs by metadata")?;
        let started = Instant::now();
        let mut backoff = Backoff::new(MIN_DELAY, MAX_DELAY);
        let mut stability = Stability::default();
        let mut outage_reported = false;
        loop {
            let config = self.config();
            match rest.runs(&RunFilter::since(since).metadata(key, value)).all().await {
                Ok(rows) if is_complete(&rows) => return Ok(Listing { rows, incomplete: None }),
                Ok(rows) => {
                    if stability.is_stable(rows.len()) || started.elapsed() >= OUTAGE_TIMEOUT + LISTING_DELAY {
                        let (delay, count) = (readable_duration(LISTING_DELAY), rows.len());
                        let incomplete = Some(format!(
                            "the engine's list has {count} run(s) with the metadata {key}={value}, unchanged for {delay}"
                        ));
                        return Ok(Listing { rows, incomplete });
                    }
                }
                Err(error) => {
                    // After an outage the list lags behind again.
                    stability = Stability::default();
                    // A concurrent search may have followed the engine to another address already.
                    self.connection().follow_engine(&error);
                    let has_moved = is_other_engine(&config, &self.config());
                    if !(has_moved || error.is_temporary()) || started.elapsed() >= OUTAGE_TIMEOUT {
                        return Err(error);
                    }
                    if !std::mem::replace(&mut outage_reported, true) {
                        let limit = readable_seconds(OUTAGE_TIMEOUT.saturating_sub(started.elapsed()));
                        tracing::warn!("reading the engine's list of runs failed, retrying for up to {limit}: {error}");
                    }
                }
            }
            sleep(backoff.next_delay()).await;
        }
    }

    /// The client of the REST API, or the error of an operation that needs it.
    pub(in crate::hatchet::client) fn require_rest(&self, operation: &str) -> Result<&RestClient, ClientError> {
        self.rest().ok_or_else(|| {
            let cause = "the address of the REST API is not set. Set HATCHET_CLIENT_SERVER_URL";
            ClientError::new(ErrorKind::Config, format!("{operation} failed: {cause}"))
        })
    }
}

/// Detects that a list has stopped growing.
#[derive(Default)]
struct Stability {
    /// The maximum number of rows so far, and the time from which the list counts as final without more rows.
    longest: Option<(usize, Instant)>,
}

impl Stability {
    /// Records the current number of rows. Returns whether the list has not grown for [`LISTING_DELAY`].
    fn is_stable(&mut self, rows: usize) -> bool {
        let now = Instant::now();
        match self.longest {
            Some((longest, final_at)) if rows <= longest => now >= final_at,
            Some(_) | None => {
                self.longest = Some((rows, now + LISTING_DELAY));
                false
            }
        }
    }
}

fn is_other_engine(before: &ClientConfig, now: &ClientConfig) -> bool {
    now.host_port != before.host_port || now.token.expose() != before.token.expose()
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn list_is_stable_after_delay_without_growth() {
        let mut stability = Stability::default();
        assert!(!stability.is_stable(0));
        advance(LISTING_DELAY / 2).await;
        assert!(!stability.is_stable(1), "the list has grown");
        advance(LISTING_DELAY - Duration::from_millis(1)).await;
        assert!(!stability.is_stable(0), "a shorter list has not grown");
        advance(Duration::from_millis(1)).await;
        assert!(stability.is_stable(1));
    }
}
