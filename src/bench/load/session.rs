//! A benchmark from its start to the last run that is waited for: one loop, and no task of its own.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    outage::Outage,
    progress::{Observer, Tally},
    schedule::{Batch, Load},
    slots::{self, Slots},
};
use crate::{
    bench::{
        keys::{KEY_PREFIX, RUN_KEY, run_key},
        plan::Plan,
        record::{
            folder::Journal,
            run::{Accepted, Micros, Runs},
        },
    },
    hatchet::{
        client::{Client, ClientError, ErrorKind, Outcomes, RunItem, RunOutcome, RunRef, WorkerSummary},
        task::Stub,
        wire::RunId,
    },
};

/// Lines are handed to the system this often.
const FLUSH: Duration = Duration::from_millis(100);
/// Progress is shown every so many flushes: each second.
const SHOW_EVERY: u32 = 10;
/// After a stop, calls under way have this long to say which runs they started.
const LAST_CALLS: Duration = Duration::from_secs(3);
const LAST_LOOK: Duration = Duration::from_secs(2);
/// An engine that fails this often in a row is not asked again.
const MOST_FAILURES: u32 = 20;
/// A wall clock that leaves the steady one by this much has jumped.
const JUMP: f64 = 0.05;

/// How the waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing is left to wait for.
    Complete,
    /// It was asked to stop.
    Interrupted,
    /// The time is over.
    TimedOut,
}

/// What the second submission of every run found.
#[derive(Debug, Clone, Default)]
pub(in crate::bench) struct Verified {
    /// Refused as duplicates of the right run.
    pub(in crate::bench) refused: usize,
    /// Started again, or taken for duplicates of another run.
    pub(in crate::bench) wrong: Vec<String>,
}

/// A started run, or why it was not started.
type TriggerResult = Result<RunRef, ClientError>;
type Call = Pin<Box<dyn Future<Output = (Batch, Pass, Vec<TriggerResult>)> + Send>>;
type Look = Pin<Box<dyn Future<Output = Result<Vec<WorkerSummary>, ClientError>> + Send>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    First,
    /// Of [`Plan::verify_dedupe`].
    Second,
}

/// A running benchmark.
pub(in crate::bench) struct Session {
    client: Client,
    plan: Arc<Plan>,
    begun: Instant,
    pub(in crate::bench) begun_wall: SystemTime,
    pub(in crate::bench) runs: Runs,
    /// Most slots that were seen, by pool.
    pub(in crate::bench) slots: Slots,
    pub(in crate::bench) clock_jumps: usize,
    pub(in crate::bench) outages: Outage,
    pub(in crate::bench) verified: Option<Verified>,
    load: Load,
    pass: Pass,
    outcomes: Outcomes,
    calls: FuturesUnordered<Call>,
    tally: Tally,
    failures: u32,
    drift: f64,
    told_unwritten: bool,
}

impl Session {
    pub(in crate::bench) fn new(client: Client, plan: Arc<Plan>) -> Self {
        Self {
            begun: Instant::now(),
            begun_wall: SystemTime::now(),
            runs: Runs::new(&plan),
            slots: Slots::new(),
            clock_jumps: 0,
            outages: Outage::default(),
            verified: None,
            load: Load::new(&plan),
            pass: Pass::First,
            outcomes: Outcomes::new(client.clone()),
            calls: FuturesUnordered::new(),
            tally: Tally::new(&plan),
            failures: 0,
            drift: 0.0,
            told_unwritten: false,
            client,
            plan,
        }
    }

    pub(in crate::bench) fn now(&self) -> Micros {
        i64::try_from(self.begun.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// Submits and waits, until all has ended, the time is over or it is asked to stop.
    pub(in crate::bench) async fn run(
        &mut self,
        journal: &mut Journal,
        stop: &CancellationToken,
        observer: &mut dyn Observer,
    ) -> Ending {
        let deadline = sleep(self.plan.timeout);
        tokio::pin!(deadline);
        let mut tick = interval(FLUSH);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut ticks, mut look) = (0_u32, None::<Look>);
        let ending = loop {
            self.submit();
            if self.load.is_done() && self.calls.is_empty() {
                if self.plan.verify_dedupe && self.pass == Pass::First {
                    self.verify();
                    continue;
                }
                if self.outcomes.is_empty() {
                    break Ending::Complete;
                }
            }
            let wake = self.load.wake(self.now());
            let wake = wake.map(|at| self.begun + Duration::from_micros(u64::try_from(at).unwrap_or(0)));
            tokio::select! {
                // What is rare comes first, so that what is frequent cannot hold it up.
                biased;
                () = stop.cancelled() => break Ending::Interrupted,
                () = &mut deadline => break Ending::TimedOut,
                _ = tick.tick() => {
                    journal.flush();
                    ticks += 1;
                    if ticks.is_multiple_of(SHOW_EVERY) {
                        self.every_second(journal, observer);
                        look = look.or_else(|| self.look());
                    }
                }
                workers = async { look.as_mut()?.await.ok() }, if look.is_some() => {
                    look = None;
                    self.sample(workers);
                }
                Some((batch, pass, items)) = self.calls.next() => self.answered(batch, pass, items, journal),
                () = async { sleep_until(wake.unwrap_or(self.begun).into()).await }, if wake.is_some() => {}
                Some((place, outcome)) = self.outcomes.next(), if !self.outcomes.is_empty() => {
                    self.ended(place, outcome, journal);
                }
            }
        };
        // Calls that are cut here would leave runs that nobody knows.
        let last = tokio::time::Instant::now() + LAST_CALLS;
        while let Ok(Some((batch, pass, items))) = tokio::time::timeout_at(last, self.calls.next()).await {
            self.answered(batch, pass, items, journal);
        }
        self.runs.give_up_unanswered();
        if self.slots.is_empty()
            && let Some(look) = look.or_else(|| self.look())
        {
            // It was over before the first look.
            self.sample(tokio::time::timeout(LAST_LOOK, look).await.ok().and_then(Result::ok));
        }
        journal.flush();
        self.every_second(journal, observer);
        ending
    }

    fn submit(&mut self) {
        loop {
            let now = self.now();
            let Some(batch) = self.load.take(now, self.calls.len()) else { return };
            if self.pass == Pass::First {
                for (index, due) in batch.indexes.iter().zip(&batch.due) {
                    let place = self.runs.place(batch.task, *index);
                    let run = &mut self.runs.all[place];
                    run.due = *due;
                    run.submitted.get_or_insert(now);
                }
            }
            let (client, plan, pass) = (self.client.clone(), self.plan.clone(), self.pass);
            self.calls.push(Box::pin(async move {
                let task = &plan.tasks[batch.task];
                let stub = Stub::<Value, Value>::from_name(&task.workflow);
                let runs = batch.indexes.iter().map(|index| {
                    RunItem::new(&task.input.render(*index))
                        .metadata(RUN_KEY, run_key(&plan.prefix, &task.name, *index))
                        .metadata(KEY_PREFIX, plan.prefix.as_str())
                });
                let items = client.run_many_no_wait(&stub, runs).keyed(task.keyed).await;
                (batch, pass, items)
            }));
        }
    }

    /// Everything once more, as fast as it goes.
    fn verify(&mut self) {
        self.pass = Pass::Second;
        self.verified = Some(Verified::default());
        self.load = Load::new(&Plan { rate: None, ..Plan::clone(&self.plan) });
    }

    fn answered(&mut self, batch: Batch, pass: Pass, items: Vec<TriggerResult>, journal: &mut Journal) {
        let (now, keyed) = (self.now(), self.plan.tasks[batch.task].keyed);
        let mut again = Batch { task: batch.task, indexes: Vec::new(), due: Vec::new() };
        let mut trouble = None;
        for ((index, due), item) in batch.indexes.into_iter().zip(batch.due).zip(items) {
            match item {
                Err(error) if error.is_temporary() && self.may_resend(&error, keyed) => {
                    again.indexes.push(index);
                    again.due.push(due);
                    trouble = Some(error);
                }
                item if pass == Pass::First => self.accepted(self.runs.place(batch.task, index), item, now, journal),
                item => self.verify_one(self.runs.place(batch.task, index), &item),
            }
        }
        match trouble {
            Some(error) => {
                for index in &again.indexes {
                    let place = self.runs.place(again.task, *index);
                    let run = &mut self.runs.all[place];
                    match run.accepted_as {
                        Accepted::NotSubmitted if error.never_sent() => run.submitted = None,
                        Accepted::NotSubmitted => run.accepted_as = Accepted::Unanswered,
                        Accepted::Unanswered | Accepted::Started | Accepted::Duplicate | Accepted::Refused => {}
                    }
                }
                self.failures += u32::from(error.kind() == ErrorKind::Engine);
                self.outages.failed(&error);
                self.load.put_back(again, now);
            }
            None => {
                self.failures = 0;
                self.outages.answered();
            }
        }
    }

    /// Whether a submission that failed may be made again: it cannot have happened, or the engine would know it by
    /// its key.
    fn may_resend(&self, error: &ClientError, keyed: bool) -> bool {
        self.failures < MOST_FAILURES && (keyed || error.never_sent() || error.kind() == ErrorKind::Exhausted)
    }

    fn accepted(&mut self, place: usize, item: TriggerResult, now: Micros, journal: &mut Journal) {
        let (task, _) = self.runs.of(place);
        let run = &mut self.runs.all[place];
        let progress = &mut self.tally.now.tasks[task];
        run.accepted = Some(now);
        let id = match item {
            Ok(handle) => {
                run.accepted_as = Accepted::Started;
                run.late = handle.was_found();
                handle.id()
            }
            Err(error) => match error.kind() {
                ErrorKind::Duplicate(Some(id)) => {
                    if run.accepted_as == Accepted::Unanswered {
                        // It may hold its own key, which its times will tell.
                        run.accepted_as = Accepted::Started;
                        run.late = true;
                    } else {
                        run.accepted_as = Accepted::Duplicate;
                        progress.duplicates += 1;
                    }
                    id
                }
                kind => {
                    let unanswered =
                        error.is_temporary() || matches!(kind, ErrorKind::Duplicate(_) | ErrorKind::Unconfirmed(_));
                    run.accepted_as = if unanswered { Accepted::Unanswered } else { Accepted::Refused };
                    *(if unanswered { &mut progress.lost } else { &mut progress.refused }) += 1;
                    self.runs.note_error(place, &error.to_string());
                    journal.line(&self.runs.line(&self.plan, place));
                    return;
                }
            },
        };
        run.id = Some(id);
        progress.accepted += 1;
        self.outcomes.add(place, id);
    }

    fn verify_one(&mut self, place: usize, item: &TriggerResult) {
        let Some(verified) = &mut self.verified else { return };
        let (first, (task, index)) = (self.runs.all[place].id, self.runs.of(place));
        let key = || run_key(&self.plan.prefix, &self.plan.tasks[task].name, index);
        let same = |id: RunId| Some(id) == first;
        match item {
            Ok(run) => verified.wrong.push(format!("{} was started again as run {}", key(), run.id())),
            Err(error) => match error.kind() {
                ErrorKind::Duplicate(Some(id)) if same(id) => verified.refused += 1,
                ErrorKind::Duplicate(_) => verified.wrong.push(format!("{} is held by another run: {error}", key())),
                _ => verified.wrong.push(format!("{} could not be submitted again: {error}", key())),
            },
        }
    }

    fn ended(&mut self, place: usize, outcome: Result<RunOutcome, ClientError>, journal: &mut Journal) {
        let (now, (task, _)) = (self.now(), self.runs.of(place));
        let run = &mut self.runs.all[place];
        match outcome {
            Ok(outcome) => {
                (run.end, run.seen, run.error) = (Some(outcome.status), Some(now), None);
                let micros = (run.accepted_as == Accepted::Started).then(|| now - run.due);
                self.tally.ended(task, outcome.status, micros);
                if let Some(error) = outcome.error {
                    self.runs.note_error(place, &error);
                }
            }
            Err(error) => {
                self.tally.now.tasks[task].lost += 1;
                self.runs.note_error(place, &error.to_string());
            }
        }
        journal.line(&self.runs.line(&self.plan, place));
    }

    fn every_second(&mut self, journal: &Journal, observer: &mut dyn Observer) {
        if let Some(why) = journal.failure().filter(|_| !self.told_unwritten) {
            self.told_unwritten = true;
            observer.note(&format!("{why}: goes on, and tries again at the end"));
        }
        let wall = self.begun_wall.elapsed().map_or_else(|e| -e.duration().as_secs_f64(), |d| d.as_secs_f64());
        let drift = wall - self.begun.elapsed().as_secs_f64();
        self.clock_jumps += usize::from((drift - self.drift).abs() > JUMP);
        self.drift = drift;
        if let Some(note) = self.outages.note(self.outcomes.trouble()) {
            observer.note(&note);
        }
        observer.progress(self.tally.look());
    }

    fn look(&self) -> Option<Look> {
        let rest = self.client.rest()?.clone();
        Some(Box::pin(async move { rest.workers().await }))
    }

    fn sample(&mut self, workers: Option<Vec<WorkerSummary>>) {
        let Some(workers) = workers else { return };
        let config = self.client.config();
        self.tally.now.slots = Some(slots::of(&config, &self.plan.tasks, &workers));
        for (pool, (used, limit)) in slots::by_pool(&config, &self.plan, &workers) {
            let most = self.slots.entry(pool).or_default();
            *most = (most.0.max(used), most.1.max(limit));
        }
    }
}
