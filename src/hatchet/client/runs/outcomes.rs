//! Waits for the outcomes of many runs.

use std::{fmt, time::Duration};

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};

use super::RunRef;
use crate::hatchet::{
    client::{
        Client, RunOutcome,
        watcher::{RunEvidence, WaitGroup},
    },
    transport::ClientError,
    wire::RunId,
};

/// The outcomes of a growing set of runs, in the order in which the runs finish.
///
/// For any number of runs, the client has one subscription and makes at most 100 further calls a second, fewer if the
/// engine is at its rate limit. A run is watched from the first [`Outcomes::next`] after it was added.
///
/// ```no_run
/// # use hatchet_quickstart::{hatchet::{client::{Client, Outcomes}, wire::RunId}};
/// # async fn example(client: Client, runs: Vec<RunId>) {
/// let mut outcomes = Outcomes::new(client);
/// for (index, run) in runs.into_iter().enumerate() {
///     outcomes.add(index, run);
/// }
/// while let Some((index, outcome)) = outcomes.next().await {
///     println!("run {index}: {outcome:?}");
/// }
/// # }
/// ```
#[must_use = "outcomes are delivered by `next`"]
pub struct Outcomes {
    client: Client,
    waits: WaitGroup,
}

impl Client {
    /// Returns the outcomes of many runs, each with the run's position in `runs`, in the order in which the runs
    /// finish. The stream ends after the last.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RunRef::outcome`], separately for each run.
    pub fn outcomes<O>(
        &self,
        runs: impl IntoIterator<Item = RunRef<O>>,
    ) -> BoxStream<'static, (usize, Result<RunOutcome, ClientError>)> {
        let mut outcomes = Outcomes::new(self.clone());
        for (index, run) in runs.into_iter().enumerate() {
            outcomes.waits.add(index, run.id(), run.evidence().clone());
        }
        stream::unfold(outcomes, async |mut outcomes| {
            let next = outcomes.next().await?;
            Some((next, outcomes))
        })
        .boxed()
    }
}

impl Outcomes {
    /// Creates an empty set.
    pub fn new(client: Client) -> Self {
        Self { client, waits: WaitGroup::new() }
    }

    /// Adds a run that was triggered just now. `index` is returned with its outcome.
    pub fn add(&mut self, index: usize, run: RunId) {
        self.waits.add(index, run, RunEvidence::triggered());
    }

    /// The number of outcomes that [`Outcomes::next`] has not returned yet.
    pub fn len(&self) -> usize {
        self.waits.len()
    }

    /// Whether [`Outcomes::next`] has returned every outcome.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The current outage of the engine: its duration so far and the latest error. `None` while the engine responds.
    pub fn outage(&self) -> Option<(Duration, ClientError)> {
        let outage = self.client.watcher().outage().borrow().clone()?;
        Some((outage.since.elapsed(), outage.error))
    }

    /// Returns the outcome of the next run that finishes; `None` if the set is empty. Cancel safe.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`RunRef::outcome`], separately for each run.
    pub async fn next(&mut self) -> Option<(usize, Result<RunOutcome, ClientError>)> {
        self.waits.next(self.client.watcher()).await
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").field("len", &self.len()).finish_non_exhaustive()
    }
}
