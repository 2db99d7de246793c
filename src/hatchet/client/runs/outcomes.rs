//! The outcomes of many runs.

use std::time::Duration;

use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};

use super::RunOutcome;
use crate::hatchet::{
    client::{Client, RunRef},
    transport::ClientError,
    wire::RunId,
};

/// The outcomes of a growing set of runs, in the order in which the runs finish.
///
/// However many runs there are, the client has one subscription for them and makes at most 100 further calls a second,
/// fewer if the engine asks to slow down. A run is watched from the first [`Outcomes::next`] after it was added.
#[must_use = "outcomes are delivered by `next`"]
pub struct Outcomes {
    client: Client,
    waits: FuturesUnordered<BoxFuture<'static, (usize, Result<RunOutcome, ClientError>)>>,
}

impl Client {
    /// The outcomes of many runs, each with the run's position in `runs`, in the order in which the runs finish. The
    /// stream ends after the last.
    ///
    /// The errors of an item are those of [`RunRef::outcome`].
    pub fn outcomes<O>(
        &self,
        runs: impl IntoIterator<Item = RunRef<O>>,
    ) -> BoxStream<'static, (usize, Result<RunOutcome, ClientError>)> {
        let mut outcomes = Outcomes::new(self.clone());
        for (index, run) in runs.into_iter().enumerate() {
            outcomes.add_ref(index, run.untyped());
        }
        stream::unfold(outcomes, async |mut outcomes| {
            let next = outcomes.next().await?;
            Some((next, outcomes))
        })
        .boxed()
    }
}

impl Outcomes {
    /// An empty set.
    pub fn new(client: Client) -> Self {
        Self { client, waits: FuturesUnordered::new() }
    }

    /// Adds a run that was triggered just now. `index` is returned with its outcome.
    pub fn add(&mut self, index: usize, run: RunId) {
        self.add_ref(index, RunRef::triggered(self.client.clone(), run));
    }

    fn add_ref(&mut self, index: usize, run: RunRef) {
        self.waits.push(async move { (index, run.outcome().await) }.boxed());
    }

    /// The number of outcomes that [`Outcomes::next`] has not returned yet.
    pub fn len(&self) -> usize {
        self.waits.len()
    }

    /// Whether [`Outcomes::next`] has returned every outcome.
    pub fn is_empty(&self) -> bool {
        self.waits.is_empty()
    }

    /// For how long the engine has not answered, and why, while it does not answer.
    pub fn trouble(&self) -> Option<(Duration, ClientError)> {
        let outage = self.client.watcher().outage().borrow().clone()?;
        Some((outage.since.elapsed(), outage.error))
    }

    /// The outcome of the next run that finishes; `None` if the set is empty. Cancel safe.
    pub async fn next(&mut self) -> Option<(usize, Result<RunOutcome, ClientError>)> {
        self.waits.next().await
    }
}
