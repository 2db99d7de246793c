//! Runs found by their metadata.
//!
//! The engine's list of runs over REST lags behind: a real engine was seen to list a new run after 0.05 to 2 s. A search
//! therefore reads the list again until it has what the caller expects, or has not changed for [`LISTING_DELAY`]. The lag
//! has no upper bound, so a run that is missing from the list may exist all the same.

use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use crate::hatchet::{
    client::{Client, RestClient, RunRef, RunSummary},
    transport::{Backoff, ClientConfig, ClientError, ErrorKind},
    wire::{RunId, RunStatus, format_duration},
};

/// How long an engine that answers has to list another run: six times the longest delay that was seen.
const LISTING_DELAY: Duration = Duration::from_secs(12);
/// How long the list of runs may be unavailable: a restart of the engine or its database takes a minute at most.
const LONGEST_OUTAGE: Duration = Duration::from_secs(60);
/// Bounds of the wait before the list is read again.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The runs that a search has found.
pub(in crate::hatchet::client) struct Listing {
    /// The runs with the metadata pair, children that inherited it included.
    pub(in crate::hatchet::client) rows: Vec<RunSummary>,
    /// Why the search ended, if it ended without what the caller expects.
    pub(in crate::hatchet::client) incomplete: Option<String>,
}

impl Client {
    /// Finds the runs that were triggered since `since` and have a metadata pair. Children that inherited the pair from
    /// one of them are left out.
    ///
    /// An engine lists a new run late, so an empty result takes 12 s, and up to 72 s while the engine's REST part does
    /// not answer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the address of the engine's REST part is not known; the error of the last attempt if
    /// REST did not answer.
    pub async fn find_runs(&self, key: &str, value: &str, since: SystemTime) -> Result<Vec<RunRef>, ClientError> {
        let listing = self.search(key, value, since, |rows| !rows.is_empty()).await?;
        let is_root = |row: &RunSummary| row.parent_task_external_id.is_none();
        let any_root = listing.rows.iter().any(is_root);
        let ids = listing.rows.iter().filter(|row| is_root(row) || !any_root).filter_map(RunSummary::id);
        Ok(ids.map(|run| RunRef::given(self.clone(), run)).collect())
    }

    /// The runs that have not finished and have all of these metadata pairs, of any age. At least one pair is needed, so
    /// that an empty list does not select every run.
    ///
    /// The engine's list lags behind by about a second: a run that was triggered just now may be missing, and a run that
    /// has just finished may be included.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the address of the engine's REST part is not known. The filter of the gRPC call is no
    /// substitute: it selects runs that have any of the pairs.
    pub async fn open_runs(&self, metadata: &[(&str, &str)]) -> Result<Vec<RunId>, ClientError> {
        if metadata.is_empty() {
            return Err(ClientError::new(
                ErrorKind::Invalid,
                "list runs by metadata: name at least one key=value pair",
            ));
        }
        let Some(rest) = self.rest() else {
            let text = "list runs by metadata: the engine's REST address is not known: set HATCHET_CLIENT_SERVER_URL";
            return Err(ClientError::new(ErrorKind::Config, text));
        };
        let open = [RunStatus::Queued, RunStatus::Running];
        let rows = rest.runs(SystemTime::UNIX_EPOCH, metadata, &open).all().await.map_err(|error| {
            let (kind, text) = (error.kind(), format!("list runs by metadata: {error}"));
            error.into_kind(kind, text)
        })?;
        Ok(rows.iter().filter_map(RunSummary::id).collect())
    }

    /// Reads the list of runs with a metadata pair until it is complete, or does not change for [`LISTING_DELAY`].
    ///
    /// # Errors
    ///
    /// The error of the last attempt if REST refuses the request, or does not answer for [`LONGEST_OUTAGE`].
    pub(in crate::hatchet::client) async fn search(
        &self,
        key: &str,
        value: &str,
        since: SystemTime,
        is_complete: impl Fn(&[RunSummary]) -> bool,
    ) -> Result<Listing, ClientError> {
        let Some(rest) = self.rest() else {
            let message = "runs are found by REST, whose address is not known: set HATCHET_CLIENT_SERVER_URL";
            return Err(ClientError::new(ErrorKind::Config, message));
        };
        let begun = Instant::now();
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut stability = Stability::default();
        let mut outage_reported = false;
        loop {
            let before = self.config();
            match read_list(rest, key, value, since).await {
                Ok(rows) if is_complete(&rows) => return Ok(Listing { rows, incomplete: None }),
                Ok(rows) => {
                    if stability.is_stable(rows.len()) || begun.elapsed() >= LONGEST_OUTAGE + LISTING_DELAY {
                        let (delay, count) = (format_duration(LISTING_DELAY), rows.len());
                        let incomplete = Some(format!(
                            "the engine's list has {count} run(s) with the metadata {key}={value}, unchanged for {delay}"
                        ));
                        return Ok(Listing { rows, incomplete });
                    }
                }
                Err(error) => {
                    // After an outage the engine needs the delay once more.
                    stability = Stability::default();
                    // A concurrent search may have followed the engine to another address already.
                    self.connection().follow_engine();
                    let moved = has_moved(&before, &self.config());
                    if !(moved || error.is_temporary()) || begun.elapsed() >= LONGEST_OUTAGE {
                        return Err(error);
                    }
                    if !std::mem::replace(&mut outage_reported, true) {
                        let limit = format_duration(LONGEST_OUTAGE.saturating_sub(begun.elapsed()));
                        tracing::warn!("the engine's list of runs is read again for up to {limit}: {error}");
                    }
                }
            }
            sleep(backoff.next_delay()).await;
        }
    }
}

/// Decides when a list that grows late is taken as final.
#[derive(Default)]
struct Stability {
    /// The most rows that were seen, and when the list is final if it does not exceed them.
    most: Option<(usize, Instant)>,
}

impl Stability {
    /// Whether a list of so many rows has not grown for [`LISTING_DELAY`].
    fn is_stable(&mut self, rows: usize) -> bool {
        let now = Instant::now();
        match self.most {
            Some((most, final_at)) if rows <= most => now >= final_at,
            Some(_) | None => {
                self.most = Some((rows, now + LISTING_DELAY));
                false
            }
        }
    }
}

fn has_moved(before: &ClientConfig, now: &ClientConfig) -> bool {
    now.host_port != before.host_port || now.token.expose() != before.token.expose()
}

async fn read_list(
    rest: &RestClient,
    key: &str,
    value: &str,
    since: SystemTime,
) -> Result<Vec<RunSummary>, ClientError> {
    rest.runs(since, &[(key, value)], &[]).all().await
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
        assert!(!stability.is_stable(1), "it has grown");
        advance(LISTING_DELAY - Duration::from_millis(1)).await;
        assert!(!stability.is_stable(0), "a shorter list is no growth");
        advance(Duration::from_millis(1)).await;
        assert!(stability.is_stable(1));
    }
}
