//! Waits for many runs together: one subscription and one paced poll, whatever their number, and no task.
//!
//! The subscription is fast and can fall silent, or lose a single end; the poll is slow and cannot. While the
//! subscription tells of ends, the poll only looks at a few of those that have waited longest.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream, FuturesUnordered},
};
use tokio::time::{Instant, sleep_until};

use super::{
    RunDetails, RunOutcome,
    subscription::Subscription,
    wait::{SILENCE_PATIENCE, given_up},
};
use crate::hatchet::{
    client::{Client, RunHandle},
    transport::{ClientError, ErrorKind},
    wire::{RunId, proto::WorkflowRunEvent},
};

/// Between two polls while the subscription tells of ends: five a second, for those that get lost.
const SLOW: Duration = Duration::from_millis(200);
/// Between two polls otherwise: 100 a second, a tenth of what a real engine allows.
const FAST: Duration = Duration::from_millis(10);
/// After an engine asked to slow down, at most this.
const SLOWEST: Duration = Duration::from_secs(5);
/// Polls under way at once.
const POLLS: usize = 16;
/// A subscription that has told nothing for this long does not keep the poll slow.
const QUIET: Duration = Duration::from_secs(2);
/// A run is polled for no sooner than this after it was added.
const FIRST_POLL: Duration = Duration::from_secs(1);
/// And no sooner than this after its last poll.
const NEXT_POLL: Duration = Duration::from_secs(5);

/// Runs whose ends are waited for together. Nothing happens unless [`Outcomes::next`] is polled.
pub struct Outcomes {
    client: Client,
    subscription: Subscription,
    waiting: HashMap<RunId, Waiting>,
    /// Runs by the time of their next poll, nearly.
    queue: VecDeque<RunId>,
    /// Runs that have ended, and how is to be asked.
    doubtful: VecDeque<RunId>,
    polls: FuturesUnordered<Poll>,
    /// What is known and not given out yet.
    ready: VecDeque<(usize, Result<RunOutcome, ClientError>)>,
    next_poll: Instant,
    /// Added to the pause between polls by an engine that asks for it.
    penalty: Duration,
    told: Instant,
    heard: Instant,
    trouble: Option<ClientError>,
}

struct Waiting {
    run: RunHandle,
    index: usize,
    /// Further places that wait for the same run.
    also: Vec<usize>,
    poll_at: Instant,
    /// The subscription told of its end.
    ended: bool,
    unknown_since: Option<Instant>,
}

type Poll = std::pin::Pin<Box<dyn Future<Output = (RunId, Result<RunDetails, ClientError>)> + Send>>;

impl Client {
    /// The outcomes of many runs, each with its place in the order given, as they end. The stream ends with the last.
    ///
    /// However many runs there are, this is one subscription and at most 100 further calls a second, fewer where the
    /// engine asks for it. Errors are those of [`RunHandle::outcome`].
    pub fn outcomes(
        &self,
        runs: impl IntoIterator<Item = RunHandle>,
    ) -> BoxStream<'static, (usize, Result<RunOutcome, ClientError>)> {
        let mut outcomes = Outcomes::new(self.clone());
        for (index, run) in runs.into_iter().enumerate() {
            outcomes.add_handle(index, run);
        }
        stream::unfold(outcomes, async |mut outcomes| {
            let next = outcomes.next().await?;
            Some((next, outcomes))
        })
        .boxed()
    }
}

impl Outcomes {
    /// Waits for no run yet.
    pub fn new(client: Client) -> Self {
        let now = Instant::now();
        Self {
            subscription: Subscription::new(client.connection().clone()),
            client,
            waiting: HashMap::new(),
            queue: VecDeque::new(),
            doubtful: VecDeque::new(),
            polls: FuturesUnordered::new(),
            ready: VecDeque::new(),
            next_poll: now,
            penalty: Duration::ZERO,
            told: now,
            heard: now,
            trouble: None,
        }
    }

    /// Waits for one more, which was triggered just now; `index` comes back with its outcome.
    pub fn add(&mut self, index: usize, run: RunId) {
        self.add_handle(index, RunHandle::triggered(self.client.clone(), run));
    }

    fn add_handle(&mut self, index: usize, handle: RunHandle) {
        let run = handle.id();
        let now = Instant::now();
        if self.waiting.is_empty() {
            // Silence counts from where there is something to hear.
            (self.told, self.heard) = (now, now);
        }
        if let Some(waiting) = self.waiting.get_mut(&run) {
            waiting.also.push(index);
            return;
        }
        self.waiting.insert(
            run,
            Waiting {
                run: handle,
                index,
                also: Vec::new(),
                poll_at: now + FIRST_POLL,
                ended: false,
                unknown_since: None,
            },
        );
        self.subscription.add(run);
        self.queue.push_back(run);
    }

    /// Runs that are still waited for.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether no run is waited for.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.ready.is_empty()
    }

    /// Why the engine cannot be heard at present, and for how long it was not, where that is so.
    pub fn trouble(&self) -> Option<(Duration, &ClientError)> {
        let trouble = self.trouble.as_ref().or(self.subscription.trouble())?;
        Some((self.heard.elapsed(), trouble))
    }

    /// The next outcome, of whichever run ends first; none where no run is waited for. May be dropped and called again.
    pub async fn next(&mut self) -> Option<(usize, Result<RunOutcome, ClientError>)> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            if self.waiting.is_empty() {
                return None;
            }
            let due = self.due();
            tokio::select! {
                biased;
                told = self.subscription.next() => {
                    if let Some((run, event)) = told {
                        self.told(run, &event);
                    }
                }
                Some((run, answer)) = self.polls.next() => self.answered(run, answer),
                () = sleep_until(due), if self.may_poll() => self.poll(),
            }
        }
    }

    fn told(&mut self, run: RunId, event: &WorkflowRunEvent) {
        self.told = Instant::now();
        self.heard();
        if let Some(outcome) = RunOutcome::from_event(run, event) {
            self.settle(run, Ok(outcome));
        } else if let Some(waiting) = self.waiting.get_mut(&run) {
            waiting.ended = true;
            self.doubtful.push_back(run);
        }
    }

    /// Whether a poll can be made at all. While each run has one under way there is none to ask for, and to look for one
    /// would be all that is done until an answer comes.
    fn may_poll(&self) -> bool {
        self.polls.len() < POLLS && !(self.doubtful.is_empty() && self.queue.is_empty())
    }

    /// When the next poll is due.
    fn due(&self) -> Instant {
        let first = match self.doubtful.is_empty() {
            false => Instant::now(),
            true => self.queue.front().and_then(|run| self.waiting.get(run)).map_or_else(Instant::now, |w| w.poll_at),
        };
        self.next_poll.max(first)
    }

    /// Asks for the run that is due, if one is.
    fn poll(&mut self) {
        let now = Instant::now();
        // Those that were told of in the meantime cost nothing.
        let waiting = &self.waiting;
        for queue in [&mut self.doubtful, &mut self.queue] {
            while queue.pop_front_if(|run| !waiting.contains_key(run)).is_some() {}
        }
        let due = |run: &mut RunId| waiting.get(run).is_some_and(|waiting| waiting.poll_at <= now);
        let Some(run) = self.doubtful.pop_front().or_else(|| self.queue.pop_front_if(due)) else { return };
        let Some(waiting) = self.waiting.get_mut(&run) else { return };
        waiting.poll_at = now + NEXT_POLL;
        let run_handle = waiting.run.clone();
        let talks = self.doubtful.is_empty() && self.told.elapsed() < QUIET;
        self.next_poll = now + if talks { SLOW } else { FAST } + self.penalty;
        self.polls.push(Box::pin(async move { (run, run_handle.details_once().await) }));
    }

    fn answered(&mut self, run: RunId, answer: Result<RunDetails, ClientError>) {
        let Some(waiting) = self.waiting.get_mut(&run) else { return };
        match answer {
            Ok(details) => {
                waiting.unknown_since = None;
                let ended = waiting.ended;
                self.penalty /= 2;
                self.heard();
                match RunOutcome::from_details(run, &details) {
                    Some(outcome) => self.settle(run, Ok(outcome)),
                    // It has ended: its details follow within some 50 ms.
                    None if ended => self.doubtful.push_back(run),
                    None => self.queue.push_back(run),
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let since = *waiting.unknown_since.get_or_insert_with(Instant::now);
                waiting.poll_at = Instant::now() + FIRST_POLL;
                let (unknown, patience) = (waiting.run.unknown(), waiting.run.patience());
                self.heard();
                if since.elapsed() > patience {
                    self.settle(run, Err(unknown));
                } else {
                    self.queue.push_back(run);
                }
            }
            Err(error) if error.is_temporary() => {
                if error.kind() == ErrorKind::Exhausted {
                    self.penalty = (self.penalty * 2).clamp(FAST, SLOWEST);
                    self.heard();
                }
                self.queue.push_back(run);
                if self.heard.elapsed() > SILENCE_PATIENCE {
                    self.end_all(&given_up(error.clone()));
                }
                self.trouble = Some(error);
            }
            // A refused token, say: it would be refused for every run.
            Err(error) => self.end_all(&error),
        }
    }

    fn heard(&mut self) {
        self.heard = Instant::now();
        self.trouble = None;
    }

    fn settle(&mut self, run: RunId, outcome: Result<RunOutcome, ClientError>) {
        self.subscription.forget(run);
        let Some(waiting) = self.waiting.remove(&run) else { return };
        for index in waiting.also {
            self.ready.push_back((index, outcome.clone()));
        }
        self.ready.push_back((waiting.index, outcome));
    }

    fn end_all(&mut self, error: &ClientError) {
        for run in self.waiting.keys().copied().collect::<Vec<_>>() {
            self.settle(run, Err(error.clone()));
        }
    }
}
